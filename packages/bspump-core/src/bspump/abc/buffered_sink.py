"""Sinks that write to something remote: one method to write, the delivery contract for nothing."""

from __future__ import annotations

import abc
import asyncio
import bisect
import collections
import itertools
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._cancellation import is_being_cancelled
from .._types import Context, Event
from ..errors import ConnectionLostError, PipelineError, RejectedError
from .sink import Sink

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class Batch(Sequence[Event]):
    """The events that a `BufferedSink` writes at once, in the order in which they came.

    Attributes:
        contexts: the contexts, parallel to the events.
        attempt: 1 at the first try.
    """

    def __init__(self, contexts: list[Context], events: list[Event], attempt: int = 1) -> None:
        self.contexts = contexts
        self.attempt = attempt
        self._events = events
        self._rejected: dict[int, Exception] = {}
        self._again: set[int] = set()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def reject(self, index: int, reason: str | Exception) -> None:
        """Say that the destination refuses one event for good. It goes the way of a failed event (``on_error``)."""
        self._check(index)
        self._rejected[index] = reason if isinstance(reason, Exception) else RejectedError(reason)

    def retry(self, index: int) -> None:
        """Say that one event could not be written this time. It is written again after a pause."""
        self._check(index)
        self._again.add(index)

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self._events):
            raise IndexError(f"The batch has events 0 to {len(self._events) - 1}, but no event {index}")

    def _rejections(self) -> dict[int, Exception]:
        return self._rejected

    def _remainder(self) -> Batch | None:
        """Return what has to be written again, or None."""
        again = sorted(self._again - set(self._rejected))
        if not again:
            return None
        return Batch([self.contexts[i] for i in again], [self._events[i] for i in again], self.attempt + 1)

    def _singles(self) -> list[Batch]:
        return [
            Batch([context], [event], self.attempt) for context, event in zip(self.contexts, self._events, strict=True)
        ]


