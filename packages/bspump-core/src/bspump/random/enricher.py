"""Adding something random to events."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ..common._expect import are_all, one_by_one, wrong_type
from ._values import RandomValueOptions, RandomValues

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class RandomEnricher(RandomValueOptions, Processor):
    """Puts a random value into each event, a dictionary.

    Further options: lower_bound, upper_bound, prefix, seed.

    Args:
        app: the application.
        pipeline: the pipeline.
        choice: what to pick from, instead of making numbers; a mapping gives each value its weight.
        id: unique within the pipeline.
        config: options.
    """

    Field = option.text("id", key="field", help="The key that the value is put under.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        choice: Sequence[Any] | Mapping[Any, float] | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            if not self.Field:
                options.refuse("field", "is empty, but the value needs a key")
        self._values = RandomValues(self, choice)

    def process(self, context: Context, event: Event) -> Event:
        """Enrich one event."""
        if not isinstance(event, MutableMapping):
            raise wrong_type(self, event, "a dictionary")
        event[self.Field] = self._values.make(1)[0]
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Enrich a batch."""
        if not are_all(events, dict):
            for event in events:
                if not isinstance(event, MutableMapping):
                    raise wrong_type(self, event, "a dictionary")
            return contexts, one_by_one(self, contexts, events)
        field = self.Field
        for event, value in zip(events, self._values.make(len(events)), strict=True):
            event[field] = value
        return contexts, events
