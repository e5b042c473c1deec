"""A source and a sink in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.sink import Sink
from ..abc.source import Source

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class MemorySource(Source):
    """Brings the given events, one batch, and can be acknowledged: it goes back to what was committed after an error.

    Attributes:
        commits: every position that was committed, in order; a position is the number of events before it.
        finished: set when the pipeline has accepted all of them.
    """

    ConfigDefaults: dict[str, Any] = {
        "commit_interval": 0.01,
    }

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        events: Iterable[Event] = (),
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        contexts: list[Context] | None = None,
        one_by_one: bool = False,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.events = list(events)
        self.contexts = contexts
        self.one_by_one = one_by_one
        self.commits: list[int] = []
        self.finished = asyncio.Event()

    async def main(self) -> None:
        """Bring the events behind the committed position."""
        start = self.committed_position or 0
        if self.one_by_one:
            for number in range(start, len(self.events)):
                context = self.contexts[number] if self.contexts is not None else None
                await self.process(self.events[number], context)
                self.position = number + 1
        else:
            contexts = self.contexts[start:] if self.contexts is not None else None
            await self.process_batch(self.events[start:], contexts, position=lambda count: start + count)
        self.finished.set()
        await self.stopped()

    async def commit(self, position: int) -> None:
        """Remember the position."""
        self.commits.append(position)


class MemorySink(Sink):
    """Keeps what it gets.

    Attributes:
        events, contexts: what came, in order.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.events: list[Event] = []
        self.contexts: list[Context] = []
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    def process(self, context: Context, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        self.contexts.append(context)
        for count, future in self._awaited:
            if len(self.events) >= count and not future.done():
                future.set_result(None)

    async def wait_for(self, count: int, limit: float = 30.0) -> None:
        """Return when `count` events have come.

        Raises:
            TimeoutError: they have not come in time.
        """
        if len(self.events) < count:
            future: asyncio.Future[None] = self.Loop.create_future()
            self._awaited.append((count, future))
            await asyncio.wait_for(future, limit)
