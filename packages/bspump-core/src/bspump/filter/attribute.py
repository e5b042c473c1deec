"""Filtering the attributes of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.processor import Processor
from ..common._expect import are_all, one_by_one, wrong_type

if TYPE_CHECKING:
    from .._options import Options
    from ..pipeline import Pipeline


class AttributeFilter(Processor):
    """Keeps some attributes of an event, a dictionary, or drops some. The event that goes on is a new dictionary.

    Options:
        keep: the attributes that are kept, in this order; all others are dropped.
        drop: the attributes that are dropped; all others are kept. Either this one or the other is set: a list, or
            names with commas or white space between them.
        apply_to: ``event``, or ``context`` for the attributes of the context; the event goes on as it is.
    """

    ConfigDefaults: dict[str, Any] = {
        "keep": "",
        "drop": "",
        "apply_to": "event",
    }

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            self.Keep = _names(options, self.Config, "keep")
            self.Drop = frozenset(_names(options, self.Config, "drop"))
            if self.Keep and self.Drop:
                options.refuse("drop", "cannot be set together with keep")
            elif not self.Keep and not self.Drop:
                options.refuse("keep", "names no attribute, and neither does drop; expected one of them to")
            self._is_of_context = options.choice("apply_to", ("event", "context")) == "context"

    def filter(self, attributes: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return what is left of a mapping."""
        if self.Keep:
            return {key: attributes[key] for key in self.Keep if key in attributes}
        drop = self.Drop
        return {key: value for key, value in attributes.items() if key not in drop}

    def process(self, context: Context, event: Event) -> Event:
        """Filter one event, or its context."""
        if self._is_of_context:
            left = self.filter(context)
            context.clear()
            context.update(left)
            return event
        if not isinstance(event, Mapping):
            raise wrong_type(self, event, "a dictionary")
        return self.filter(event)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Filter a batch."""
        if self._is_of_context or not are_all(events, dict):
            return contexts, one_by_one(self, contexts, events)
        return contexts, list(map(self.filter, events))


def _names(options: Options, config: Mapping[str, Any], key: str) -> list[str]:
    value = config[key]
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, Iterable):
        return list(value)
    options.refuse(key, "is neither a text nor a list of names")
    return [str(value)]
