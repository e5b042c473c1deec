"""A sink for what is not wanted."""

from __future__ import annotations

from .._types import Context, Event
from ..abc.sink import Sink


class NullSink(Sink):
    """Takes events and forgets them."""

    discards = True

    def process(self, context: Context, event: Event) -> None:
        """Forget the event."""

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Forget the events."""
