"""Sources that other pipelines feed, and the processors and sinks that feed them."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._copying import copy_event as deep_copy
from .._feeder import LARGEST_CHUNK
from .._routes import Route, RouteTarget, find_target
from .._types import Context, Event
from ..abc.processor import Processor
from ..abc.sink import Sink
from ..errors import ConfigurationError, PipelineError

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_LARGEST_BATCH = 10_000


class DirectSource(RouteTarget):
    """A source whose events are processed within the call that puts them in. It knows no throttling."""

    def put(self, context: Context | None, event: Event, copy_context: bool = False, copy_event: bool = False) -> None:
        """Process an event right away. Its context is ``{'ancestor': context}``.

        Raises:
            PipelineError: the pipeline does not run, or is stopped by an error.
            Exception: what a processor raised, if it is a hard error and the pipeline stops at it.
        """
        pipeline = self.Pipeline
        if pipeline.is_error() or not pipeline._life_cycle.takes_events:
            raise PipelineError(f"Pipeline '{pipeline.Id}' takes no events: it is stopped")
        pipeline._counts.entered += 1
        chain = pipeline._chain(0)
        pipeline._feeder.origin = self
        try:
            chain.single(_descendant(context, copy_context), deep_copy(event) if copy_event else event)
        except Exception as error:
            pipeline._errors.goes_back(error)
            raise
        finally:
            pipeline._feeder.origin = None

    def accept(self, contexts: list[Context], events: list[Event]) -> None:
        """Process events that a route brings."""
        for context, event in zip(contexts, events, strict=True):
            self.put(context, event)

    async def main(self) -> None:
        """Do nothing; the events come by `put`."""
        await self.stopped()


class EventQueue:
    """The queue of an `InternalSource`. It knows how many events were ever put in and how many have left for good."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self._items: collections.deque[tuple[Context, Event]] = collections.deque()
        self.put_total = 0
        """How many events were ever put in."""
        self._passed_total = 0
        self._passed_waiters: list[tuple[int, asyncio.Future[None]]] = []

    def qsize(self) -> int:
        """Return the number of events in the queue."""
        return len(self._items)

    def empty(self) -> bool:
        """Tell whether there is no event in the queue."""
        return not self._items

    def full(self) -> bool:
        """Tell whether `maxsize` is reached; 0 means that there is no limit."""
        return 0 < self.maxsize <= len(self._items)

    def extend(self, items: list[tuple[Context, Event]]) -> None:
        """Put events in."""
        self._items.extend(items)
        self.put_total += len(items)

    def take(self, most: int) -> list[tuple[Context, Event]]:
        """Take events out, to process them. Follow up with `passed`, or `put_back` for those that were not."""
        count = min(most, len(self._items))
        return [self._items.popleft() for _ in range(count)]

    def put_back(self, items: list[tuple[Context, Event]]) -> None:
        """Put events back to where they were taken from."""
        self._items.extendleft(reversed(items))

    def passed(self, count: int) -> None:
        """Take note that events have left for good."""
        self._passed_total += count
        while self._passed_waiters and self._passed_waiters[0][0] <= self._passed_total:
            _, future = self._passed_waiters.pop(0)
            if not future.done():
                future.set_result(None)

    def has_passed(self) -> bool:
        """Tell whether every event that was put in has left for good."""
        return self._passed_total == self.put_total

    async def wait_passed(self) -> None:
        """Return when every event that was put in before the call has left for good."""
        if not self.has_passed():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._passed_waiters.append((self.put_total, future))
            await future


