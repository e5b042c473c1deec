"""A webhook: events come in as HTTP requests, which are answered when the events are durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp.web
import asab

from bspump import Context, Event, option

from ._answering import AnsweringSource, NotTakenError

if TYPE_CHECKING:
    from bspump import Pipeline

L = logging.getLogger(__name__)


class WebServiceSource(AnsweringSource):
    """Makes an event of each request, as bytes: the body.

    The request is answered with 200 when the event is durable at the pipeline's destination, and with 503 and
    ``Retry-After`` when it cannot be: the pipeline is stopped by an error, is not ready for longer than
    ``ready_timeout``, does not get the event through within ``durable_timeout``, or shuts down. Whoever has no 200
    sends the event again: delivery is at-least-once. Requests that come at the same time share the checkpoints of the
    pipeline.

    Set ``path`` to have a route at the application's web server, or add `handler` to a router; or call `put` in a
    handler of your own. The context has the keys ``webservicesource.remote``, ``path``, ``query``, ``headers``,
    ``secure``, ``method``, ``url``, ``scheme``, ``forwarded``, ``host``, ``cookies``, ``content_type``, ``charset``
    (each with that prefix), from aiohttp's request; the header ``Authorization`` is left out.

    Further options: those of `AnsweringSource` (path, bearer_token, ready_timeout, commit_interval).
    """

    methods = option.text("POST", help="The methods of the route, separated by commas.")
    max_body_size = option.size("8MB", help="The largest body; a larger one is answered with 413.")
    body_timeout = option.seconds(60.0, help="How long a client may take to send the body; 0 for no limit.")
    durable_timeout = option.seconds(
        60.0, help="How long a request waits for its event to be durable, once the pipeline has it; 0 for no limit."
    )
    retry_after = option.integer(5, minimum=0, help="What clients are asked to wait in a 503, in seconds.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._add_route(self.methods.upper().replace(",", " ").split(), self.handler)

    async def handler(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        """Answer a request. To be added to a router."""
        self.authorize(request)
        try:
            async with asyncio.timeout(self.body_timeout or None):
                body = await self._read_body(request)
        except TimeoutError:
            raise aiohttp.web.HTTPRequestTimeout from None
        await self.put(None, body, request)
        return aiohttp.web.json_response({"result": "OK"})

    async def put(self, context: Context | None, data: Event, request: aiohttp.web.Request) -> None:
        """Hand an event to the pipeline and return when it is durable.

        Args:
            context: to be merged into the context of the event, or None.
            data: the event.
            request: the request that it comes from.

        Raises:
            aiohttp.web.HTTPServiceUnavailable: it is not, and should be sent again. A handler that lets this through
                is answered with 503.
            aiohttp.web.HTTPBadRequest: the request is malformed.
        """
        try:
            own_context = _context_of(request)
        except ValueError:
            raise aiohttp.web.HTTPBadRequest(text="The header Host, or the path, is not valid") from None
        try:
            number = await self.take(data, {**(context or {}), **own_context})
        except NotTakenError as error:
            raise self._unavailable(str(error)) from None
        except Exception as error:
            # The event is still with its sender, and the pipeline, which stopped at it, has said why.
            if not self.Pipeline.is_error():
                self.Pipeline.L.warning("%r did not take an event: %s: %s", self, type(error).__name__, error)
            raise self._unavailable(type(error).__name__) from None
        try:
            async with asyncio.timeout(self.durable_timeout or None):
                await self.durable(number)
        except NotTakenError as error:
            raise self._unavailable(str(error)) from None
        except TimeoutError:
            raise self._unavailable(f"not durable within {self.durable_timeout:g} seconds") from None

    def _unavailable(self, reason: str) -> aiohttp.web.HTTPServiceUnavailable:
        L.info("%r answers with 503: %s", self, reason)
        # What exactly is wrong in here is nothing that a client has to know.
        return aiohttp.web.HTTPServiceUnavailable(
            headers={"Retry-After": str(self.retry_after)},
            content_type="application/json",
            text='{"result": "ERROR", "message": "The event was not stored, send it again later"}',
        )

    async def _read_body(self, request: aiohttp.web.Request) -> bytes:
        already_read: bytes | None = getattr(request, "_read_bytes", None)
        if already_read is not None:  # by a middleware
            return already_read
        parts: list[bytes] = []
        size = 0
        if (request.content_length or 0) > self.max_body_size:
            raise aiohttp.web.HTTPRequestEntityTooLarge(self.max_body_size, request.content_length or 0)
        async for chunk in request.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > self.max_body_size:
                raise aiohttp.web.HTTPRequestEntityTooLarge(self.max_body_size, size)
        return b"".join(parts)


def _context_of(request: aiohttp.web.Request) -> Context:
    headers = request.headers.copy()
    headers.popall("Authorization", None)
    return {
        "webservicesource.remote": request.remote,
        "webservicesource.path": request.path,
        "webservicesource.query": request.query,
        "webservicesource.headers": headers,
        "webservicesource.secure": request.secure,
        "webservicesource.method": request.method,
        "webservicesource.url": request.url,
        "webservicesource.scheme": request.scheme,
        "webservicesource.forwarded": request.forwarded,
        "webservicesource.host": request.host,
        "webservicesource.cookies": request.cookies,
        "webservicesource.content_type": request.content_type,
        "webservicesource.charset": request.charset,
    }
