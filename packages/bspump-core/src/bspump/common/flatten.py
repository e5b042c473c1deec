"""Flattening nested dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import are_all, one_by_one, wrong_type


class FlattenDictProcessor(Processor):
    """Makes ``{"person.name": "John"}`` of ``{"person": {"name": "John"}}``.

    Lists are values; they are not descended into. An empty dictionary below the top is a value too; one at the top
    becomes ``{None: {}}``.
    """

    Separator = option.text(".", key="separator", help="What stands between the keys.")

    def flatten(self, nested_dict: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the flattened dictionary, in the order of a walk through the nested one."""
        if not nested_dict:
            return {None: {}}
        flattened: dict[Any, Any] = {}
        # A stack, since a recursion would end at an event that is nested deeply enough.
        pending: list[tuple[str | None, Any]] = [(None, nested_dict)]
        while pending:
            prefix, value = pending.pop()
            if isinstance(value, Mapping) and value:
                pending.extend(
                    (str(key) if prefix is None else f"{prefix}{self.Separator}{key}", item)
                    for key, item in reversed(list(value.items()))
                )
            else:
                flattened[prefix] = value
        return flattened

    def process(self, context: Context, event: Event) -> dict[Any, Any]:
        """Flatten one event."""
        if not isinstance(event, Mapping):
            raise wrong_type(self, event, "a dictionary")
        return self.flatten(event)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Flatten a batch."""
        if not are_all(events, dict):
            return contexts, one_by_one(self, contexts, events)
        return contexts, list(map(self.flatten, events))
