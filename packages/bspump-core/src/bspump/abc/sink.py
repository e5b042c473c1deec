"""Sinks: the end of a pipeline."""

from __future__ import annotations

import abc

from .._types import Context, Event
from .processor import ProcessorBase


class Sink(ProcessorBase):
    """Takes an event out of the pipeline.

    A sink that keeps events for a while, in a buffer or on their way, implements `checkpoint`: what it has taken may
    be forgotten at its origin once `checkpoint` returns. For remote destinations derive from `BufferedSink`, which has
    all of that.
    """

    discards: bool = False
    """True for a sink that does nothing at all with its events. A pipeline need not even call it."""

    @abc.abstractmethod
    def process(self, context: Context, event: Event) -> None:
        """Take the event."""
