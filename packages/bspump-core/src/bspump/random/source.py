"""A source of random events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Event
from ..abc.source import TriggerSource
from ._values import RandomValueOptions, RandomValues

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_BATCH = 500


class RandomSource(RandomValueOptions, TriggerSource):
    """Brings a number of random events each time a trigger fires.

    An event is a whole number between the bounds, or what was picked from the choice; with a `field`, it is a
    dictionary that has it there. Override `make_events` for others.

    Further options: lower_bound, upper_bound, prefix, seed.

    Args:
        app: the application.
        pipeline: the pipeline.
        choice: what to pick from, instead of making numbers; a mapping gives each value its weight.
        id: unique within the pipeline.
        config: options.
    """

    Number = option.integer(1000, minimum=0, key="number", help="How many events one cycle brings.")
    Field = option.text(
        key="field", help="The key under which the value is in a dictionary; the value itself is the event if empty."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        choice: Sequence[Any] | Mapping[Any, float] | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._values = RandomValues(self, choice)

    def make_events(self, count: int) -> list[Event]:
        """Return so many events."""
        values = self._values.make(count)
        if self.Field:
            return [{self.Field: value} for value in values]
        return values

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Bring the events of one cycle."""
        left = self.Number
        while left > 0:
            size = min(left, _BATCH)
            await self.process_batch(self.make_events(size))
            left -= size
