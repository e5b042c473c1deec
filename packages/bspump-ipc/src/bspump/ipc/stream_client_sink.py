"""Sending events over a connection."""

from __future__ import annotations

import asyncio
import logging
import random
import socket as sockets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import BufferedSink, ConnectionLostError, Context, Event
from bspump.abc.buffered_sink import Batch

from ._address import Address, Endpoint, read_addresses, resolve
from ._events import as_bytes
from ._failures import SparseLog, reason_of
from ._framing import JOIN_FRAMINGS, LENGTH_SIZES, framer
from ._tls import TLS_DEFAULTS, client_context
from .stream import Stream, TLSStream, notice_vanishing

if TYPE_CHECKING:
    import ssl

    from bspump import Pipeline

# A connection that breaks earlier counts as one that could not be made.
_STABLE_SECONDS = 5.0
# How long a server may take to refuse our certificate after the handshake of TLS 1.3.
_REFUSAL_SECONDS = 0.5
# How long the other side may take to end the connection after we did.
_LINGER_SECONDS = 0.8


class StreamClientSink(BufferedSink):
    """Connects to a TCP or UNIX stream socket, with TLS if wanted, and sends its events, ``bytes`` or ``str``.

    The pipeline is throttled until the connection stands, and again when it breaks. It is made again and again, with
    growing pauses. Events that were waiting, and the batch that was on its way, are sent over the next connection: the
    other side may get the last batch twice.

    **What is guaranteed.** An event stays with the sink until the system has taken all of its bytes; that is what a
    checkpoint waits for, and a graceful stop too. **What is not.** A TCP stream has no acknowledgement. When a
    connection breaks, or one of the two machines or programs ends, what is then in the buffers of the two sockets or on
    the way is lost, and nobody can tell how much that is. Where every event counts, use a destination that
    acknowledges.

    Options:
        address: where to connect to: ``host port``, ``host:port``, ``[IPv6]:port``, a port alone (on this machine) or
            the path of a UNIX socket. Of several, one in each line, the first that answers is used.
        framing: ``none`` (the default: events are sent as they are), ``newline`` (added where it is missing), ``nul``,
            ``octet-counting`` (RFC 6587) or ``length-prefix``.
        length_size: how many bytes a length prefix has (big-endian): 1, 2, 4 or 8.
        encoding: the encoding of text.
        outbound_queue_max_size: the number of waiting events at which the pipeline is throttled; it takes the place of
            ``buffer_size``.
        connect_timeout: how long a connection may take to be made, in seconds.
        tls: whether to use TLS. The server's certificate has to be signed by an authority that the system trusts, or
            by one of those that follow.
        cafile, capath, cadata: the certificates of the authorities to trust: a file, a folder or the text itself.
        check_hostname: whether the certificate has to have the host's name in it.
        server_hostname: that name, if it is not the one in the address.
        cert, key, key_password: the files with our own certificate and its key, for servers that demand one.
        verify_mode: ``CERT_NONE`` to trust any certificate: then anybody may be at the other end.
        ciphers: the ciphers of TLS 1.2, as OpenSSL writes them.
        batch_size, batch_bytes, linger, retry_backoff, retry_backoff_max: see `BufferedSink`. The pauses between
            attempts to connect grow from retry_backoff to retry_backoff_max.
    """

    ConfigDefaults: dict[str, Any] = {
        "address": "127.0.0.1 8888",
        "framing": "none",
        "length_size": 4,
        "encoding": "utf-8",
        "outbound_queue_max_size": 100,
        "connect_timeout": 10.0,
        "linger": 0.0,
        "tls": False,
        "check_hostname": True,
        "server_hostname": "",
        **TLS_DEFAULTS,
    }

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            self._addresses = read_addresses(options, "address", options.text("address"), is_destination=True)
            length_size = options.integer("length_size")
            if length_size not in LENGTH_SIZES:
                options.refuse("length_size", "is none of 1, 2, 4, 8")
                length_size = 4
            framing = options.choice("framing", JOIN_FRAMINGS)
            self._frame = framer(framing, length_size)
            self._encoding = options.text_encoding("encoding")
            self._high = options.integer("outbound_queue_max_size", minimum=1)
            self._low = self._high // 2
            if self._concurrency != 1:
                options.refuse("concurrency", "is not 1; there is one connection, and one batch is sent at a time")
            self._connect_timeout = options.seconds("connect_timeout")
            self._tls = options.boolean("tls")
            self._check_hostname = options.boolean("check_hostname")
            self._server_hostname = options.text("server_hostname")
        self._ssl_context: ssl.SSLContext | None = None
        self._stream: Stream | None = None
        self._is_connected = asyncio.Event()
        self._connector: asyncio.Task[None] | None = None
        self._log = SparseLog(pipeline.L.report)
        self._last_error = ""
        self._hold = f"{self!r} is not connected"

    # Events

    def process(self, context: Context, event: Event) -> None:
        """Put an event into the buffer, framed."""
        super().process(context, self._frame(as_bytes(self, event, self._encoding)))

    async def write(self, batch: Batch) -> None:
        """Send a batch, over the next connection if this one breaks."""
        data = b"".join(batch)
        while True:
            await self._is_connected.wait()
            stream = self._stream
            if stream is None:
                continue
            try:
                await stream.send_all(data)
                return
            except asyncio.CancelledError:
                # Half an event may have been sent, which the other side is not to take for a whole one.
                stream.give_up(ConnectionLostError("a batch was cut off"))
                raise
            except OSError as error:
                # The connector finds out as well, and says so.
                stream.give_up(error)
                if self._stream is stream:
                    self._set_connected(None)

    # The connection

    def prepare(self) -> None:
        """Read the certificates."""
        self._ssl_context = client_context(
            self.section, self.Config, is_enabled=self._tls, check_hostname=self._check_hostname
        )

    async def open(self) -> None:
        """Begin to connect."""
        self._set_connected(None)
        self._connector = self.Loop.create_task(
            self._keep_connected(), name=f"bspump connector {self.locate_address()}"
        )

    def _set_connected(self, stream: Stream | None) -> None:
        self._stream = stream
        if stream is not None:
            self._is_connected.set()
        else:
            self._is_connected.clear()
        self.Pipeline.throttle(self._hold, stream is None)

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            began = self.Loop.time()
            try:
                stream, destination = await self._connect()
            except OSError as error:
                attempt += 1
                self._say_failed(f"{error}; it tries again")
            else:
                await self._use(stream, destination, attempt)
                attempt = attempt + 1 if self.Loop.time() - began < _STABLE_SECONDS else 1
            await self._rest(attempt)

    def _say_failed(self, message: str) -> None:
        self._last_error = message
        self._log.say("outage", message)

    async def _rest(self, attempt: int) -> None:
        longest = min(self._backoff_max, self._backoff * 2.0 ** min(attempt - 1, 30))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))

    async def _use(self, stream: Stream, destination: str, attempt: int) -> None:
        """Let batches be sent over a connection until it breaks."""
        self._set_connected(stream)
        if attempt:
            self.Pipeline.L.report(logging.INFO, f"{self!r} is connected to {destination} again")
        stable = self.Loop.call_later(_STABLE_SECONDS, self._log.forget, "outage")
        try:
            # What the other side says is of no interest, but that it goes away is.
            while await stream.recv():
                pass
            reason = "the other side closed it"
        except OSError as error:
            reason = reason_of(error)
        finally:
            stable.cancel()
        self._set_connected(None)
        stream.give_up(ConnectionLostError("the connection was closed"))
        await stream.close()
        self._say_failed(f"{self!r} lost its connection to {destination}: {reason}; it connects again")

    async def _connect(self) -> tuple[Stream, str]:
        """Return a connection and what it is connected to.

        Raises:
            ConnectionLostError: none of the addresses can be reached.
        """
        failures = []
        for address in self._addresses:
            try:
                endpoints = await resolve(address, sockets.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                failures.append(f"{address}: {reason_of(error)}")
                continue
            for endpoint in endpoints:
                try:
                    async with asyncio.timeout(self._connect_timeout):
                        return await self._connect_to(endpoint, address), str(endpoint)
                except OSError as error:
                    failures.append(f"{_both(address, endpoint)}: {reason_of(error)}")
        raise ConnectionLostError(f"{self!r} cannot connect to {', nor to '.join(failures)}")

    async def _connect_to(self, endpoint: Endpoint, address: Address) -> Stream:
        sock = sockets.socket(endpoint.family, sockets.SOCK_STREAM)
        stream: Stream | None = None
        try:
            sock.setblocking(False)
            notice_vanishing(sock)
            await self.Loop.sock_connect(sock, endpoint.sockaddr)
            if not self._tls or self._ssl_context is None:
                return Stream(self.Loop, sock)
            name = self._server_hostname or address.host or "localhost"
            stream = TLSStream(self.Loop, self._ssl_context, sock, server_side=False, server_hostname=name)
            if not await stream.handshake():
                raise ConnectionLostError("the other side closed the connection during the handshake of TLS")
            await stream.is_accepted(_REFUSAL_SECONDS)
            return stream
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop the writers and end the connection."""
        await super().close()
        if self._connector is not None:
            self._connector.cancel()
            await asyncio.wait({self._connector})
            self._connector = None
        stream = self._stream
        self._set_connected(None)
        self.Pipeline.throttle(self._hold, False)
        if stream is not None:
            if stream.error is None:
                await stream.end(_LINGER_SECONDS)
            await stream.close()

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface."""
        description = {**super().rest_get(), "Connected": self._stream is not None, "TLS": self._tls}
        if self._stream is None and self._last_error:
            description["LastError"] = self._last_error
        return description


def _both(address: Address, endpoint: Endpoint) -> str:
    """Name an endpoint, and the host whose address it is."""
    return str(endpoint) if str(address) == str(endpoint) else f"{address} ({endpoint})"
