"""The keys, values and items of mappings: as one event, or as an event each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._types import Context, Event
from ..abc.generator import Generator
from ..abc.processor import Processor, ProcessorBase
from ._expect import wrong_type


class MappingKeysProcessor(Processor):
    """Makes a list of its keys of a mapping."""

    def process(self, context: Context, event: Event) -> list[Any]:
        """Return the keys."""
        return list(_mapping(self, event).keys())


class MappingValuesProcessor(Processor):
    """Makes a list of its values of a mapping."""

    def process(self, context: Context, event: Event) -> list[Any]:
        """Return the values."""
        return list(_mapping(self, event).values())


class MappingItemsProcessor(Processor):
    """Makes a list of pairs of key and value of a mapping."""

    def process(self, context: Context, event: Event) -> list[tuple[Any, Any]]:
        """Return the pairs."""
        return list(_mapping(self, event).items())


class MappingKeysGenerator(Generator):
    """Generates an event of each key of a mapping."""

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Generate the keys."""
        for key in _mapping(self, event):
            await self.Pipeline.inject(context, key, depth)


class MappingValuesGenerator(Generator):
    """Generates an event of each value of a mapping."""

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Generate the values."""
        for value in _mapping(self, event).values():
            await self.Pipeline.inject(context, value, depth)


class MappingItemsGenerator(Generator):
    """Generates an event of each pair of key and value of a mapping."""

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Generate the pairs."""
        for item in _mapping(self, event).items():
            await self.Pipeline.inject(context, item, depth)


def _mapping(processor: ProcessorBase, event: Event) -> Mapping[Any, Any]:
    if not isinstance(event, Mapping):
        raise wrong_type(processor, event, "a mapping")
    return event
