"""Generators that make an event of each item of an event, without waiting for anything but the pipeline."""

from __future__ import annotations

import abc
import asyncio
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._cancellation import is_being_cancelled
from .._types import Context, Event
from ..abc.generator import Generator
from ..errors import ProcessingError

if TYPE_CHECKING:
    from .._chain import Chain
    from ..pipeline import Pipeline

# So many injections pass before the event loop gets its turn; one batch of them in so many is timed.
_INJECTIONS_PER_TURN = 64
_BATCHES_PER_PROFILE = 64


class ItemGenerator(Generator):
    """Derive from it and override `items`. The items go on in batches, the events of a batch in one task.

    An item that is None counts as dropped: it cannot be an event.
    """

    _batches = 0

    @abc.abstractmethod
    def items(self, event: Event) -> Iterable[Event]:
        """Return the items of an event.

        Raises:
            ProcessingError: the event is of a type that has none.
        """

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Generate the items of one event."""
        items = iter(self.items(event))
        while batch := list(itertools.islice(items, _INJECTIONS_PER_TURN)):
            self._inject_batch(context, batch, depth)
            if len(batch) == _INJECTIONS_PER_TURN:
                await asyncio.sleep(0)
            while not self.Pipeline._flow_event.is_set():
                await self.Pipeline._flow_event.wait()

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Schedule the generation of all items of a batch."""
        if len(events) == 1 or type(self).generate is not ItemGenerator.generate:
            # What else a derived class awaits it may await for all the events at once.
            for context, event in zip(contexts, events, strict=True):
                self.process(context, event)
            return
        depth = self.PipelineDepth
        if depth is None:
            raise RuntimeError(f"{self!r} is used before it was put into a pipeline")
        self.Pipeline._futures._schedule(self._generate_all(contexts, events, depth), depth)

    async def _generate_all(self, contexts: list[Context], events: list[Event], depth: int) -> None:
        pipeline: Pipeline = self.Pipeline
        for number, (context, event) in enumerate(zip(contexts, events, strict=True), start=1):
            try:
                await self.generate(context, event, depth + 1)
            except asyncio.CancelledError:
                if is_being_cancelled():
                    raise
                cut = ProcessingError(f"{self!r} ended early, since something that it awaited was cancelled")
                pipeline._event_failed(cut, context, event, self)
            except Exception as error:
                pipeline._event_failed(error, context, event, self)
            if number % _INJECTIONS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _inject_batch(self, context: Context, events: list[Event], depth: int) -> None:
        """Do what `Pipeline.inject` does, for several events."""
        self._batches += 1
        items = [event for event in events if event is not None]
        self.Pipeline._counts.dropped += len(events) - len(items)
        error = _run(
            self.Pipeline._chain(depth),
            [context.copy() for _ in items],
            items,
            is_profiled=self._batches % _BATCHES_PER_PROFILE == 1,
        )
        if error is not None:
            self.Pipeline._errors.goes_back(error)
            raise error


def _run(chain: Chain, contexts: list[Context], events: list[Event], *, is_profiled: bool) -> Exception | None:
    """Return what stopped the pipeline."""
    chain.stopped_by = None
    if is_profiled:
        chain.batch_profiled(contexts, events)
    else:
        chain.batch(contexts, events)
    return chain.stopped_by
