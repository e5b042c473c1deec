"""A sink that sends events over a WebSocket."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import asab

from bspump import Batch, BufferedSink, ConnectionLostError, Context, Event, RejectedError, option
from bspump._urls import shown_url
from bspump.common._expect import wrong_type

from ._client import HTTPClient
from ._confirmation import confirmation
from ._failures import NETWORK_ERRORS, reason_of

if TYPE_CHECKING:
    from bspump import Pipeline

# What a server closes the connection with when it cannot make anything of a message.
_REFUSALS = frozenset(
    {
        aiohttp.WSCloseCode.UNSUPPORTED_DATA,
        aiohttp.WSCloseCode.INVALID_TEXT,
        aiohttp.WSCloseCode.MESSAGE_TOO_BIG,
    }
)


class HTTPClientWebSocketSink(HTTPClient, BufferedSink):
    """Sends each event as a message: bytes as a binary one, text as a text one.

    The pipeline is throttled until the connection stands, and again while it is interrupted. After each batch a ping is
    sent, and the events count as delivered when its pong has come: a `WebSocketSource` sends it when they are durable,
    other servers when they have read them. What is not confirmed when the connection breaks is sent again over the next
    one. A message that the server closes the connection at, since it is too big or of the wrong kind, is rejected.

    Further options: those of `BufferedSink` (batch_size, batch_bytes, linger, concurrency, retry_backoff,
    retry_backoff_max) and `HTTPClient` (headers, username, password, bearer_token, cafile, cert, key, key_password,
    verify_mode, connect_timeout, read_timeout). Batches are small, and ``linger`` is short, unless you set them.

    Args:
        ssl: what aiohttp takes as ``ssl``; None to go by the options.
    """

    ConfigDefaults: dict[str, Any] = {"batch_size": 100, "linger": 0.01}

    URL = option.text(
        "https://localhost:8081/",
        key="url",
        help="The URL, with ``http``, ``https``, ``ws`` or ``wss``. A user and password in it are never shown.",
    )
    buffer_size = option.integer(
        100,
        minimum=1,
        key="output_queue_max_size",
        help="The number of buffered events at which the pipeline is throttled; it takes the place of ``buffer_size``.",
    )
    confirm = option.boolean(True, help="Whether to wait for pongs; without, a cut connection may lose events.")
    heartbeat = option.seconds(30.0, help="How often to look whether the server is still there; 0 for never.")
    reconnect_delay = option.seconds(5.0, help="The pause before each attempt to connect again.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        ssl: tls.SSLContext | bool | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._prepare_requests(self.URL, schemes=("http", "https", "ws", "wss"))
        self.SSL = ssl
        self._link = _Link(self.URL)
        self._connecting: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._numbers = 0
        self._unconfirmed: dict[bytes, asyncio.Future[None]] = {}

    def process(self, context: Context, event: Event) -> None:
        """Put an event into the buffer."""
        if not isinstance(event, bytes | str):
            raise wrong_type(self, event, "bytes or str")
        super().process(context, event)

    async def write(self, batch: Batch) -> None:
        """Send the events and return when they are confirmed."""
        await self._connected.wait()
        socket = self._socket
        if socket is None:
            raise ConnectionLostError(f"the connection to {self._link} was lost")
        self._numbers += 1
        data = confirmation(self._numbers)
        confirmed = self._unconfirmed[data] = self.Loop.create_future()
        try:
            await self._send(socket, batch)
            if self.confirm:
                await socket.ping(data)
                await confirmed
        except NETWORK_ERRORS as error:
            if isinstance(error, ConnectionLostError):
                raise
            # The end of the connection tells more than what the sending ran into.
            await confirmed
        finally:
            self._unconfirmed.pop(data, None)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, batch: Batch) -> None:
        for event in batch:
            if isinstance(event, bytes):
                await socket.send_bytes(event)
            else:
                await socket.send_str(event)

    # The connection

    async def open(self) -> None:
        """Begin to connect."""
        self.Pipeline.throttle(self._link)
        self._connecting = self.Loop.create_task(self._keep_connected(), name=f"bspump connect {self.locate_address()}")

    async def close(self) -> None:
        """Close the connection."""
        await super().close()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
            self._connecting = None
        self.Pipeline.throttle(self._link, False)

    async def _keep_connected(self) -> None:
        is_known = False
        async with self._new_session() as session:
            while True:
                try:
                    async with await self._connect(session) as socket:
                        is_known = False
                        await self._use(socket)
                except NETWORK_ERRORS as error:
                    if not is_known:
                        self._say_not_connected(reason_of(error))
                        is_known = True
                except Exception as error:
                    # A mistake in here must not look like a server that is away.
                    self.Pipeline.set_error(None, None, error)
                await asyncio.sleep(self.reconnect_delay)

    async def _connect(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        return await session.ws_connect(
            self.URL,
            headers=self.Headers,
            ssl=True if self.SSL is None else self.SSL,
            heartbeat=self.heartbeat or None,
            autoping=False,
        )

    async def _use(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Let events out until the connection ends."""
        self._socket = socket
        self._connected.set()
        self.Pipeline.throttle(self._link, False)
        try:
            await self._receive(socket)
            self._say_not_connected(f"the server closed the connection with {_shown_code(socket.close_code)}")
        finally:
            self._socket = None
            self._connected.clear()
            self.Pipeline.throttle(self._link)
            self._disconnected(socket.close_code)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take what the server sends, until it closes the connection."""
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.PONG:
                confirmed = self._unconfirmed.get(bytes(message.data))
                if confirmed is not None and not confirmed.done():
                    confirmed.set_result(None)
            elif message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return

    def _disconnected(self, code: int | None) -> None:
        for confirmed in self._unconfirmed.values():
            if not confirmed.done():
                confirmed.set_exception(self._end_of_connection(code))
                confirmed.exception()  # nobody may be waiting for it

    def _end_of_connection(self, code: int | None) -> Exception:
        if code in _REFUSALS:
            return RejectedError(f"{self._link} closed the connection at the message with {_shown_code(code)}")
        return ConnectionLostError(f"{self._link} closed the connection with {_shown_code(code)}")

    def _say_not_connected(self, reason: str) -> None:
        self.Pipeline.L.warning(
            "%r is not connected to %s: %s; it tries again every %g seconds",
            self,
            self._link,
            reason,
            self.reconnect_delay,
        )

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface."""
        return {**super().rest_get(), "URL": str(self._link), "Connected": self._connected.is_set()}


class _Link:
    """Who throttles the pipeline as long as there is no connection."""

    def __init__(self, url: str) -> None:
        self._url = shown_url(url)

    def __str__(self) -> str:
        return self._url


def _shown_code(code: int | None) -> str:
    if code is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return "no closing handshake"
    try:
        return f"{code} ({aiohttp.WSCloseCode(code).name.lower().replace('_', ' ')})"
    except ValueError:
        return str(code)


HTTPClientSocketSink = HTTPClientWebSocketSink
"""The name that the manual has in one place."""
