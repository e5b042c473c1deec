"""A sink that sends events by HTTP requests."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import aiohttp
import asab
import yarl

from bspump import Batch, BufferedSink, Context, RejectedError, option
from bspump._urls import shown_url

from ._bodies import FORMATS
from ._client import HTTPClient, Statuses, request_failed
from ._failures import NETWORK_ERRORS, RequestFailedError, retry_after, shown_status

if TYPE_CHECKING:
    from bspump import Pipeline

_TRANSIENT = frozenset({408, 425, 429})
_SHOWN_BYTES = 1000
_SHOWN_CHARACTERS = 200


class HTTPClientSink(HTTPClient, BufferedSink):
    """Sends events by HTTP requests, many in one. What is answered with an accepted status counts as durable.

    Connection errors, 408, 425, 429 and all 5xx are tried again with growing pauses, or when ``Retry-After`` says so,
    for as long as it takes. Any other status rejects: the events of the batch are then sent one by one, to find the bad
    ones, and these go the way that ``on_error`` of the pipeline says, with the status and the beginning of the answer
    as the reason. Redirections are not followed.

    Further options: those of `BufferedSink` (batch_size, batch_bytes, linger, buffer_size, concurrency, retry_backoff,
    retry_backoff_max) and `HTTPClient` (headers, username, password, bearer_token, cafile, cert, key, key_password,
    verify_mode, connect_timeout, read_timeout).

    Args:
        headers: headers of the requests, overriding the option ``headers``.

    Attributes:
        URL, Method, Headers: of the requests; the headers contain the authentication.
        SSL: what aiohttp takes as ``ssl``; None to go by the options.
    """

    CONTEXT_IDEMPOTENCY_KEY: ClassVar[str] = "http_idempotency_key"

    URL = option.text(
        "http://localhost/",
        key="url",
        help="The URL. A user and password in it are used for basic authentication, and are never shown.",
    )
    Method = option.text("POST", key="method", help="The method.")
    format = option.choice(
        "json_array",
        FORMATS,
        help="``json_array``: an array of the events of a batch; ``json_lines``: one event on each line; ``json``: "
        "each event is a request of its own; ``raw``: the same, but as it is, bytes or text. With the first three, "
        "bytes and text are taken for JSON already.",
    )
    content_type = option.text(help="The content type; that of the format if empty.")
    response_code = option.text("200-299", help="The statuses that are accepted: ``200``, ``200, 204``, ``200-299``.")
    idempotency_header = option.text(
        help="A header, such as ``Idempotency-Key``, that gets a value of its own for each batch and is the same when "
        'the batch is sent again. With one event in a request, ``context["http_idempotency_key"]`` is taken if it is '
        "there."
    )
    timeout = option.seconds(60.0, help="How long a request may take altogether; 0 for no limit.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._prepare_requests(self.URL, headers)
        self.Method = self.Method.strip().upper()
        with self.options() as options:
            self._accepted = Statuses(options)
        self._format = FORMATS.get(self.format, FORMATS["json_array"])
        if self._format.is_single:
            self.batch_size = 1
        if not any(name.lower() == "content-type" for name in self.Headers):
            self.Headers["Content-Type"] = self.content_type or self._format.content_type
        self.idempotency_header = self.idempotency_header.strip()
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0

    async def open(self) -> None:
        """Prepare to connect; the first request does."""
        self._session = self._new_session(total=self.timeout or None)

    async def close(self) -> None:
        """Close the connections."""
        await super().close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def write(self, batch: Batch) -> None:
        """Send a batch."""
        bodies: list[bytes] = []
        contexts: list[Context] = []
        for index, event in enumerate(batch):
            try:
                bodies.append(self._format.encode(event))
            except RejectedError as error:
                batch.reject(index, error)
            else:
                contexts.append(batch.contexts[index])
        if bodies:
            await asyncio.sleep(self._not_before - self.Loop.time())
            try:
                await self._request(self._format.join(bodies), self._own_headers(contexts))
            except RequestFailedError as failure:
                # Waited for at the next attempt, so that the failure is told now.
                self._not_before = self.Loop.time() + failure.retry_after
                raise

    def _own_headers(self, contexts: list[Context]) -> dict[str, str]:
        if not self.idempotency_header:
            return self.Headers
        key = contexts[0].setdefault(self.CONTEXT_IDEMPOTENCY_KEY, uuid.uuid4().hex)
        # The same events make the same key, and a part of them does not.
        value = key if len(contexts) == 1 else f"{key}-{len(contexts)}"
        return {**self.Headers, self.idempotency_header: str(value)}

    async def _request(self, body: bytes, headers: dict[str, str]) -> None:
        assert self._session is not None
        try:
            async with self._session.request(
                self.Method,
                self.URL,
                data=io.BytesIO(body),  # in pieces, if it is large
                headers=headers,
                ssl=True if self.SSL is None else self.SSL,
                allow_redirects=False,
            ) as response:
                if response.status in self._accepted:
                    await response.read()
                    return
                answer = await _beginning_of(response)
        except NETWORK_ERRORS as error:
            raise request_failed(self, self.Method, self.URL, error) from None
        message = f"{self.Method} {shown_url(self.URL)} answered {shown_status(response.status)}{answer}"
        if response.status in _TRANSIENT or response.status >= 500:
            raise RequestFailedError(message, response.status, retry_after(response.headers))
        raise RejectedError(message)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface."""
        return {**super().rest_get(), "URL": shown_url(self.URL)}


async def _beginning_of(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of an answer, as a part of a sentence."""
    if 300 <= response.status < 400 and "Location" in response.headers:
        return f", which redirects to {_shown_location(response)}"
    parts = bytearray()
    while len(parts) < _SHOWN_BYTES:
        chunk = await response.content.read(_SHOWN_BYTES - len(parts))
        if not chunk:
            break
        parts += chunk
    text = " ".join(parts.decode("utf-8", "replace").split())
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return f": {shown}" if shown else ""


def _shown_location(response: aiohttp.ClientResponse) -> str:
    try:
        return shown_url(str(response.url.join(yarl.URL(response.headers["Location"]))))
    except ValueError:
        return "an invalid URL"
