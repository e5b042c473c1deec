"""Dropping events at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ._values import SeedOption

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class RandomDrop(SeedOption, Processor):
    """Drops a share of the events, each one by chance: a sample goes on.

    Further options: seed.
    """

    DropProbability = option.number(
        0.5,
        minimum=0.0,
        maximum=1.0,
        key="drop_probability",
        help="How likely an event is dropped: from 0, none, to 1, all.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._random = self._new_dice().random

    def process(self, context: Context, event: Event) -> Event:
        """Drop the event, or hand it on."""
        return event if self._random() >= self.DropProbability else None

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Drop some events of a batch."""
        random, probability = self._random, self.DropProbability
        kept = [index for index in range(len(events)) if random() >= probability]
        return [contexts[index] for index in kept], [events[index] for index in kept]
