"""A connection that is encrypted: the same in both directions, by way of OpenSSL."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import ssl

from bspump import ConnectionLostError

from .stream import LARGEST_PIECE, Stream

_RECORD = 16384


class TLSStream(Stream):
    """A connection that is encrypted with TLS. Await `handshake` first.

    Args:
        loop: the event loop.
        sslcontext: certificates and what is demanded of the other side.
        socket: a connected socket.
        server_side: whether this is the server's end.
        outbound_queue: a queue of bytes to be sent; one of its own if not given.
        server_hostname: for a client, the name that the server's certificate is to have.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sslcontext: ssl.SSLContext,
        socket: sockets.socket,
        server_side: bool,
        outbound_queue: asyncio.Queue[bytes] | None = None,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(loop, socket, outbound_queue)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = sslcontext.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._sending = asyncio.Lock()
        self._early: bytes | None = None

    async def handshake(self) -> bool:
        """Agree on the encryption. Returns False if the other side closed the connection meanwhile.

        Raises:
            ssl.SSLError: the two cannot agree, or a certificate is not trusted.
            OSError: the connection was lost.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLEOFError:
                return False
            except ssl.SSLError:
                # The other side is told why.
                with contextlib.suppress(OSError):
                    await self._send_encrypted()
                raise
            else:
                await self._send_encrypted()
                return True
            await self._send_encrypted()
            await self._receive_encrypted()

    async def is_accepted(self, limit: float) -> None:
        """Wait until the server has shown that it accepts the client's certificate, or for `limit` seconds.

        With TLS 1.3 a client ends the handshake before the server has looked at its certificate, and what it sent until
        it learns of the refusal is lost. Servers usually send a session ticket at the end of their handshake.

        Raises:
            ssl.SSLError: the server has refused the certificate.
        """
        if self._tls.version() != "TLSv1.3" or self._incoming.pending:
            return
        try:
            async with asyncio.timeout(limit):
                await self._receive_encrypted()
        except TimeoutError:
            return
        self._early = self._decrypted(LARGEST_PIECE)

    async def recv(self, size: int = LARGEST_PIECE) -> bytes:
        """Return the next bytes, at most `size`; no bytes at the end.

        Raises:
            OSError: the connection was lost, or closed in a way that leaves open whether something is missing.
        """
        await self._may_receive()
        while True:
            data, self._early = self._early or self._decrypted(size), None
            if data is not None:
                self.bytes_received += len(data)
                return data
            await self._send_encrypted()
            await self._receive_encrypted()

    async def recv_into(self, buf: bytearray | memoryview) -> int:
        """Put the next bytes into a buffer and return their number; 0 at the end.

        Raises:
            OSError: as `recv`.
        """
        data = await self.recv(len(buf))
        buf[: len(data)] = data
        return len(data)

    def _decrypted(self, size: int) -> bytes | None:
        """Return what has been received, as much as there is; None if that is nothing, no bytes at the end."""
        pieces: list[bytes] = []
        total = 0
        while total < size:
            try:
                piece = self._tls.read(min(size - total, _RECORD))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLEOFError:
                if pieces:
                    break  # comes again at the next call
                raise ConnectionLostError("it was closed without the goodbye of TLS (close_notify)") from None
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            total += len(piece)
        return b"".join(pieces) if pieces else None

    async def _receive_encrypted(self) -> None:
        data = await self._receiving(self.Loop.sock_recv(self.Socket, LARGEST_PIECE), self.idle_timeout)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _send_encrypted(self) -> None:
        if not self._outgoing.pending:
            return
        async with self._sending:
            data = self._outgoing.read()
            if data:
                await self._to_socket(data)

    async def _send_part(self, part: memoryview) -> None:
        while part:
            # OpenSSL may take no more than one record.
            part = part[self._tls.write(part) :]
        await self._send_encrypted()

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # the other side need not answer
            self._tls.unwrap()
        await self._send_encrypted()
        await super()._say_goodbye()
