"""Putting several events together into one."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from ..abc.generator import Generator
from ..errors import ConfigurationError, ProcessingError

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class AggregationStrategy(abc.ABC):
    """How events are put together. Derive from it and override `append`, `flush` and `is_empty`.

    Attributes:
        AggregatedEvent: what has been put together so far.
    """

    AggregatedEvent: Any
    is_used: bool = False
    """Whether an aggregator has it; each needs one of its own."""

    @abc.abstractmethod
    def append(self, context: Context, event: Event) -> None:
        """Add an event."""

    @abc.abstractmethod
    def flush(self) -> Event:
        """Return the aggregated event and start anew."""

    @abc.abstractmethod
    def is_empty(self) -> bool:
        """Tell whether nothing was added since the last flush."""


class ListAggregationStrategy(AggregationStrategy):
    """A list of pairs ``(context, event)``."""

    def __init__(self) -> None:
        self.AggregatedEvent: list[tuple[Context, Event]] = []

    def append(self, context: Context, event: Event) -> None:
        """Add an event with its context."""
        self.AggregatedEvent.append((context, event))

    def flush(self) -> Event:
        """Return the list."""
        result, self.AggregatedEvent = self.AggregatedEvent, []
        return result

    def is_empty(self) -> bool:
        """Tell whether the list is empty."""
        return not self.AggregatedEvent


class ListEventAggregationStrategy(AggregationStrategy):
    """A list of events, without their contexts."""

    def __init__(self) -> None:
        self.AggregatedEvent: list[Event] = []

    def append(self, context: Context, event: Event) -> None:
        """Add an event."""
        self.AggregatedEvent.append(event)

    def flush(self) -> Event:
        """Return the list."""
        result, self.AggregatedEvent = self.AggregatedEvent, []
        return result

    def is_empty(self) -> bool:
        """Tell whether the list is empty."""
        return not self.AggregatedEvent


class StringAggregationStrategy(AggregationStrategy):
    """The events as one text, with a delimiter between them."""

    def __init__(self, delimiter: str = "\n") -> None:
        self.Delimiter = delimiter
        self._parts: list[str] = []

    @property
    def AggregatedEvent(self) -> str:
        """The text so far."""
        return self.Delimiter.join(self._parts)

    def append(self, context: Context, event: Event) -> None:
        """Add an event, as text.

        Raises:
            ProcessingError: the event is bytes, which are no text until they are decoded.
        """
        if isinstance(event, bytes | bytearray | memoryview):
            raise ProcessingError(
                f"{type(self).__name__} got {type(event).__name__}, but expects text (or what str() makes text of)"
            )
        self._parts.append(str(event))

    def flush(self) -> Event:
        """Return the text."""
        result = self.AggregatedEvent
        self._parts = []
        return result

    def is_empty(self) -> bool:
        """Tell whether no event was added."""
        return not self._parts


class Aggregator(Generator):
    """Collects events and emits one for all of them.

    The aggregate goes out when `completion_size` events are in it, or with the timer. A checkpoint waits until what
    was held when it began has gone out, so nothing of it is acknowledged before; a stop sends it out at once.

    Args:
        app: the application.
        pipeline: the pipeline.
        aggregation_strategy: how events are put together; a `ListAggregationStrategy` of its own if not given.
        id: unique within the pipeline.
        config: options.
    """

    CompletionSize = option.integer(
        10, minimum=0, key="completion_size", help="How many events make one aggregate; 0 for no limit."
    )
    CompletionTimeout = option.seconds(
        0,
        key="completion_timeout",
        help="What is there is sent out when no event has come for so long; 0 for never.",
    )
    CompletionInterval = option.seconds(
        0,
        key="completion_interval",
        help="What is there is sent out each time so long has passed; 0 for never. Not together with the timeout.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        aggregation_strategy: AggregationStrategy | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            if self.CompletionTimeout and self.CompletionInterval:
                options.refuse("completion_interval", "cannot be set together with completion_timeout")
        strategy = aggregation_strategy if aggregation_strategy is not None else ListAggregationStrategy()
        if not isinstance(strategy, AggregationStrategy):
            raise ConfigurationError(f"{self!r} got {strategy!r}, but expects an object of an AggregationStrategy")
        if strategy.is_used:
            raise ConfigurationError(
                f"{self!r} needs a strategy of its own; the one it got is used by another aggregator"
            )
        strategy.is_used = True
        self.AggregationStrategy = strategy
        self.CurrentSize = 0
        self._last_append = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._flushed: asyncio.Future[None] | None = None

    def process(self, context: Context, event: Event) -> None:
        """Add an event to the aggregate."""
        try:
            self.AggregationStrategy.append(context, event)
        except ProcessingError as error:
            raise ProcessingError(f"{self!r}: {error}") from error
        self.CurrentSize += 1
        if self.CurrentSize == self.CompletionSize:
            self.flush()
        elif self.CompletionTimeout:
            self._last_append = self.Loop.time()
            if self._timer is None:
                self._timer = self.Loop.call_later(self.CompletionTimeout, self._on_timeout)
        elif self.CompletionInterval and self._timer is None:
            self._timer = self.Loop.call_later(self.CompletionInterval, self._flush_by_timer)

    def flush(self) -> None:
        """Send out what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Also if the strategy has kept none of them: the count would never be that of a full one again.
        self.CurrentSize = 0
        if self.AggregationStrategy.is_empty():
            return
        super().process({}, self.AggregationStrategy.flush())
        if self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None

    def _flush_by_timer(self) -> None:
        try:
            self.flush()
        except Exception as error:
            self.Pipeline._event_failed(error, {}, None, self)

    def _on_timeout(self) -> None:
        self._timer = None
        idle = self.Loop.time() - self._last_append
        if idle >= self.CompletionTimeout:
            self._flush_by_timer()
        else:
            self._timer = self.Loop.call_later(self.CompletionTimeout - idle, self._on_timeout)

    async def generate(self, context: Context, aggregated_event: Event, depth: int) -> None:
        """Emit the aggregate."""
        await self.Pipeline.inject(context, aggregated_event, depth)

    async def checkpoint(self) -> None:
        """Wait until what is held now has gone out."""
        if self.AggregationStrategy.is_empty():
            return
        if self._flushed is None:
            self._flushed = self.Loop.create_future()
        await asyncio.shield(self._flushed)

    async def drain(self) -> None:
        """Send out what is held."""
        self.flush()

    async def close(self) -> None:
        """Stop the timer. What is held was not acknowledged."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
