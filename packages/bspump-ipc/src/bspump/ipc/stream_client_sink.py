"""Sending events over a connection."""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import BufferedSink, ConnectionLostError, Context, Event, option
from bspump.abc.buffered_sink import Batch

from ._address import Address, Endpoint, read_addresses, resolve
from ._events import as_bytes
from ._failures import SparseLog, reason_of
from ._framing import JOIN_FRAMINGS, LENGTH_SIZES, framer
from ._tls import TLSOptions
from .stream import Stream, notice_vanishing
from .tlsstream import TLSStream

if TYPE_CHECKING:
    import ssl

    from bspump import Pipeline

# A connection that breaks earlier counts as one that could not be made.
_STABLE_SECONDS = 5.0
# How long a server may take to refuse our certificate after the handshake of TLS 1.3.
_REFUSAL_SECONDS = 0.5
# How long the other side may take to end the connection after we did.
_LINGER_SECONDS = 0.8


class StreamClientSink(TLSOptions, BufferedSink):
    """Connects to a TCP or UNIX stream socket, with TLS if wanted, and sends its events, ``bytes`` or ``str``.

    The pipeline is throttled until the connection stands, and again when it breaks. It is made again and again, with
    growing pauses. Events that were waiting, and the batch that was on its way, are sent over the next connection: the
    other side may get the last batch twice.

    **What is guaranteed.** An event stays with the sink until the system has taken all of its bytes; that is what a
    checkpoint waits for, and a graceful stop too. **What is not.** A TCP stream has no acknowledgement. When a
    connection breaks, or one of the two machines or programs ends, what is then in the buffers of the two sockets or on
    the way is lost, and nobody can tell how much that is. Where every event counts, use a destination that
    acknowledges.

    An outage is told once, with its reason, and so is its end. If connections break again within seconds, that is told
    less and less often.

    With ``tls = yes``, the server's certificate has to be signed by an authority that the system trusts, or by one of
    those in `cafile`, `capath` or `cadata`. `cert` is for servers that demand a certificate too.

    Further options: those of `TLSOptions` (cert, key, key_password, cafile, capath, cadata, verify_mode, ciphers) and
    `BufferedSink` (batch_size, batch_bytes, linger, retry_backoff, retry_backoff_max; concurrency has to be 1). The
    pauses between attempts to connect grow from `retry_backoff` to `retry_backoff_max`.
    """

    address = option.text(
        "127.0.0.1 8888",
        help="Where to connect to: ``host port``, ``host:port``, ``[IPv6]:port``, a port alone (on this machine) or "
        "the path of a UNIX socket. Of several, one in each line, the first that answers is used.",
    )
    framing = option.choice(
        "none",
        JOIN_FRAMINGS,
        help="``none``: events are sent as they are; ``newline`` is added where it is missing; ``nul``; "
        "``octet-counting`` (RFC 6587); ``length-prefix``.",
    )
    length_size = option.integer(4, help="How many bytes a length prefix has (big-endian): 1, 2, 4 or 8.")
    encoding = option.encoding("utf-8", help="The encoding of text.")
    buffer_size = option.integer(
        100,
        minimum=1,
        key="outbound_queue_max_size",
        help="The number of waiting events at which the pipeline is throttled.",
    )
    connect_timeout = option.seconds(10.0, help="How long a connection may take to be made.")
    tls = option.boolean(False, help="Whether to use TLS.")
    check_hostname = option.boolean(
        True, help="Whether the server's certificate has to have the name of the host in it."
    )
    server_hostname = option.text(help="That name, if it is not the one in the address.")

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
            self._addresses = read_addresses(options, "address", self.address, is_destination=True)
            if self.length_size not in LENGTH_SIZES:
                options.refuse("length_size", "is none of 1, 2, 4, 8")
                self.length_size = LENGTH_SIZES[0]
            if self.concurrency != 1:
                options.refuse("concurrency", "is not 1; there is one connection, and one batch is sent at a time")
        self._frame = framer(self.framing, self.length_size)
        self._ssl_context: ssl.SSLContext | None = None
        self._stream: Stream | None = None
        self._is_connected = asyncio.Event()
        self._connector: asyncio.Task[None] | None = None
        self._log = SparseLog(pipeline.L.report)
        self._last_error = ""
        self._outage_since: float | None = None
        self._is_outage_told = False
        self._hold = f"{self!r} is not connected"

    # Events

    def process(self, context: Context, event: Event) -> None:
        """Put an event into the buffer, framed."""
        super().process(context, self._frame(as_bytes(self, event, self.encoding)))

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
        self._ssl_context = self._client_context(is_enabled=self.tls, check_hostname=self.check_hostname)

    async def open(self) -> None:
        """Begin to connect."""
        self._outage_since = None
        self._log.forget("outage")
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
                self._say_outage(f"{error}; it tries again", since=began)
            else:
                await self._use(stream, destination)
                attempt = attempt + 1 if self.Loop.time() - began < _STABLE_SECONDS else 1
            await self._pause(attempt + 1)

    def _say_outage(self, message: str, since: float) -> None:
        """Tell that there is no connection, unless it is the outage that has been told."""
        self._last_error = message
        if self._outage_since is None:
            self._outage_since = since
            self._is_outage_told = self._log.say("outage", message)
        elif not self._is_outage_told and self.Loop.time() - self._outage_since >= _STABLE_SECONDS:
            # It seemed to be one of many short ones.
            self._is_outage_told = True
            self.Pipeline.L.report(logging.WARNING, message)

    def _say_connected(self, destination: str) -> None:
        """Tell the end of an outage, if that has been told."""
        if self._outage_since is not None and self._is_outage_told:
            seconds = self.Loop.time() - self._outage_since
            message = f"{self!r} is connected to {destination} again, after {seconds:.1f} seconds without a connection"
            self.Pipeline.L.report(asab.LOG_NOTICE, message)
        self._outage_since = None

    async def _use(self, stream: Stream, destination: str) -> None:
        """Let batches be sent over a connection until it breaks."""
        self._set_connected(stream)
        self._say_connected(destination)
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
        lost_at = self.Loop.time()
        stream.give_up(ConnectionLostError("the connection was closed"))
        await stream.close()
        self._say_outage(f"{self!r} lost its connection to {destination}: {reason}; it connects again", since=lost_at)

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
                    async with asyncio.timeout(self.connect_timeout):
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
            if not self.tls or self._ssl_context is None:
                return Stream(self.Loop, sock)
            name = self.server_hostname or address.host or "localhost"
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
        description = {**super().rest_get(), "Connected": self._stream is not None, "TLS": self.tls}
        if self._stream is None and self._last_error:
            description["LastError"] = self._last_error
        return description


def _both(address: Address, endpoint: Endpoint) -> str:
    """Name an endpoint, and the host whose address it is."""
    return str(endpoint) if str(address) == str(endpoint) else f"{address} ({endpoint})"
