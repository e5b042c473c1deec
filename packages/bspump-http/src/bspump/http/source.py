"""Sources that make an HTTP request in each cycle: the response as bytes or as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import asab
import yarl

from bspump import Context, ProcessingError, TriggerSource, option
from bspump._urls import shown_url

from ._client import HTTPClient, Statuses, request_failed
from ._failures import NETWORK_ERRORS, RequestFailedError, retry_after, shown_status

if TYPE_CHECKING:
    from bspump import Pipeline


class HTTPClientSource(HTTPClient, TriggerSource):
    """Makes a request each time its trigger fires; the body of the response is an event, as bytes.

    A request that fails, or is answered with a status that is not accepted, is made again after a pause; if it fails
    too often, the pipeline stops with a hard error, and goes on with a new cycle once that is cleared. Events that an
    error lost behind the source come again: the request is made anew then.

    To take several pages, say ``pagination = link``, or override `next_page`. To make something else of a response,
    override `read`. The context of an event has the key ``url``, without credentials and the values of the query.

    Further options: those of `HTTPClient` (headers, username, password, bearer_token, cafile, cert, key, key_password,
    verify_mode, connect_timeout, read_timeout).

    Args:
        headers: headers of the request, overriding the option ``headers``.

    Attributes:
        URL, Method, Headers: of the request; the headers contain the authentication.
        SSL: what aiohttp takes as ``ssl``; None to go by the options.
    """

    URL = option.text(
        "http://example.com/",
        key="url",
        help="The URL. A user and password in it are used for basic authentication, and are never shown.",
    )
    Method = option.text("GET", key="method", help="The method.")
    body = option.text(help="The body of the request, as text in UTF-8.")
    response_code = option.text("200", help="The statuses that are accepted: ``200``, ``200, 204``, ``200-299``.")
    max_failed_retries = option.integer(
        3, minimum=0, help="How often a failed request is made again before the pipeline stops."
    )
    fail_chilldown = option.seconds(
        30.0,
        help="The pause before the last of these attempts; each pause is twice the one before. If the server asks for "
        "a longer one (``Retry-After``), that is kept.",
    )
    pagination = option.choice(
        "none", ("none", "link"), help="``link``: go on with the page that the header ``Link`` calls next."
    )
    max_body_size = option.size("256MB", help="The largest body that is taken into memory at once.")

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
        self._cycles = 0

    async def main(self, *args: Any, **kwags: Any) -> None:
        """Hold one session around all the cycles."""
        async with self._new_session() as session:
            await super().main(session, *args, **kwags)

    async def cycle(self, session: aiohttp.ClientSession) -> None:
        """Request all the pages."""
        url: str | None = self.URL
        seen: set[str] = set()
        while url is not None:
            if url in seen:
                raise ProcessingError(f"{self!r}: the page {shown_url(url)} comes after itself")
            seen.add(url)
            url = await self._request_until_answered(session, url)
        self._cycles += 1
        self.position = self._cycles

    async def commit(self, position: int) -> None:
        """Nothing has to be said to the server."""

    async def rewind(self) -> None:
        """Make the request again, if events of an earlier cycle got lost."""
        if self._cycles != (self.committed_position or 0):
            await super().rewind()

    async def _request_until_answered(self, session: aiohttp.ClientSession, url: str) -> str | None:
        failures = 0
        while True:
            try:
                return await self._request(session, url)
            except RequestFailedError as failure:
                failures += 1
                if failures > self.max_failed_retries:
                    raise
                longest = self.fail_chilldown / 2 ** (self.max_failed_retries - failures)
                pause = max(longest, failure.retry_after)
                self.Pipeline.L.warning(
                    "%s; it is tried again in %g seconds (%d of %d)",
                    failure,
                    pause,
                    failures,
                    self.max_failed_retries,
                )
            await asyncio.sleep(pause)

    async def _request(self, session: aiohttp.ClientSession, url: str) -> str | None:
        """Make one request and read the response. Returns the URL of the next page."""
        try:
            response = await session.request(
                self.Method,
                url,
                headers=self.Headers,
                data=self.body.encode() or None,
                ssl=True if self.SSL is None else self.SSL,
            )
        except NETWORK_ERRORS as error:
            raise request_failed(self, self.Method, url, error) from None
        async with response:
            if response.status not in self._accepted:
                raise RequestFailedError(
                    f"{self!r}: {self.Method} {shown_url(url)} answered {shown_status(response.status)}, expected "
                    f"{self._accepted.text}",
                    response.status,
                    retry_after(response.headers),
                )
            try:
                event = await self.read(response)
                if event is not None:
                    await self.process(event, self.context_of(response))
                following = await self.next_page(response)
            except aiohttp.ClientError as error:
                raise request_failed(self, self.Method, url, error) from None
        return self._checked_page(response, following) if following is not None else None

    def _checked_page(self, response: aiohttp.ClientResponse, following: str | yarl.URL) -> str:
        page = response.url.join(yarl.URL(following))
        first = yarl.URL(self.URL)
        is_same_server = page.host == first.host and page.scheme in {first.scheme, "https"}
        if not is_same_server or (page.scheme == first.scheme and page.port != first.port):
            # The credentials of one server are no business of another.
            raise ProcessingError(
                f"{self!r}: the page after {shown_url(str(response.url))} is {shown_url(str(page))}, which is another "
                "server"
            )
        return str(page)

    async def next_page(self, response: aiohttp.ClientResponse) -> str | yarl.URL | None:
        """Return the URL of the page after this one, or None if it is the last. Override it.

        What `read` took into memory can still be had here, for example by ``await response.json()``. A relative URL is
        one from the page on.
        """
        if self.pagination != "link" or "next" not in response.links:
            return None
        url: yarl.URL = response.links["next"]["url"]  # type: ignore[assignment]
        return url

    async def read(self, response: aiohttp.ClientResponse) -> Any:
        """Return the event of a response; or process any number of events and return None. Override it."""
        return await self.read_body(response)

    async def read_body(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body.

        Raises:
            ProcessingError: it is larger than ``max_body_size``.
        """
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks(response):
            parts.append(chunk)
            size += len(chunk)
            if size > self.max_body_size:
                raise ProcessingError(
                    f"{self!r}: the body of {shown_url(str(response.url))} is larger than max_body_size "
                    f"({self.Config['max_body_size']})"
                )
        # What `response.text` and `response.json` of an overridden method look for
        response._body = b"".join(parts)
        return response._body

    async def chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, decompressed.

        Raises:
            RequestFailedError: the connection was cut, or nothing comes any more.
        """
        while True:
            try:
                chunk = await response.content.readany()
            except NETWORK_ERRORS as error:
                raise request_failed(self, self.Method, str(response.url), error) from None
            if not chunk:
                return
            yield chunk

    def context_of(self, response: aiohttp.ClientResponse) -> Context:
        """Return the context of the events of a response."""
        return {"url": shown_url(str(response.url))}


class HTTPClientTextSource(HTTPClientSource):
    """As `HTTPClientSource`, with the body as text.

    A body that is not valid in its encoding is a failed event: ``on_error`` of the pipeline decides about it.

    Further options: those of `HTTPClientSource` (url, method, response_code, max_failed_retries …) and `HTTPClient`
    (headers, username …).
    """

    encoding = option.encoding("", help="The encoding of the body; if empty, what the response says, else UTF-8.")

    async def read(self, response: aiohttp.ClientResponse) -> Any:
        """Return the body as text."""
        body = await self.read_body(response)
        encoding = self.encoding_of(response)
        try:
            return body.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            url = shown_url(str(response.url))
            reason = f"the body of {url} is not valid {encoding}: byte {error.start} ({error.reason})"
            await self.reject(ProcessingError(reason), body, self.context_of(response))
            return None

    def encoding_of(self, response: aiohttp.ClientResponse) -> str:
        """Return the encoding of a response.

        Raises:
            ProcessingError: the response names one that does not exist.
        """
        encoding = self.encoding or response.charset or "utf-8"
        try:
            "".encode(encoding)
        except LookupError:
            url = shown_url(str(response.url))
            raise ProcessingError(
                f"{self!r}: {url} says that its charset is {encoding!r}, which does not exist; set the option encoding"
            ) from None
        return encoding
