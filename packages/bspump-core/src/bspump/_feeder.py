"""The way of events from a source into the first depth.

A batch goes in by chunks, sized so that a chunk takes a few milliseconds: before each chunk the pipeline may be
throttled and the event loop gets its turn. Nothing here is done per event but one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from ._types import Context, Contexts, Event

if TYPE_CHECKING:
    from .abc.source import Source
    from .pipeline import Pipeline

_CHUNK_SECONDS = 0.004
_SMALLEST_CHUNK = 1
# Larger ones do not fit the second-level cache of a core, and are slower.
LARGEST_CHUNK = 500
# At most so many single events pass between two looks at the clock.
_CLOCK_EVERY = 32
# A chunk is timed processor by processor when so many seconds have passed since the last one that was.
_PROFILE_SECONDS = 0.1


class Feeder:
    """Feeds one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._chunk = 8
        self._clock_every = 1
        self._since_clock = 0
        self._profiled = 0.0
        self._yielded = 0.0
        self.origin: Source | None = None
        """The source whose events are going through the first depth right now."""

    async def process(self, event: Event, context: Context | None, source: Source | None) -> None:
        """Let one event through the first depth."""
        pipeline = self._pipeline
        self._since_clock += 1
        is_sample = self._since_clock >= self._clock_every
        if is_sample:
            self._since_clock = 0
            if perf_counter() - self._yielded >= _CHUNK_SECONDS:
                await self._yield()
        if not pipeline._is_ready or pipeline._intake_pauses:
            await pipeline._wait_for_entry(source)
        # Nothing is awaited from here on, so that a source which is cancelled knows whether the event was accepted.
        pipeline._counts.entered += 1
        self.origin = source
        chain = pipeline._chain(0)
        try:
            if is_sample:
                began = perf_counter()
                chain.single_profiled({} if context is None else context.copy(), event)
                events_per_turn = int(_CHUNK_SECONDS / max(perf_counter() - began, 1e-6))
                self._clock_every = min(_CLOCK_EVERY, max(1, events_per_turn))
            else:
                chain.single({} if context is None else context.copy(), event)
        except Exception as error:
            pipeline._errors.goes_back(error)
            raise
        finally:
            self.origin = None
        if source is not None:
            source.accepted_total += 1

    async def process_batch(
        self,
        events: Sequence[Event],
        contexts: Contexts,
        source: Source | None,
        position: Callable[[int], object] | None,
    ) -> None:
        """Let a batch through the first depth."""
        pipeline = self._pipeline
        total = len(events)
        if isinstance(contexts, Sequence):
            _check_number(len(contexts), total)
        start = 0
        while start < total:
            if perf_counter() - self._yielded >= _CHUNK_SECONDS:
                await self._yield()
            if not pipeline._may_enter(source):
                await pipeline._wait_for_entry(source)
            # Chunks of the same size rather than a small one at the end
            parts = -(-(total - start) // self._chunk)
            size = -(-(total - start) // parts)
            chunk = events[start : start + size]
            if not isinstance(chunk, list):
                chunk = list(chunk)
            began = perf_counter()
            accepted, error = self._run(contexts, start, chunk, source, began)
            start += accepted
            if source is not None:
                source.accepted_total += accepted
            if position is not None and source is not None and accepted:
                source.position = position(start)
            if error is not None:
                pipeline._errors.goes_back(error)
                raise error
            self._adapt(len(chunk), perf_counter() - began)

    async def reject(self, error: Exception, event: Event, context: Context | None, source: Source) -> None:
        """Let the pipeline decide about something that a source could not make an event of."""
        pipeline = self._pipeline
        if not pipeline._may_enter(source):
            await pipeline._wait_for_entry(source)
        pipeline._counts.entered += 1
        self.origin = source
        is_stopped = pipeline._entering_event_failed(error, {} if context is None else context.copy(), event, source)
        self.origin = None
        if is_stopped:
            pipeline._errors.goes_back(error)
            raise error

    def _run(
        self, contexts: Contexts, start: int, chunk: list[Event], source: Source | None, now: float
    ) -> tuple[int, Exception | None]:
        """Return how many events, from the first on, were taken, and the hard error that stopped the rest."""
        pipeline = self._pipeline
        chain = pipeline._chain(0)
        is_sample = now - self._profiled >= _PROFILE_SECONDS
        if contexts is None and not is_sample and chain.batch_without_contexts is not None:
            pipeline._counts.entered += len(chunk)
            self.origin = source
            index = chain.batch_without_contexts(chunk)
            self.origin = None
            return (len(chunk), None) if index < 0 else self._stopped_at(index, len(chunk), chain.stopped_by)
        own_contexts = _contexts(contexts, start, len(chunk))
        _check_number(len(own_contexts), len(chunk))
        pipeline._counts.entered += len(chunk)
        self.origin = source
        pipeline._stopping_failures.clear()
        if is_sample:
            self._profiled = now
            chain.batch_profiled(own_contexts, chunk)
        else:
            chain.batch(own_contexts, chunk)
        self.origin = None
        if not pipeline._stopping_failures:
            return len(chunk), None
        failures = {id(context): error for context, error in pipeline._stopping_failures}
        for index, context in enumerate(own_contexts):
            if id(context) in failures:
                return self._stopped_at(index, len(chunk), failures[id(context)])
        # A processor made the context anew: nobody can tell which event of the chunk it was.
        return 0, pipeline._stopping_failures[0][1]

    def _stopped_at(self, index: int, size: int, error: Exception | None) -> tuple[int, Exception | None]:
        self._pipeline._counts.entered -= size - index - 1
        return index, error

    def _adapt(self, events: int, seconds: float) -> None:
        limit = min(LARGEST_CHUNK, self._pipeline._futures.high_water_mark)
        if 2 * events < self._chunk and seconds < _CHUNK_SECONDS:
            return
        wanted = int(events * _CHUNK_SECONDS / max(seconds, 1e-6))
        # A chunk may have taken long for other reasons than its events, so it shrinks no faster than it grows.
        self._chunk = min(limit, max(_SMALLEST_CHUNK, self._chunk // 2, min(wanted, self._chunk * 2)))

    async def _yield(self) -> None:
        await asyncio.sleep(0)
        self._yielded = perf_counter()


def _check_number(contexts: int, events: int) -> None:
    if contexts != events:
        raise ValueError(f"process_batch() got {contexts} context(s) for {events} event(s); expected one for each")


def _contexts(contexts: Contexts, start: int, count: int) -> list[Context]:
    """Return contexts that belong to this chunk alone."""
    if contexts is None:
        return [{} for _ in range(count)]
    if callable(contexts):
        return contexts(start, start + count)
    if isinstance(contexts, Mapping):
        return [contexts.copy() for _ in range(count)]
    return [context.copy() for context in contexts[start : start + count]]
