"""Showing events, and contexts, to a person."""

from __future__ import annotations

import pprint
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

import asab

from .._types import Context, Event
from ..abc.processor import Processor, ProcessorBase
from ..abc.sink import Sink

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class _ToStream(ProcessorBase):
    """Has a text stream, the standard output if none is given.

    Attributes:
        Stream: the stream.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Stream: TextIO = stream if stream is not None else sys.stdout

    def print_all(self, items: list[Any]) -> None:
        """Print each item on a line of its own, in one go."""
        self.Stream.write("".join([f"{item}\n" for item in items]))

    def pretty_print_all(self, items: list[Any]) -> None:
        """Lay each item out over several lines where it is long."""
        self.Stream.write("".join([f"{pprint.pformat(item)}\n" for item in items]))

    async def checkpoint(self) -> None:
        """Flush the stream."""
        self.Stream.flush()


class PrintSink(_ToStream, Sink):
    """Prints events."""

    def process(self, context: Context, event: Event) -> None:
        """Print the event."""
        self.print_all([event])

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Print a batch."""
        self.print_all(events)


class PPrintSink(_ToStream, Sink):
    """Prints events laid out over several lines where they are long."""

    def process(self, context: Context, event: Event) -> None:
        """Print the event."""
        self.pretty_print_all([event])

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Print a batch."""
        self.pretty_print_all(events)


class PrintProcessor(_ToStream, Processor):
    """Prints events and hands them on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the event."""
        self.print_all([event])
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Print a batch."""
        self.print_all(events)
        return contexts, events


class PPrintProcessor(_ToStream, Processor):
    """Prints events laid out over several lines where they are long, and hands them on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the event."""
        self.pretty_print_all([event])
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Print a batch."""
        self.pretty_print_all(events)
        return contexts, events


class PrintContextProcessor(_ToStream, Processor):
    """Prints contexts and hands the events on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the context."""
        self.print_all([context])
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Print a batch."""
        self.print_all(contexts)
        return contexts, events


class PPrintContextProcessor(_ToStream, Processor):
    """Prints contexts laid out over several lines where they are long, and hands the events on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the context."""
        self.pretty_print_all([context])
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Print a batch."""
        self.pretty_print_all(contexts)
        return contexts, events
