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

    async def checkpoint(self) -> None:
        """Flush the stream."""
        self.Stream.flush()


class PrintSink(_ToStream, Sink):
    """Prints events."""

    def process(self, context: Context, event: Event) -> None:
        """Print the event."""
        print(event, file=self.Stream)


class PPrintSink(_ToStream, Sink):
    """Prints events laid out over several lines where they are long."""

    def process(self, context: Context, event: Event) -> None:
        """Print the event."""
        pprint.pprint(event, stream=self.Stream)


class PrintProcessor(_ToStream, Processor):
    """Prints events and hands them on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the event."""
        print(event, file=self.Stream)
        return event


class PPrintProcessor(_ToStream, Processor):
    """Prints events laid out over several lines where they are long, and hands them on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the event."""
        pprint.pprint(event, stream=self.Stream)
        return event


class PrintContextProcessor(_ToStream, Processor):
    """Prints contexts and hands the events on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the context."""
        print(context, file=self.Stream)
        return event


class PPrintContextProcessor(_ToStream, Processor):
    """Prints contexts laid out over several lines where they are long, and hands the events on."""

    def process(self, context: Context, event: Event) -> Event:
        """Print the context."""
        pprint.pprint(context, stream=self.Stream)
        return event
