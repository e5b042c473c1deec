"""A connection: bytes in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import struct
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bspump import ConnectionLostError

if TYPE_CHECKING:
    from .tlsstream import TLSStream as TLSStream

T = TypeVar("T")

LARGEST_PIECE = 65536
# So much is sent at once: how far it is can be seen in between.
_LARGEST_SEND = 256 * 1024
# Nothing more is received while more than this share of the limit waits to be sent.
_SHARE_THAT_HOLDS = 16
_FLUSH_SECONDS = 5.0
# As long as there is something to receive, the event loop is not needed for it. After so long it gets its turn.
_TURN_SECONDS = 0.004
_GOODBYE_SECONDS = 0.5
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
# What SO_LINGER takes to reset a connection when it is closed: on, for no time.
_RESET = struct.pack("ii", 1, 0)


def notice_vanishing(socket: sockets.socket) -> None:
    """Let the system notice within two minutes that the other end of an idle connection has vanished without a word."""
    if socket.family not in (sockets.AF_INET, sockets.AF_INET6):
        return
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(sockets, name):  # the system's own times are hours
            socket.setsockopt(sockets.IPPROTO_TCP, getattr(sockets, name), value)


async def _not_idle(coroutine: Coroutine[Any, Any, T], limit: float) -> T:
    try:
        async with asyncio.timeout(limit):
            return await coroutine
    except TimeoutError:
        raise ConnectionLostError(f"it said nothing for {limit:g} seconds (idle_timeout)") from None


class Stream:
    """A connection without encryption.

    `send` never waits: it queues the bytes, and a task sends what is queued. A client that does not read its replies
    is slowed down: nothing more is received from it while a sixteenth of `outbound_limit` waits to be sent to it. If
    the whole limit is reached nevertheless, the connection is given up.

    Args:
        loop: the event loop.
        socket: a connected socket; it is made non-blocking, and belongs to the stream from now on.
        outbound_queue: a queue of bytes to be sent; one of its own if not given.

    Attributes:
        outbound_limit: how many bytes may wait to be sent.
        idle_timeout: after how many seconds without a byte from the other side the connection is lost; never if 0.
        bytes_received: how many bytes have come.
        bytes_sent: how many bytes the system has taken to send them.
        error: why the connection was lost, or None.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: sockets.socket,
        outbound_queue: asyncio.Queue[bytes] | None = None,
    ) -> None:
        socket.setblocking(False)
        if socket.family in (sockets.AF_INET, sockets.AF_INET6):
            # Whole batches are sent at once, so there is nothing to gain from waiting for more.
            with contextlib.suppress(OSError):
                socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        self.Loop = loop
        self.Socket = socket
        self.outbound_limit = 16 * 2**20
        self.idle_timeout = 0.0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.error: Exception | None = None
        self._queue: asyncio.Queue[bytes] = outbound_queue if outbound_queue is not None else asyncio.Queue()
        self._outbound_bytes = 0
        self._outbound_task: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_sent = asyncio.Event()
        self._is_sent.set()
        # Whoever sends at the same time must not get between the parts.
        self._writing = asyncio.Lock()
        self._sends = 0
        self._no_sends = asyncio.Event()
        self._receiver: asyncio.Task[Any] | None = None
        self._last_turn = 0.0
        self._intake_has_ended = False
        self._is_closed = False

    # Inbound

    async def recv(self, size: int = LARGEST_PIECE) -> bytes:
        """Return the next bytes, at most `size`; no bytes at the end.

        Raises:
            OSError: the connection was lost.
        """
        await self._may_receive()
        data = await self._receiving(self.Loop.sock_recv(self.Socket, size), self.idle_timeout)
        self.bytes_received += len(data)
        return data

    async def recv_into(self, buf: bytearray | memoryview) -> int:
        """Put the next bytes into a buffer and return their number; 0 at the end.

        Raises:
            OSError: the connection was lost.
        """
        await self._may_receive()
        number = await self._receiving(self.Loop.sock_recv_into(self.Socket, buf), self.idle_timeout)
        self.bytes_received += number
        return number

    async def recv_exactly(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; it has what had come.
            OSError: the connection was lost.
        """
        received = bytearray()
        while len(received) < size:
            data = await self.recv(size - len(received))
            if not data:
                raise asyncio.IncompleteReadError(bytes(received), size)
            received += data
        return bytes(received)

    def end_intake(self) -> None:
        """Let nothing more be received: who waits for it, or begins to, is cancelled. What was sent stays sent."""
        self._intake_has_ended = True
        if self._receiver is not None:
            self._receiver.cancel()

    async def _may_receive(self) -> None:
        while not self._has_room.is_set():
            await self._receiving(self._has_room.wait())

    async def _receiving(self, coroutine: Coroutine[Any, Any, T], idle_timeout: float = 0.0) -> T:
        if self.error is not None or self._intake_has_ended:
            coroutine.close()
            if self.error is not None:
                raise self.error
            raise asyncio.CancelledError("The intake has ended")
        self._receiver = asyncio.current_task()
        try:
            if perf_counter() - self._last_turn >= _TURN_SECONDS:
                await asyncio.sleep(0)
                self._last_turn = perf_counter()
            result = await (_not_idle(coroutine, idle_timeout) if idle_timeout else coroutine)
        finally:
            coroutine.close()  # it has not begun if this was cancelled before
            self._receiver = None
        if self.error is not None:
            raise self.error
        return result

    # Outbound

    def send(self, data: bytes) -> bool:
        """Queue bytes to be sent to the other side.

        Returns:
            False if the connection has ended, so that they were dropped. True does not mean that they will arrive:
            the connection may be lost with them on their way.

        Raises:
            TypeError: `data` is not bytes.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"send() of a stream takes bytes, not {type(data).__name__}; encode text before")
        if self._is_closed or self.error is not None:
            return False
        self._queue.put_nowait(bytes(data))
        self._outbound_bytes += len(data)
        self._is_sent.clear()
        if self._outbound_task is None:
            self._outbound_task = self.Loop.create_task(self.outbound(), name="bspump outbound")
        if self._outbound_bytes * _SHARE_THAT_HOLDS > self.outbound_limit:
            self._has_room.clear()
            if self._outbound_bytes > self.outbound_limit:
                self.give_up(
                    ConnectionLostError(f"it does not read: {self._outbound_bytes} bytes wait to be sent to it")
                )
        return True

    async def outbound(self) -> None:
        """Send what is queued, until cancelled. `send` starts this in a task, so it need not be called."""
        if self._outbound_task is None:
            self._outbound_task = asyncio.current_task()
        try:
            while True:
                pieces = [await self._queue.get()]
                while not self._queue.empty():
                    pieces.append(self._queue.get_nowait())
                await self.send_all(b"".join(pieces))
                # What others have put into the queue was not counted.
                self._outbound_bytes = max(0, self._outbound_bytes - sum(map(len, pieces)))
                if self._outbound_bytes * _SHARE_THAT_HOLDS * 2 <= self.outbound_limit:
                    self._has_room.set()
                if self._queue.empty():
                    self._is_sent.set()
        except OSError as error:
            self.give_up(error)

    async def send_all(self, data: bytes) -> None:
        """Send bytes and return when the system has taken all of them. Whether they arrive is not known then.

        Raises:
            OSError: the connection was lost, or is lost already.
        """
        if self.error is not None:
            raise self.error
        view = memoryview(data)
        async with self._writing:
            for start in range(0, len(view), _LARGEST_SEND):
                part = view[start : start + _LARGEST_SEND]
                await self._send_part(part)
                self.bytes_sent += len(part)

    async def _send_part(self, part: memoryview) -> None:
        await self._to_socket(part)

    async def _to_socket(self, data: bytes | memoryview) -> None:
        self._sends += 1
        self._no_sends.clear()
        try:
            await self.Loop.sock_sendall(self.Socket, data)
        finally:
            self._sends -= 1
            if not self._sends:
                self._no_sends.set()

    # The end

    def give_up(self, error: Exception) -> None:
        """Regard the connection as lost: everything that waits for it fails with the error.

        Unless the other side has ended too, it gets a reset and not a proper end, since something may be missing.
        """
        self._outbound_bytes = 0
        self._has_room.set()
        self._is_sent.set()
        if self.error is not None or self._is_closed:
            return
        self.error = error
        outbound = self._outbound_task
        if outbound is not None and outbound is not asyncio.current_task():
            outbound.cancel()
        with contextlib.suppress(OSError):  # it may be lost for the system too
            self.Socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET)
            self.Socket.shutdown(sockets.SHUT_RDWR if self._sends else sockets.SHUT_RD)

    async def end(self, limit: float) -> None:
        """Send what is queued, say that nothing more will come, and wait until the other side has ended too.

        Closing at once could take away from the other side what it has not read. What it sends meanwhile is dropped.
        """
        await self._flush()
        try:
            async with asyncio.timeout(limit):
                await self._say_goodbye()
                while True:
                    if not await self.Loop.sock_recv(self.Socket, LARGEST_PIECE):
                        return
                    await asyncio.sleep(0)  # or the time limit would never be looked at
        except TimeoutError:
            return
        except OSError as error:
            self.give_up(error)

    async def close(self) -> None:
        """Send what is queued, as long as the other side goes on taking it, and close the connection."""
        if self._is_closed:
            return
        try:
            await self._flush()
            self._is_closed = True
            if self._outbound_task is not None and self._outbound_task is not asyncio.current_task():
                self._outbound_task.cancel()
                await asyncio.wait({self._outbound_task})
            # A socket that is closed while somebody waits to send would let them wait for ever.
            while self._sends:
                await self._no_sends.wait()
            if self.error is None:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._say_goodbye()
        except OSError:
            pass  # the other side was quicker
        except asyncio.CancelledError:
            self.give_up(ConnectionLostError("it was closed before everything was sent"))
            raise
        finally:
            self._is_closed = True
            self.Socket.close()

    async def _flush(self) -> None:
        if not self._queue.empty() and self._outbound_task is None and self.error is None:
            self._outbound_task = self.Loop.create_task(self.outbound(), name="bspump outbound")
            self._is_sent.clear()
        while not self._is_sent.is_set():
            before = self.bytes_sent
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._is_sent.wait()
            except TimeoutError:
                if self.bytes_sent == before:
                    self.give_up(ConnectionLostError("it did not read what was sent to it"))

    async def _say_goodbye(self) -> None:
        self.Socket.shutdown(sockets.SHUT_WR)

    # A stream is in the context of every event; whoever copies a context deeply means the same connection.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.Socket.fileno()}>"


def __getattr__(name: str) -> object:
    if name != "TLSStream":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The manual has it here, and it derives from what is here.
    from .tlsstream import TLSStream

    return TLSStream
