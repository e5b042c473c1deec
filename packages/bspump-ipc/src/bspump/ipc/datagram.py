"""Datagrams: UDP and UNIX datagram sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket as sockets
import struct
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import BufferedSink, ConnectionLostError, Context, Event, ProcessingError, Source, option
from bspump.abc.buffered_sink import Batch

from ._address import BoundSocket, SocketAddress, bind_all, name_of, read_addresses, resolve
from ._events import as_bytes
from ._failures import SparseLog, reason_of
from ._handing_on import Unprocessed, hand_on, refuse
from ._tasks import first_failure_of

if TYPE_CHECKING:
    from bspump import Pipeline

_MOST_AT_ONCE = 500
# Linux tells with SO_MEMINFO, among other numbers, how many datagrams a socket has dropped. Python has no name for it.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8
# Errors that an earlier datagram has caused; they are reported with the next one, which was not sent.
_OF_AN_EARLIER_ONE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH})
_ATTEMPTS = 3
# How long a stop waits for what has been received to enter the pipeline.
_FINISH_SECONDS = 5.0


class DatagramSource(Source):
    """Receives datagrams, over UDP or a UNIX socket. An event is the content of one, as bytes.

    The context has the key ``datagram``: the address of the sender.

    **What is guaranteed.** Each event is one whole datagram; one that is larger than `max_packet_size` goes the way of
    a failed event (``on_error``), never half of it. An event that stops the pipeline is kept and tried again once the
    error is cleared, unless it had passed a generator before. **What is not.** UDP may lose datagrams, double them and
    change their order, and nobody is told. While the pipeline is throttled or stopped, or whenever more comes than it
    can take, the system keeps what fits into the buffer of the socket and drops the rest. On Linux these drops are
    counted: in the metric ``bspump.datagram`` (``dropped``), in the REST interface and with a warning in the log. What
    was lost on the network is not counted by anybody. On a UNIX socket nothing is dropped: the sender has to wait. What
    is in the buffer or in the pipeline when this process ends is lost.
    """

    address = option.text(
        "127.0.0.1 8888",
        help="Where to receive, one address in each line: ``host port``, ``host:port``, ``[IPv6]:port``, a port alone "
        "(on the loopback addresses), ``*:port`` (on every address), or the path of a UNIX socket. Port 0 is any free "
        "port.",
    )
    max_packet_size = option.size(65536, help="The largest datagram, in bytes.")
    receiver_buffer_size = option.size(
        0,
        help="The size of the buffer of the socket, in bytes; the system's default if 0. The system may have a limit "
        "(on Linux ``net.core.rmem_max``).",
    )
    reuse_port = option.boolean(
        False, help="Let several processes receive on the same port; the system distributes the senders."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            self._addresses = read_addresses(options, "address", self._address_text())
        self._sockets: list[BoundSocket] = []
        self._receivers: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None] | None] = set()
        self._is_stopping = False
        self._unprocessed = Unprocessed()
        self._log = SparseLog(pipeline.L.report)
        self._counter: Any = None
        self._dropped_before = 0
        self._counted = [0, 0]
        self.received_total = 0
        """How many datagrams have come."""

    def _address_text(self) -> str:
        return self.address

    def _context_of(self, peer: Any) -> Context:
        return {"datagram": peer}

    @property
    def addresses(self) -> list[SocketAddress]:
        """Where the source receives: ``(host, port)`` with further numbers for IPv6, or the path of a UNIX socket."""
        return [bound.name for bound in self._sockets]

    @property
    def dropped_total(self) -> int:
        """How many datagrams the system has dropped for want of room in the buffer; 0 where it cannot tell."""
        return self._dropped_before + sum(_drops_of(bound.socket) for bound in self._sockets)

    async def open(self) -> None:
        """Bind the sockets.

        Raises:
            ConnectionLostError: one of the addresses cannot be had.
        """
        self._is_stopping = False
        self._sockets = await bind_all(self, self._addresses, sockets.SOCK_DGRAM, reuse_port=self.reuse_port)
        for bound in self._sockets:
            if self.receiver_buffer_size:
                self._enlarge_buffer(bound.socket)
        if self._counter is None:
            self._counter = self.Pipeline.MetricsService.create_counter(
                "bspump.datagram",
                tags={"pipeline": self.Pipeline.Id, "source": self.Id},
                init_values={"received": 0, "dropped": 0},
                help="Datagrams that came, and that the system dropped since the buffer was full",
            )
            self.App.PubSub.subscribe("Metrics.flush!", self._on_flush)

    def _enlarge_buffer(self, sock: sockets.socket) -> None:
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, self.receiver_buffer_size)
        granted = sock.getsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF)
        if sys.platform == "linux":
            granted //= 2  # Linux doubles it, for its own bookkeeping
        if granted < self.receiver_buffer_size:
            self.Pipeline.L.report(
                logging.WARNING,
                f"{self!r} has a receiver_buffer_size of {granted} bytes instead of {self.receiver_buffer_size}: "
                f"the system allows no more (see net.core.rmem_max)",
            )

    async def main(self) -> None:
        """Receive until the source is stopped."""
        self._receivers = {
            self.Loop.create_task(self._receive(bound.socket), name=f"bspump receiver {name_of(bound.name)}")
            for bound in self._sockets
        }
        await first_failure_of(self._receivers)

    async def _receive(self, sock: sockets.socket) -> None:
        while not self._is_stopping:
            first = await self._wait_for_one(sock)
            if first is not None:
                received = [first, *self._those_that_are_there(sock)]
                self.received_total += len(received)
                await self._hand_on([event for event, _ in received], [peer for _, peer in received])

    async def _wait_for_one(self, sock: sockets.socket) -> tuple[bytes, Any] | None:
        task = asyncio.current_task()
        self._waiting.add(task)
        try:
            await self.Pipeline.ready()
            # One byte more than allowed shows that a datagram is too large.
            return await self.Loop.sock_recvfrom(sock, self.max_packet_size + 1)
        except ConnectionError:
            return None  # the answer to something that another program has sent from this port
        finally:
            self._waiting.discard(task)

    def _those_that_are_there(self, sock: sockets.socket) -> list[tuple[bytes, Any]]:
        received: list[tuple[bytes, Any]] = []
        size = self.max_packet_size + 1
        with contextlib.suppress(BlockingIOError, ConnectionError):
            # What it had before the exception stays in the list.
            received.extend(sock.recvfrom(size) for _ in range(_MOST_AT_ONCE - 1))
        return received

    async def _hand_on(self, events: list[bytes], peers: list[Any]) -> None:
        contexts: list[Context] = [self._context_of(peer) for peer in peers]
        if max(map(len, events)) > self.max_packet_size:
            for event, context in zip(events, contexts, strict=True):
                if len(event) <= self.max_packet_size:
                    await hand_on(self, self._unprocessed, [event], [context])
                else:
                    await self._refuse(event, context)
        else:
            await hand_on(self, self._unprocessed, events, contexts)

    async def _refuse(self, event: bytes, context: Context) -> None:
        peer = name_of(context["datagram"] or "")
        message = f"{self!r} got a datagram from {peer} that is larger than max_packet_size ({self.max_packet_size})"
        await refuse(self, ProcessingError(message), event[: self.max_packet_size], context)

    def _on_flush(self, message_type: str) -> None:
        dropped = self.dropped_total
        new = [self.received_total - self._counted[0], dropped - self._counted[1]]
        self._counted = [self.received_total, dropped]
        self._counter.add("received", new[0])
        self._counter.add("dropped", new[1])
        if new[1]:
            self._log.say(
                "dropped",
                f"{self!r} was too slow: the system dropped {new[1]} datagram(s), {dropped} in all; a larger "
                f"receiver_buffer_size helps against bursts",
            )

    async def stop(self) -> None:
        """End the intake: receive nothing more, hand on what has been received."""
        self._is_stopping = True
        for task in self._waiting:
            if task is not None:
                task.cancel()
        if self._receivers:
            await asyncio.wait(self._receivers, timeout=0 if self.Pipeline.is_error() else _FINISH_SECONDS)
        await super().stop()
        self._receivers = set()
        if self._sockets:
            self._on_flush("")
        self._dropped_before = self.dropped_total
        for bound in self._sockets:
            bound.close()
        self._sockets = []

    async def close(self) -> None:
        """Say what could not be handed on."""
        self._unprocessed.report(self)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface."""
        return {
            **super().rest_get(),
            "Addresses": [name_of(address) for address in self.addresses],
            "Received": self.received_total,
            "Dropped": self.dropped_total,
        }


