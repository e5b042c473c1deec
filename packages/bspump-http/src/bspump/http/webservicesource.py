"""A webhook: events come in as HTTP requests, which are answered when the events are durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp.web
import asab

from bspump import Context, Event

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

    Options:
        path: the path of the route; none if empty.
        methods: the methods of the route, separated by commas.
        max_body_size: the largest body; a larger one is answered with 413.
        bearer_token: if set, `handler` answers requests that do not have it with 401.
        body_timeout: how long a client may take to send the body, in seconds.
        ready_timeout, durable_timeout: how long a request waits for the pipeline to be ready, and then for the event
            to be durable, in seconds; 0 for no limit.
        retry_after: what clients are asked to wait in a 503, in seconds.
        commit_interval: how long to wait for more requests before a checkpoint, in seconds.
    """

    ConfigDefaults: dict[str, Any] = {
        "methods": "POST",
        "max_body_size": "8MB",
        "body_timeout": 60.0,
        "durable_timeout": 60.0,
        "retry_after": 5,
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
            self._max_body_size = options.size("max_body_size")
            self._body_timeout = options.seconds("body_timeout")
            self._durable_timeout = options.seconds("durable_timeout")
            self._retry_after = options.integer("retry_after", minimum=0)
            methods = options.text("methods").upper().replace(",", " ").split()
        self._add_route(methods, self.handler)

    async def handler(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        """Answer a request. To be added to a router."""
        self.authorize(request)
        try:
            async with asyncio.timeout(self._body_timeout or None):
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
            async with asyncio.timeout(self._durable_timeout or None):
                await self.durable(number)
        except NotTakenError as error:
            raise self._unavailable(str(error)) from None
        except TimeoutError:
            raise self._unavailable(f"not durable within {self._durable_timeout:g} seconds") from None

    def _unavailable(self, reason: str) -> aiohttp.web.HTTPServiceUnavailable:
        L.info("%r answers with 503: %s", self, reason)
        # What exactly is wrong in here is nothing that a client has to know.
        return aiohttp.web.HTTPServiceUnavailable(
            headers={"Retry-After": str(self._retry_after)},
            content_type="application/json",
            text='{"result": "ERROR", "message": "The event was not stored, send it again later"}',
        )

    async def _read_body(self, request: aiohttp.web.Request) -> bytes:
        already_read: bytes | None = getattr(request, "_read_bytes", None)
        if already_read is not None:  # by a middleware
            return already_read
        parts: list[bytes] = []
        size = 0
        if (request.content_length or 0) > self._max_body_size:
            raise aiohttp.web.HTTPRequestEntityTooLarge(self._max_body_size, request.content_length or 0)
        async for chunk in request.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > self._max_body_size:
                raise aiohttp.web.HTTPRequestEntityTooLarge(self._max_body_size, size)
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