class InternalSource(RouteTarget):
    """A source with a queue, fed by other pipelines or by the application.

    Pipelines that feed it are throttled once the queue is filled to `backpressure`, until what is left to be processed
    has sunk to half of that. A batch that a route has under way at that moment still comes in whole; since such a batch
    has up to 500 events, a route throttles no earlier than at that number.
    """

    queue_max_size = option.integer(
        10, minimum=0, help="How many events `put` accepts before it raises; 0 for no limit."
    )
    backpressure = option.number(
        0.8,
        minimum=0.0,
        maximum=1.0,
        help="The share of ``queue_max_size`` at which feeding pipelines are throttled.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        maxsize = 2 if self.queue_max_size == 1 else self.queue_max_size
        self.Queue = EventQueue(maxsize)
        self.BackPressure = False
        self._high = max(1, int(maxsize * self.backpressure)) if maxsize else 0
        self._route_high = max(self._high, LARGEST_CHUNK) if maxsize else 0
        self._low = 0
        self._in_progress = 0
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def put(self, context: Context | None, event: Event, copy_context: bool = False, copy_event: bool = False) -> None:
        """Put an event into the queue. Its context becomes ``{'ancestor': context}``.

        Raises:
            asyncio.QueueFull: the queue is full. To wait for room, use `put_async`; to have the feeding pipeline
                throttled in time, use a router.
            PipelineError: the pipeline was stopped for good.
        """
        if self.Queue.full():
            raise asyncio.QueueFull(f"The queue of {self.locate_address()} is full ({self.Queue.maxsize} events)")
        self._extend([(_descendant(context, copy_context), deep_copy(event) if copy_event else event)], self._high)

    async def put_async(
        self, context: Context | None, event: Event, copy_context: bool = False, copy_event: bool = False
    ) -> None:
        """Put an event into the queue, waiting until there is room.

        Raises:
            PipelineError: the pipeline was stopped for good.
        """
        while self.Queue.full() and not self.Pipeline._life_cycle.has_stopped:
            self._has_room.clear()
            await self._has_room.wait()
        self._refuse_when_stopped()
        self.put(context, event, copy_context=copy_context, copy_event=copy_event)

    def accept(self, contexts: list[Context], events: list[Event]) -> None:
        """Take what a route brings, also above the limit: the feeding pipeline stops after its present batch."""
        items = [({"ancestor": context}, event) for context, event in zip(contexts, events, strict=True)]
        self._extend(items, self._route_high)

    def _extend(self, items: list[tuple[Context, Event]], high: int) -> None:
        self._refuse_when_stopped()
        self.Queue.extend(items)
        self._arrived.set()
        if high and not self.BackPressure and self.Queue.qsize() + self._in_progress >= high:
            self._low = high // 2
            self._set_back_pressure(True)

    @property
    def taken_over_total(self) -> int:
        """How many events were put into the queue, altogether."""
        return self.Queue.put_total

    def _refuse_when_stopped(self) -> None:
        if self.Pipeline._life_cycle.has_stopped:
            raise PipelineError(f"{self.locate_address()} takes no events: its pipeline was stopped")

    async def close(self) -> None:
        """Wake those who wait for room; there will be none."""
        self._has_room.set()
        if not self.Queue.empty():
            self.Pipeline.L.report(
                logging.WARNING,
                f"{self!r} ends with {self.Queue.qsize()} event(s) not processed: lost, unless they come from a source "
                f"that can be acknowledged",
            )

    def _set_back_pressure(self, enable: bool) -> None:
        self.BackPressure = enable
        self.Pipeline._feeders.throttle(self, enable, target=self)
        self.Pipeline._throttle_ancestors(self, enable)
        message = "bspump.InternalSource.backpressure_on!" if enable else "bspump.InternalSource.backpressure_off!"
        self.Pipeline.PubSub.publish(message, source=self)

    def holds_feeders(self) -> bool:
        """Tell whether the queue is filled to the back-pressure mark."""
        return self.BackPressure

    async def main(self) -> None:
        """Let the events of the queue into the pipeline, as many at once as are there."""
        while True:
            while self.Queue.empty():
                self._arrived.clear()
                await self._arrived.wait()
            await self.Pipeline.ready()
            await self._process_some()

    async def _process_some(self) -> None:
        taken = self.Queue.take(_LARGEST_BATCH)
        accepted = 0
        if not self.Queue.full():
            self._has_room.set()
        self._in_progress = len(taken)

        def count(number: int) -> None:
            nonlocal accepted
            accepted = number
            self._in_progress = len(taken) - number
            if self.BackPressure and self.Queue.qsize() + self._in_progress <= self._low:
                self._set_back_pressure(False)

        try:
            await self.process_batch([event for _, event in taken], [context for context, _ in taken], position=count)
        finally:
            if accepted < len(taken):
                self.Queue.put_back(taken[accepted:])
            self._in_progress = 0
            self.Queue.passed(accepted)

    async def checkpoint(self) -> None:
        """Return when every event that is in the queue at the call has entered the pipeline.

        Raises:
            PipelineError: the pipeline is stopped by an error, so they do not.
        """
        if self.Queue.has_passed():
            return
        failure = self.Pipeline._errors.failure_future(of_any_error=True)
        passing = asyncio.ensure_future(self.Queue.wait_passed())
        try:
            await asyncio.wait({passing, failure}, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                failure.result()
        finally:
            passing.cancel()
            self.Pipeline._errors.forget_failure_future(failure)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface."""
        return {**super().rest_get(), "Queue": self.Queue.qsize(), "BackPressure": self.BackPressure}


class RouterMixIn:
    """Routes events into sources of other pipelines. For anything that has ``App`` and ``Pipeline``."""

    App: asab.Application
    Pipeline: Pipeline

    def locate(self, source_id: str) -> RouteTarget:
        """Return the source at an address such as ``Pipeline.*InternalSource``, and bind its throttling to ours.

        Raises:
            ConfigurationError: there is no such source, or it cannot be fed.
        """
        return self._route_to(source_id).target

    def unlocate(self, source_id: str) -> None:
        """Undo `locate`: forget the source, and no longer be throttled by it. An unknown one is fine."""
        route = self._routes_by_id().pop(source_id, None)
        if route is not None:
            route.close()

    def route(self, context: Context, event: Event, source_id: str, copy_event: bool = True) -> None:
        """Hand an event to a source. May be called any number of times for the same event, which is copied each time.

        The route never refuses an event: where the target has enough, this pipeline is throttled.
        """
        self._route_to(source_id).put([context], [deep_copy(event) if copy_event else event])

    def dispatch(self, context: Context, event: Event, source_id: str, copy_event: bool = True) -> None:
        """Do what `route` does; an earlier name of it."""
        self.route(context, event, source_id, copy_event)

    def _route_to(self, source_id: str) -> Route:
        routes = self._routes_by_id()
        route = routes.get(source_id)
        if route is None or route.is_closed:
            target = find_target(self.App, source_id)
            if target is None:
                raise ConfigurationError(
                    f"{self!r} cannot route to '{source_id}': expected the address of an internal or direct source, "
                    f"such as 'Pipeline.*InternalSource', of a pipeline that was added to the pump service"
                )
            route = routes[source_id] = Route(self.Pipeline, target)
        return route

    def _routes_by_id(self) -> dict[str, Route]:
        routes: dict[str, Route] = self.__dict__.setdefault("_routes_of_router", {})
        return routes


class RouterSink(RouterMixIn, Sink):
    """Hands all events to sources of other pipelines. Derive from it, override `process`, and call `route` in it."""


class RouterProcessor(RouterMixIn, Processor):
    """Hands events to sources of other pipelines. Derive from it, override `process`, and call `route` in it."""


def _descendant(context: Context | None, copy_context: bool) -> Context:
    if context is None:
        return {"ancestor": {}}
    return {"ancestor": deep_copy(context) if copy_context else context}
