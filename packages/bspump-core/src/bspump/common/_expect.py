"""Saying, and quickly seeing, what type of event is expected."""

from __future__ import annotations

from .._types import Context, Event
from ..abc.processor import ProcessorBase
from ..errors import ProcessingError


def wrong_type(processor: ProcessorBase, event: Event, expected: str) -> ProcessingError:
    """Return the error of a processor that got an event of a type it cannot work with."""
    return ProcessingError(f"{processor!r} got {type(event).__name__}, but expects {expected}")


def are_all(events: list[Event], kind: type) -> bool:
    """Tell whether each event is exactly of that type: much quicker than asking one by one."""
    return {kind}.issuperset(map(type, events))


def one_by_one(processor: ProcessorBase, contexts: list[Context], events: list[Event]) -> list[Event]:
    """Return what `process` makes of each event."""
    process = processor.process
    return [process(context, event) for context, event in zip(contexts, events, strict=True)]
