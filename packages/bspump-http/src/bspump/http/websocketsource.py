"""A WebSocket server: each message of a client is an event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.web
import asab

from bspump import option

from ._answering import AnsweringSource, NotTakenError
from ._confirmation import is_confirmation

if TYPE_CHECKING:
    from bspump import Pipeline

_CLOSING_SECONDS = 2.0
_TRY_AGAIN = aiohttp.WSCloseCode.TRY_AGAIN_LATER


class WebSocketSource(AnsweringSource):
    """Makes an event of each message: a text message is a ``str``, a binary one ``bytes``.

    Set ``path`` to have a route at the application's web server, or add `handler` to a router::

        app.WebContainer.WebApp.router.add_get("/bspump/ws", pipeline.WebSocketSource.handler)

    The context has the keys ``type``, the `aiohttp.WSMsgType`, and ``request``. While the pipeline is not ready nothing
    is read, so that the client has to wait; while it is stopped by an error, clients are refused with 503, or their
    connection is closed with 1013 (try again later).

    WebSockets know no acknowledgement: what a client has sent and is not durable yet can be lost with this process.
    `HTTPClientWebSocketSink` asks for one all the same, by a ping that is answered when all before it is durable.
    Other clients can do so too: the data of such a ping begins with ``bspump:``.

    Further options: those of `AnsweringSource` (path, bearer_token, ready_timeout, commit_interval). A message waits
    for the pipeline for as long as it takes, unless you set ``ready_timeout``.
    """

    ConfigDefaults: dict[str, Any] = {"ready_timeout": 0.0}

    max_message_size = option.size("16MB", help="The largest message; a larger one closes the connection with 1009.")
    keep_alive = option.seconds(
        10.0, help="How often an unasked pong tells the client that this side is alive; 0 for never."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._sockets: set[aiohttp.web.WebSocketResponse] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._add_route(["GET"], self.handler)
        # The manual reaches the source as an attribute of its pipeline.
        vars(pipeline).setdefault("WebSocketSource", self)

    async def handler(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        """Serve one client until it, or the source, closes the connection. To be added to a router."""
        self.authorize(request)
        if self._is_closing or self.Pipeline.is_error():
            raise aiohttp.web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        socket = aiohttp.web.WebSocketResponse(
            autoping=False, max_msg_size=self.max_message_size, timeout=_CLOSING_SECONDS
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        pulse = self.Loop.create_task(self._pulse(socket)) if self.keep_alive else None
        try:
            await self._serve(socket, request)
        finally:
            self._sockets.discard(socket)
            if pulse is not None:
                pulse.cancel()
        return socket

    async def stop(self) -> None:
        """Close all connections with 1001 (going away)."""
        await self._close_all(aiohttp.WSCloseCode.GOING_AWAY, "the server is shutting down")
        await super().stop()

    async def rewind(self) -> None:
        """Close all connections: what came over them, and is not confirmed, has to come again."""
        await super().rewind()
        await self._close_all(_TRY_AGAIN, "some messages were lost")

    async def _serve(self, socket: aiohttp.web.WebSocketResponse, request: aiohttp.web.Request) -> None:
        last = 0
        while True:
            message = await socket.receive()
            try:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    last = await self.take(message.data, {"type": message.type, "request": request})
                elif message.type is aiohttp.WSMsgType.PING:
                    if is_confirmation(message.data):
                        await self.durable(last)
                    await _answer(socket, message.data)
                elif message.type is not aiohttp.WSMsgType.PONG:
                    self._say_refused(message, request)
                    return
            except NotTakenError:
                await socket.close(code=_TRY_AGAIN, message=b"try again later")
                return
            except Exception:
                # The pipeline has stopped at the event, and said so.
                await socket.close(code=aiohttp.WSCloseCode.INTERNAL_ERROR, message=b"the message was not stored")
                return

    def _say_refused(self, message: aiohttp.WSMessage, request: aiohttp.web.Request) -> None:
        if message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
            self.Pipeline.L.warning(
                "%r closed the connection of %s with %d: %s", self, request.remote, message.data.code, message.data
            )

    async def _pulse(self, socket: aiohttp.web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(self.keep_alive)
            await _answer(socket, b"")

    async def _close_all(self, code: int, message: str) -> None:
        sockets = list(self._sockets)
        await asyncio.gather(*(socket.close(code=code, message=message.encode()) for socket in sockets))

    def _on_stop(self, message_type: str, *args: Any, **kwargs: Any) -> None:
        super()._on_stop(message_type, *args, **kwargs)
        if self._sockets:
            # Without waiting for the pipeline's turn: the web server waits for its handlers to end.
            closing = self.Loop.create_task(
                self._close_all(aiohttp.WSCloseCode.GOING_AWAY, "the server is shutting down")
            )
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _answer(socket: aiohttp.web.WebSocketResponse, data: bytes) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # whoever has gone needs no answer
        await socket.pong(data)
