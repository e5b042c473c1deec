"""Listening for connections and reading events from them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket as sockets
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import ConfigurationError, ConnectionLostError, Context, PipelineError, Source, option
from bspump._component import ComponentConfig

from ._address import BoundSocket, SocketAddress, bind_all, name_of, read_addresses
from ._failures import SparseLog, reason_of
from ._tasks import first_failure_of
from ._tls import TLSOptions
from .protocol import LineOptions, LineSourceProtocol, SourceProtocolABC
from .stream import Stream, notice_vanishing
from .tlsstream import TLSStream

if TYPE_CHECKING:
    from bspump import Pipeline
    from bspump._options import Options

# What accept() fails with when the machine or the process has come to a limit
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE = 0.5
# How long a stop waits for what has been read to enter the pipeline.
_FINISH_SECONDS = 5.0
# How long a client that has ended its side waits for replies that a generator is still working on.
_REPLY_SECONDS = 10.0


def _read_backlog(options: Options, key: str) -> int:
    return sockets.SOMAXCONN if options.raw(key) in ("", None) else options.integer(key, minimum=1)


class StreamServerSource(LineOptions, TLSOptions, Source):
    """Listens on TCP or UNIX stream sockets, with TLS if a certificate is given, and reads events from its clients.

    An event is a line of text unless the options of the protocol (see `LineSourceProtocol`) say otherwise. The context
    has the keys ``stream_type`` (such as ``AF_INET``), ``stream_dir`` (``in``), ``stream_peer`` and ``stream_me`` (the
    addresses of the two ends) and ``stream``: ``context["stream"].send(b"...")`` replies. Replies to a client that has
    ended its own side are still sent.

    **What is guaranteed.** While the pipeline is throttled or stopped by an error, nothing is read, and the senders are
    held up by TCP. An event that stops the pipeline is kept and tried again once the error is cleared, unless it had
    passed a generator before: then it is lost but for ``on_error = dead_letter``. A graceful stop hands on what has
    been read. **What is not.** TCP has no acknowledgement that this source could give: a client
    cannot know what of that which it sent has been processed. What is in the buffers of the sockets when this process
    ends, and what is in the pipeline when it is killed, is lost. Where that matters, let the client wait for a reply
    that the pipeline sends, or use a transport with acknowledgements.

    Each client has a task of its own, and a slow one does not hold up the others.

    Clients that show certificates are trusted if one of the authorities in `cafile`, `capath` or `cadata` has signed
    them; with one of these options, they have to show one.

    Further options: those of `LineOptions` (framing, decode, line_limit, length_size) and `TLSOptions` (cert, which
    switches TLS on, key, key_password, cafile, capath, cadata, verify_mode, ciphers).

    Args:
        app: the application.
        pipeline: the pipeline.
        id: unique within the pipeline.
        config: the options.
        protocol_class: how the bytes of a connection become events.
    """

    address = option.text(
        "127.0.0.1 8888",
        help="Where to listen, one address in each line: ``host port``, ``host:port``, ``[IPv6]:port``, a port alone "
        "(on the loopback addresses), ``*:port`` (on every address), or the path of a UNIX socket, which has a ``/`` "
        "in it. Port 0 is any free port.",
    )
    backlog = option.custom(
        _read_backlog,
        "",
        values="whole number, 1 or more",
        schema={"type": ["integer", "string"]},
        help="How many connections may wait to be accepted; the system's largest number if empty.",
    )
    reuse_port = option.boolean(
        False, help="Let several processes listen on the same port; the system distributes the connections."
    )
    max_connections = option.integer(
        0,
        minimum=0,
        help="How many clients there may be at once; those beyond are turned away, so that they cannot use up the "
        "files that a process may have open. No limit but the system's if 0.",
    )
    idle_timeout = option.seconds(0.0, help="How long a client may say nothing before it is sent away; for ever if 0.")
    outbound_limit = option.size("16MB", help="How many bytes of replies may wait for one client to read them.")
    handshake_timeout = option.seconds(10.0, help="How long a client may take for the handshake of TLS.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        protocol_class: type[SourceProtocolABC] = LineSourceProtocol,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            self._addresses = read_addresses(options, "address", self._address_text())
            try:
                self.Protocol = protocol_class(app, pipeline, self._config_of_protocol())
            except ConfigurationError as error:
                options.problems.extend(error.problems)
                self.Protocol = protocol_class(app, pipeline, {})
        self._ssl_context: ssl.SSLContext | None = None
        self._listeners: list[BoundSocket] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._streams: set[Stream] = set()
        self._is_stopping = False
        self._log = SparseLog(pipeline.L.report)
        self._checkpoint_lock = asyncio.Lock()
        self._wanted_checkpoints = 0
        self._had_checkpoints = 0
        self.connections_total = 0
        """How many connections have been accepted."""

    def _config_of_protocol(self) -> ComponentConfig:
        # A value that cannot be read has been told already.
        readable = {key: getattr(self, key) for key in option.own_options(LineOptions)}
        return ComponentConfig(self.section, {**self.Config, **readable})

    def _address_text(self) -> str:
        return self.address

    def _context_of(self, client: sockets.socket) -> Context:
        return {
            "stream_type": client.family.name,
            "stream_dir": "in",
            "stream_peer": client.getpeername(),
            "stream_me": client.getsockname(),
        }

    @property
    def addresses(self) -> list[SocketAddress]:
        """Where the source listens: ``(host, port)`` with further numbers for IPv6, or the path of a UNIX socket."""
        return [listener.name for listener in self._listeners]

    def prepare(self) -> None:
        """Read the certificates."""
        self._ssl_context = self._server_context()

    async def open(self) -> None:
        """Listen.

        Raises:
            ConnectionLostError: one of the addresses cannot be had.
        """
        self._is_stopping = False
        listeners = await bind_all(self, self._addresses, sockets.SOCK_STREAM, reuse_port=self.reuse_port)
        for listener in listeners:
            try:
                listener.socket.listen(self.backlog)
            except OSError as error:
                for one in listeners:
                    one.close()
                reason = reason_of(error)
                raise ConnectionLostError(f"{self!r} cannot listen on {name_of(listener.name)}: {reason}") from None
        self._listeners = listeners

    async def main(self) -> None:
        """Accept connections until cancelled."""
        await first_failure_of(
            self.Loop.create_task(self._accept(listener), name=f"bspump accept {name_of(listener.name)}")
            for listener in self._listeners
        )

    async def _accept(self, listener: BoundSocket) -> None:
        while True:
            try:
                client, _ = await self.Loop.sock_accept(listener.socket)
            except ConnectionAbortedError:
                continue  # the client has gone already
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._log.say("accept", f"{self!r} cannot accept a connection at the moment: {reason_of(error)}")
                await asyncio.sleep(_EXHAUSTED_PAUSE)
                continue
            if self.max_connections and len(self._clients) >= self.max_connections:
                client.close()
                message = (
                    f"{self!r} turned a client away, since it has max_connections ({self.max_connections}) of them"
                )
                self._log.say("full", message)
                await asyncio.sleep(0)
                continue
            self.connections_total += 1
            task = self.Loop.create_task(self._serve(client), name=f"bspump client {self.locate_address()}")
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
            # In a flood of connections, those that are there already have their turn.
            await asyncio.sleep(0)

    # One client

    async def _serve(self, client: sockets.socket) -> None:
        if self._is_stopping:
            client.close()
            return
        try:
            context = self._context_of(client)
        except OSError:
            client.close()  # the client has gone already
            return
        stream = context["stream"] = self._stream_of(client)
        self._streams.add(stream)
        peer = name_of(context["stream_peer"])
        try:
            if await self._has_begun(stream, peer):
                await self.Protocol.handle(self, stream, context)
                await self._wait_for_replies()
        except asyncio.CancelledError:
            return  # a stop: replies to what is still in the pipeline are sent until `close`
        except PipelineError as error:
            self._connection_lost(stream, peer, error)
        except (OSError, EOFError) as error:
            self._connection_lost(stream, peer, error)
        except Exception as error:
            error.add_note(f"It came out of {type(self.Protocol).__name__}.handle() for {peer}")
            await self.Protocol.reject(self, error, None, context)
        await self._close_stream(stream)

    def _stream_of(self, client: sockets.socket) -> Stream:
        notice_vanishing(client)
        if self._ssl_context is not None:
            stream: Stream = TLSStream(self.Loop, self._ssl_context, client, server_side=True)
        else:
            stream = Stream(self.Loop, client)
        stream.outbound_limit = self.outbound_limit
        stream.idle_timeout = self.idle_timeout
        return stream

    async def _has_begun(self, stream: Stream, peer: str) -> bool:
        if not isinstance(stream, TLSStream):
            return True
        try:
            async with asyncio.timeout(self.handshake_timeout):
                return await stream.handshake()
        except OSError as error:
            self._log.say("handshake", f"{self!r} refused the client {peer}: {reason_of(error)}")
            return False

    def _connection_lost(self, stream: Stream, peer: str, error: Exception) -> None:
        stream.give_up(error)
        notes = "; ".join(getattr(error, "__notes__", ()))
        message = f"{self!r} lost the connection of the client {peer}: {reason_of(error)}"
        if notes:
            self._log.say("incomplete", f"{message}; {notes}")
        else:
            self._log.say("lost", message, logging.INFO)

    async def _wait_for_replies(self) -> None:
        """Let generators finish what they are doing for a client that waits for it."""
        if len(self.Pipeline.Processors) < 2:
            return
        self._wanted_checkpoints += 1
        wanted = self._wanted_checkpoints
        try:
            async with asyncio.timeout(_REPLY_SECONDS), self._checkpoint_lock:
                if self._had_checkpoints < wanted:
                    covered = self._wanted_checkpoints
                    await self.Pipeline.checkpoint()
                    self._had_checkpoints = covered
        except (TimeoutError, PipelineError):
            return  # there are no replies to wait for: the pipeline has said why

    async def _close_stream(self, stream: Stream) -> None:
        self._streams.discard(stream)
        await stream.close()

    # The end

    async def stop(self) -> None:
        """End the intake: close the listening sockets, read nothing more, hand on what has been read."""
        self._is_stopping = True
        await super().stop()
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        for stream in self._streams:
            stream.end_intake()
        if self._clients:
            await self._end_clients(0.0 if self.Pipeline.is_error() else _FINISH_SECONDS)

    async def _end_clients(self, limit: float) -> None:
        clients = set(self._clients)
        try:
            await asyncio.wait(clients, timeout=limit)
        finally:
            for client in clients:
                client.cancel()
        await asyncio.wait(clients)

    async def close(self) -> None:
        """Send the last replies and close the connections."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        streams, self._streams = self._streams, set()
        await asyncio.gather(*(stream.close() for stream in streams))
        self.Protocol.unprocessed.report(self)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface."""
        return {
            **super().rest_get(),
            "Addresses": [name_of(address) for address in self.addresses],
            "TLS": self._ssl_context is not None,
            "Connections": len(self._streams),
            "ConnectionsTotal": self.connections_total,
        }
