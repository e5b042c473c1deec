"""The keys, values and items of mappings: as one event, or as an event each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._types import Context, Event
from ..abc.processor import Processor, ProcessorBase
from ._expect import are_all, one_by_one, wrong_type
from ._items import ItemGenerator


class MappingKeysProcessor(Processor):
    """Makes a list of its keys of a mapping."""

    def process(self, context: Context, event: Event) -> list[Any]:
        """Return the keys."""
        return list(_mapping(self, event).keys())

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Convert a batch."""
        if not are_all(events, dict):
            return contexts, one_by_one(self, contexts, events)
        return contexts, list(map(list, events))


class MappingValuesProcessor(Processor):
    """Makes a list of its values of a mapping."""

    def process(self, context: Context, event: Event) -> list[Any]:
        """Return the values."""
        return list(_mapping(self, event).values())

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Convert a batch."""
        if not are_all(events, dict):
            return contexts, one_by_one(self, contexts, events)
        return contexts, [list(event.values()) for event in events]


class MappingItemsProcessor(Processor):
    """Makes a list of pairs of key and value of a mapping."""

    def process(self, context: Context, event: Event) -> list[tuple[Any, Any]]:
        """Return the pairs."""
        return list(_mapping(self, event).items())

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Convert a batch."""
        if not are_all(events, dict):
            return contexts, one_by_one(self, contexts, events)
        return contexts, [list(event.items()) for event in events]


class MappingKeysGenerator(ItemGenerator):
    """Generates an event of each key of a mapping."""

    def items(self, event: Event) -> Iterable[Event]:
        """Return the keys."""
        return _mapping(self, event).keys()


class MappingValuesGenerator(ItemGenerator):
    """Generates an event of each value of a mapping."""

    def items(self, event: Event) -> Iterable[Event]:
        """Return the values."""
        return _mapping(self, event).values()


class MappingItemsGenerator(ItemGenerator):
    """Generates an event of each pair of key and value of a mapping."""

    def items(self, event: Event) -> Iterable[Event]:
        """Return the pairs."""
        return _mapping(self, event).items()


def _mapping(processor: ProcessorBase, event: Event) -> Mapping[Any, Any]:
    if not isinstance(event, Mapping):
        raise wrong_type(processor, event, "a mapping")
    return event
