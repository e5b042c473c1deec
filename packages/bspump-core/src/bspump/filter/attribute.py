"""Filtering the attributes of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ..common._expect import are_all, one_by_one, wrong_type

if TYPE_CHECKING:
    from .._options import Options
    from ..pipeline import Pipeline


_NAMES = "names, with commas or white space between them"
_NAMES_SCHEMA = {"type": ["string", "array"], "items": {"type": "string"}}


def _read_names(options: Options, key: str) -> list[str]:
    value = options.raw(key)
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, Iterable):
        return list(value)
    options.refuse(key, "is neither a text nor a list of names")
    return [str(value)]


class AttributeFilter(Processor):
    """Keeps some attributes of an event, a dictionary, or drops some. The event that goes on is a new dictionary."""

    Keep = option.custom(
        _read_names,
        "",
        key="keep",
        values=_NAMES,
        schema=_NAMES_SCHEMA,
        help="The attributes that are kept, in this order; all others are dropped.",
    )
    Drop = option.custom(
        lambda options, key: frozenset(_read_names(options, key)),
        "",
        key="drop",
        values=_NAMES,
        schema=_NAMES_SCHEMA,
        help="The attributes that are dropped; all others are kept. Either this one or ``keep`` is set.",
    )
    apply_to = option.choice(
        "event",
        ("event", "context"),
        help="What is filtered: the event, or its context; then the event goes on as it is.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            if self.Keep and self.Drop:
                options.refuse("drop", "cannot be set together with keep")
            elif not self.Keep and not self.Drop:
                options.refuse("keep", "names no attribute, and neither does drop; expected one of them to")
        self._is_of_context = self.apply_to == "context"

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
