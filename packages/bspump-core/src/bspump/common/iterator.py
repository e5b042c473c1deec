"""Events from anything that can be iterated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import asab

from .._types import Event
from ..abc.source import TriggerSource
from ._expect import wrong_type
from ._items import ItemGenerator

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_BATCH = 1000
_TAKE_SECONDS = 0.004


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
        if not isinstance(iterator, Iterable):
            raise TypeError(f"{self!r} got {type(iterator).__name__}, but expects something that can be iterated")
        self.Iterator = iter(iterator)
        self._batch: list[Event] = []
        self._size = 1

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Bring everything that is left."""
        failure = None
        while failure is None:
            failure = self._take()
            if failure is None and not self._batch:
                return
            await self._bring()
        raise failure

    def _take(self) -> Exception | None:
        """Take as many items as the iterator gives within a few milliseconds. Returns what it raised."""
        began = perf_counter()
        before = len(self._batch)
        try:
            self._batch.extend(itertools.islice(self.Iterator, self._size))
        except Exception as error:
            return error  # after what the iterator gave before
        taken = len(self._batch) - before
        if taken == self._size:
            in_time = int(taken * _TAKE_SECONDS / max(perf_counter() - began, 1e-6))
            self._size = max(1, min(2 * self._size, in_time, _BATCH))
        return None

    async def _bring(self) -> None:
        accepted = 0

        def count(number: int) -> None:
            nonlocal accepted
            accepted = number

        try:
            await self.process_batch(self._batch, position=count)
        finally:
            # The next cycle brings what was not accepted: the iterator does not give it again.
            del self._batch[:accepted]


class IteratorGenerator(ItemGenerator):
    """Generates an event of each item of an event."""

    def items(self, event: Event) -> Iterable[Event]:
        """Return the items."""
        try:
            items: Iterable[Event] = iter(event)
        except TypeError:
            raise wrong_type(self, event, "something that can be iterated") from None
        return items