def _drops_of(sock: sockets.socket) -> int:
    if sys.platform != "linux":
        return 0
    try:
        numbers = _MEMINFO.unpack(sock.getsockopt(sockets.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    except (OSError, struct.error):
        return 0  # an older Linux
    return int(numbers[_MEMINFO_DROPS])


class DatagramSink(BufferedSink):
    """Sends each event, ``bytes`` or ``str``, as a datagram, over UDP or to a UNIX socket.

    **What is guaranteed.** An event stays with the sink until the system has taken it, and that is what a checkpoint
    waits for. To a UNIX socket nothing is lost while its program runs: if it is slow, the pipeline waits; if it is not
    there, the sink waits for it. **What is not.** With UDP nobody knows whether a datagram arrives, whether once, and
    in which order. That nobody receives is told by some hosts afterwards: it is counted and logged, and what was sent
    then is lost.

    An event that is too large for a datagram goes the way of a failed event (``on_error``).

    Further options: those of `BufferedSink` (batch_size, batch_bytes, linger, buffer_size, retry_backoff,
    retry_backoff_max).
    """

    address = option.text(
        "127.0.0.1 8888",
        help="Where to send: ``host port``, ``host:port``, ``[IPv6]:port``, a port alone (on this machine) or the path "
        "of a UNIX socket.",
    )
    max_packet_size = option.size(65536, help="The largest datagram, in bytes.")
    receiver_buffer_size = option.size(0, help="Of no effect; the manual has it here too.")
    encoding = option.encoding("utf-8", help="The encoding of text.")

    ConfigDefaults = {"linger": 0.0}

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            addresses = read_addresses(options, "address", self.address, is_destination=True)
            if len(addresses) > 1:
                options.refuse("address", "has several lines; expected one address to send to")
        self._address = addresses[0] if addresses else None
        self._socket: sockets.socket | None = None
        self._log = SparseLog(pipeline.L.report)
        self.refused_total = 0
        """How often the other side has told that it did not receive an earlier datagram."""

    def process(self, context: Context, event: Event) -> None:
        """Put an event into the buffer."""
        data = as_bytes(self, event, self.encoding)
        if len(data) > self.max_packet_size:
            raise ProcessingError(
                f"{self!r} got an event of {len(data)} bytes, more than max_packet_size ({self.max_packet_size})"
            )
        super().process(context, data)

    async def write(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            ConnectionLostError: the destination cannot be reached.
        """
        for index, event in enumerate(batch):
            try:
                await self._send(self._socket or await self._connect(), event)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    batch.reject(index, f"{self!r} cannot send {len(event)} bytes to {self._address} in one datagram")
                    continue
                self._disconnect()
                if index == 0:
                    raise ConnectionLostError(f"it cannot send to {self._address}: {reason_of(error)}") from None
                for later in range(index, len(batch)):
                    batch.retry(later)
                return

    async def _send(self, sock: sockets.socket, event: bytes) -> None:
        for _ in range(_ATTEMPTS):
            try:
                try:
                    sock.send(event)
                except BlockingIOError:
                    await self.Loop.sock_sendall(sock, event)
                return
            except OSError as error:
                if error.errno not in _OF_AN_EARLIER_ONE or sock.family == sockets.AF_UNIX:
                    raise
                self.refused_total += 1
                self._log.say("refused", f"{self!r} sends to {self._address} in vain: {reason_of(error)}")
        raise ConnectionLostError("the destination is not there")

    async def _connect(self) -> sockets.socket:
        if self._address is None:
            raise ConnectionLostError("it has no address to send to")
        try:
            endpoints = await resolve(self._address, sockets.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise ConnectionLostError(reason_of(error)) from None
        endpoint = endpoints[0]
        sock = sockets.socket(endpoint.family, sockets.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(endpoint.sockaddr)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        return sock

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """Stop the writers and close the socket."""
        await super().close()
        self._disconnect()

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface."""
        return {**super().rest_get(), "Refused": self.refused_total}
