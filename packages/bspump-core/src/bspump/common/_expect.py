"""One sentence for an event of the wrong type."""

from __future__ import annotations

from .._types import Event
from ..abc.processor import ProcessorBase
from ..errors import ProcessingError


def wrong_type(processor: ProcessorBase, event: Event, expected: str) -> ProcessingError:
    """Return the error of a processor that got an event of a type it cannot work with."""
    return ProcessingError(f"{processor!r} got {type(event).__name__}, but expects {expected}")
