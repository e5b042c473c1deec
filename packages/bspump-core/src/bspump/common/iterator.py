"""Events from anything that can be iterated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.generator import Generator
from ..abc.source import TriggerSource

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_BATCH = 1000


class IteratorSource(TriggerSource):
    """Brings the items of an iterator; one cycle brings all of them."""

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        iterator: Iterable[Event],
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Iterator = iter(iterator)

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Bring everything that is left."""
        while batch := list(itertools.islice(self.Iterator, _BATCH)):
            await self.process_batch(batch)


class IteratorGenerator(Generator):
    """Generates an event of each item of an event."""

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Generate the items of one event."""
        for item in event:
            await self.Pipeline.inject(context, item, depth)
