"""A sink that writes events into the responses of HTTP requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import aiohttp.web
import asab

from bspump import Context, Event, PipelineError, ProcessingError, Sink, option
from bspump.common._expect import wrong_type

if TYPE_CHECKING:
    from bspump import Pipeline


class WebServiceResponse(aiohttp.web.StreamResponse):
    """A response that the events of a `WebServiceSink` are written into, in the order in which they come.

    Nothing is sent before the first event: until then it can be given up for another response. It is complete at the
    end of the ``async with`` block.

    Attributes:
        Id: what ``context[WebServiceSink.CONTEXT_RESPONSE_ID]`` of the events has to be.
    """

    def __init__(self, sink: WebServiceSink, request: aiohttp.web.Request, content_type: str) -> None:
        super().__init__()
        self.content_type = content_type
        self.Id = uuid.uuid4().hex
        self._sink = sink
        self._request_of_client = request
        self._chunks: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None
        self._size = 0
        self.is_lost = False
        """Whether the client has gone, or takes nothing any more."""

    async def __aenter__(self) -> Self:
        self._sink._opened(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sink._closed(self)
        if error is not None and not self.prepared:
            self._chunks.clear()
            return  # the handler's exception becomes the answer
        await self.flushed()
        if self.is_lost:
            return
        with contextlib.suppress(ConnectionError):  # whoever has gone misses nothing
            if not self.prepared:
                await self.prepare(self._request_of_client)
            await self.write_eof()

    def feed(self, data: bytes) -> None:
        """Take data to be written."""
        self._chunks.append(data)
        self._size += len(data)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    @property
    def buffered(self) -> int:
        """How many bytes wait for the client."""
        return self._size

    async def flushed(self) -> None:
        """Return when all that was taken is written, or cannot be."""
        while self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                while self._chunks:
                    limit.reschedule(asyncio.get_running_loop().time() + self._sink.write_timeout)
                    if not self.prepared:
                        await self.prepare(self._request_of_client)
                    data = b"".join(self._chunks)
                    self._chunks.clear()
                    await self.write(data)
                    self._size -= len(data)
                    self._sink._flow()
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            # RuntimeError is what aiohttp raises for a response that has ended.
            self._lose(error)
        finally:
            self._writing = None
            self._sink._flow()

    def _lose(self, error: Exception) -> None:
        self.is_lost = True
        self._chunks.clear()
        self._size = 0
        self._sink._lost(self, error)
        transport = self._request_of_client.transport
        if transport is not None:
            transport.abort()


class WebServiceSink(Sink):
    """Writes each event into the response that its context names: bytes as they are, text in UTF-8.

    In a handler::

        response = await sink.response(request)
        async with response:
            await source.put({sink.CONTEXT_RESPONSE_ID: response.Id}, await request.read(), request)
        return response

    The response ends with the ``async with`` block. Events may come from any source, as long as their context names
    the response; to keep it open for them, stay in the block. A checkpoint returns when everything is written. Events
    for a client that has gone are dropped, with a warning; events for a response that never was are failed events.
    """

    CONTEXT_RESPONSE_ID: ClassVar[str] = "webservicesink.response_id"

    content_type = option.text("application/octet-stream", help="The content type of the responses.")
    buffer_size = option.size("1MB", help="How many bytes may wait for slow clients before the pipeline is throttled.")
    write_timeout = option.seconds(30.0, help="How long a client may take nothing before its connection is closed.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Responses: dict[str, WebServiceResponse] = {}
        self._gone: dict[str, None] = {}
        self._holds = False
        self._lost_total = 0

    async def response(self, request: aiohttp.web.Request) -> WebServiceResponse:
        """Return a response to a request. It takes events within an ``async with`` block."""
        return WebServiceResponse(self, request, self.content_type)

    def process(self, context: Context, event: Event) -> None:
        """Write an event into its response."""
        if isinstance(event, str):
            event = event.encode()
        elif not isinstance(event, bytes):
            raise wrong_type(self, event, "bytes or str")
        response_id = context.get(self.CONTEXT_RESPONSE_ID)
        response = self.Responses.get(str(response_id))
        if response is None and response_id not in self._gone:
            raise ProcessingError(
                f"{self!r} got an event for the response {response_id!r}, which does not exist; the context key "
                f"'{self.CONTEXT_RESPONSE_ID}' is expected to be the Id of an open response"
            )
        if response is None or response.is_lost:
            self._drop()
            return
        response.feed(event)
        self._flow()

    async def checkpoint(self) -> None:
        """Return when everything is written to the clients."""
        for response in list(self.Responses.values()):
            await response.flushed()

    async def close(self) -> None:
        """End what is still being written."""
        unfinished = [response for response in self.Responses.values() if response.buffered]
        for response in unfinished:
            response._lose(PipelineError(f"{self!r} was closed"))
        for response in unfinished:
            await response.flushed()

    def _opened(self, response: WebServiceResponse) -> None:
        self.Responses[response.Id] = response

    def _closed(self, response: WebServiceResponse) -> None:
        self.Responses.pop(response.Id, None)
        # Remembered for a while, since events may still be under way to it.
        self._gone[response.Id] = None
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def _flow(self) -> None:
        """Throttle the pipeline when much is waiting for clients, until half of it is gone."""
        waiting = sum(response.buffered for response in self.Responses.values())
        if not self._holds and waiting >= self.buffer_size:
            self._holds = True
            self.Pipeline.throttle(self)
        elif self._holds and waiting <= self.buffer_size // 2:
            self._holds = False
            self.Pipeline.throttle(self, False)

    def _lost(self, response: WebServiceResponse, error: Exception) -> None:
        self.Pipeline.L.log(
            logging.WARNING,
            "%r could not finish the response %s: %s",
            self,
            response.Id,
            str(error) or "the client is gone",
        )

    def _drop(self) -> None:
        self._lost_total += 1
        if self._lost_total & (self._lost_total - 1) == 0:
            self.Pipeline.L.warning("%r dropped an event whose response has ended (%d so far)", self, self._lost_total)


_REMEMBERED = 10000