class BufferedSink(Sink):
    """Collects events and writes them in batches. Derive from it and override `write`; that is all.

    What `write` has returned for is durable. If it raises one of `transient_errors`, the same batch is written again,
    with growing pauses, for as long as it takes. If it raises `RejectedError`, or anything else, the events of the
    batch are written one by one, to find those that cannot be written; these go the way that ``on_error`` of the
    pipeline says. With ``on_error = stop`` they stay in the buffer and are tried again once the error is cleared.

    The order of events is kept as long as `concurrency` is 1. The pipeline is throttled from the moment when
    ``buffer_size`` events are in the buffer until half of them are written.
    """

    batch_size = option.integer(1000, minimum=1, help="The most events in one batch.")
    batch_bytes = option.size("8MB", help="The most bytes in one batch, as `size_of` counts them.")
    linger = option.seconds(0.2, help="How long an event waits for others to come into its batch.")
    buffer_size = option.integer(
        10000,
        minimum=1,
        help="The number of buffered events at which the pipeline is throttled, until half of them are written.",
    )
    concurrency = option.integer(1, minimum=1, help="How many batches are written at once.")
    retry_backoff = option.seconds(0.1, help="The pause before the first repetition; it doubles with each further one.")
    retry_backoff_max = option.seconds(30.0, help="The longest pause between two repetitions.")

    transient_errors: tuple[type[Exception], ...] = (OSError, asyncio.TimeoutError)
    """What `write` raises when the same may work a little later. `ConnectionLostError` is an OSError."""

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._holds = False
        self._buffered = 0
        self._contexts: list[Context] = []
        self._events: list[Event] = []
        self._bytes = 0
        self._linger_timer: asyncio.TimerHandle | None = None
        self._queue: collections.deque[tuple[Batch, asyncio.Future[None]]] = collections.deque()
        self._unsettled: set[asyncio.Future[None]] = set()
        self._stuck = asyncio.Event()
        self._failing: tuple[float, str] | None = None
        self._writers: set[asyncio.Task[None]] = set()

    # For the author of a sink

    @abc.abstractmethod
    async def write(self, batch: Batch) -> None:
        """Write the events of the batch and return when they are durable.

        For single events, call ``batch.reject(index, reason)`` or ``batch.retry(index)`` before returning.
        """

    def size_of(self, event: Event) -> int:
        """Return the size of an event in bytes, as it counts for ``batch_bytes``."""
        return len(event) if isinstance(event, bytes | str) else 0

    # Events come in

    def process(self, context: Context, event: Event) -> None:
        """Put an event into the buffer."""
        self._put([context], [event], self.size_of(event))

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Put events into the buffer."""
        ends = list(itertools.accumulate(map(self.size_of, events), initial=0))
        start = 0
        while start < len(events):
            room = self.batch_size - len(self._events)
            # The event that fills the batch is the last one of it.
            full = bisect.bisect_left(ends, ends[start] + self.batch_bytes - self._bytes, start + 1)
            stop = min(len(events), start + room, full)
            self._put(contexts[start:stop], events[start:stop], ends[stop] - ends[start])
            start = stop

    def _put(self, contexts: list[Context], events: list[Event], size: int) -> None:
        self._contexts += contexts
        self._events += events
        self._bytes += size
        self._buffered += len(events)
        if len(self._events) >= self.batch_size or self._bytes >= self.batch_bytes:
            self._cut()
        elif self._linger_timer is None:
            self._linger_timer = self.Loop.call_later(self.linger, self._cut)
        if self._buffered >= self.buffer_size and not self._holds:
            self._holds = True
            self.Pipeline.throttle(self)

    def _cut(self) -> None:
        """Make a batch of what has come in."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        if not self._events:
            return
        settled: asyncio.Future[None] = self.Loop.create_future()
        self._unsettled.add(settled)
        self._queue.append((Batch(self._contexts, self._events), settled))
        self._contexts, self._events, self._bytes = [], [], 0
        if len(self._writers) < self.concurrency:
            writer = self.Loop.create_task(self._write_queue(), name=f"bspump writer {self.locate_address()}")
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    # Batches go out

    async def _write_queue(self) -> None:
        try:
            while self._queue:
                batch, settled = self._queue.popleft()
                try:
                    await self._deliver(batch)
                except Exception as error:
                    # Not the destination's fault, but a mistake in here or in the sink: everything comes again.
                    self.Pipeline._errors.report(None, None, error, self.locate_address())
                    self._written(len(batch))
                self._unsettled.discard(settled)
                settled.set_result(None)
        finally:
            # At once: a batch that is cut before the callback of the task has run would find no writer.
            self._writers -= {asyncio.current_task()}

    async def _deliver(self, batch: Batch) -> None:
        """Write a batch until each of its events is durable or has been rejected."""
        remaining: Batch | None = batch
        while remaining is not None:
            error = await self._try_to_write(remaining)
            if error is None:
                for index, reason in remaining._rejections().items():
                    await self._give_up(remaining, index, reason)
                rest = remaining._remainder()
                self._written(len(remaining) - (len(rest) if rest is not None else 0))
                remaining = rest
                if remaining is not None:
                    await self._pause(remaining.attempt)
            elif isinstance(error, self.transient_errors):
                self._say_retried(remaining, error)
                remaining = Batch(remaining.contexts, list(remaining), remaining.attempt + 1)
                await self._pause(remaining.attempt)
            elif len(remaining) > 1:
                for single in remaining._singles():
                    await self._deliver(single)
                remaining = None
            else:
                await self._give_up(remaining, 0, error)
                self._written(1)
                remaining = None

    async def _try_to_write(self, batch: Batch) -> Exception | None:
        try:
            await self.write(batch)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            return ConnectionLostError("something that write() awaited was cancelled")
        except Exception as error:
            since = self._failing[0] if self._failing is not None else self.time()
            self._failing = (since, f"{type(error).__name__}: {error}")
            return error
        self._failing = None
        return None

    async def _give_up(self, batch: Batch, index: int, reason: Exception) -> None:
        """Let the pipeline decide about an event. If it stops, wait for the error to be cleared and try again."""
        context, event = batch.contexts[index], batch[index]
        attempt = batch.attempt
        while self.Pipeline._held_event_failed(reason, context, event, self, attempt):
            if self.Pipeline.is_error():  # a subscriber may have cleared it already
                self._stuck.set()
            await self.Pipeline._errors.cleared()
            self._stuck.clear()
            attempt += 1
            single = Batch([context], [event], attempt)
            error = await self._try_to_write(single)
            while isinstance(error, self.transient_errors) or (error is None and single._again):
                attempt += 1
                await self._pause(attempt)
                single = Batch([context], [event], attempt)
                error = await self._try_to_write(single)
            if error is None:
                error = single._rejections().get(0)
            if error is None:
                return
            reason = error

    def _written(self, count: int) -> None:
        self._buffered -= count
        if self._holds and self._buffered <= self.buffer_size // 2:
            self._holds = False
            self.Pipeline.throttle(self, False)

    async def _pause(self, attempt: int) -> None:
        longest = min(self.retry_backoff_max, self.retry_backoff * 2.0 ** min(attempt - 2, 30))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))

    def _say_retried(self, batch: Batch, error: Exception) -> None:
        # The first time, and then less and less often.
        if batch.attempt & (batch.attempt - 1) == 0:
            self.Pipeline.L.report(
                logging.WARNING,
                f"{self!r} could not write {len(batch)} event(s) and tries again: {type(error).__name__}: {error} "
                f"(attempt {batch.attempt})",
            )

    # The delivery contract

    async def checkpoint(self) -> None:
        """Write what is in the buffer and return when it is durable."""
        self._cut()
        pending = list(self._unsettled)
        if pending:
            await self._wait_unless_stuck(pending)
        if any(settled.cancelled() for settled in pending):
            raise PipelineError(f"{self!r} was closed before everything in it was written")

    async def _wait_unless_stuck(self, pending: list[asyncio.Future[None]]) -> None:
        stuck = asyncio.ensure_future(self._stuck.wait())
        settled = asyncio.ensure_future(asyncio.wait(pending))
        try:
            await asyncio.wait({stuck, settled}, return_when=asyncio.FIRST_COMPLETED)
            if not settled.done():
                error = self.Pipeline._errors.error
                reason = error.message if error is not None else "it goes on just now"
                raise PipelineError(f"{self!r} holds an event that it cannot write: {reason}")
        finally:
            stuck.cancel()
            settled.cancel()

    async def close(self) -> None:
        """End the writers. What they have not written was not acknowledged."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        writers = list(self._writers)
        for writer in writers:
            writer.cancel()
        if writers:
            await asyncio.wait(writers)
        if self._buffered:
            self.Pipeline.L.report(logging.WARNING, f"{self!r} ends with {self._buffered} event(s) not written")
            self._forget()

    def _forget(self) -> None:
        """Begin with an empty buffer after the next start: what was in it comes again."""
        self._contexts, self._events, self._bytes = [], [], 0
        self._queue.clear()
        for settled in self._unsettled:
            settled.cancel()
        self._unsettled.clear()
        self._stuck.clear()
        self._written(self._buffered)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface."""
        description = {**super().rest_get(), "Buffered": self._buffered}
        if self._failing is not None:
            description["FailingSince"], description["LastError"] = self._failing
        return description
