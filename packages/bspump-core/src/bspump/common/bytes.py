"""Between text and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import are_all, one_by_one, wrong_type

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class EncodedProcessor(Processor):
    """The base of processors that have a text encoding.

    Attributes:
        Encoding: its name.
    """

    ConfigDefaults: dict[str, Any] = {
        "encoding": "utf-8",
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
            self.Encoding = options.text_encoding("encoding")


class StringToBytesParser(EncodedProcessor):
    """Encodes text.

    Options:
        encoding: the text encoding.

    Raises:
        UnicodeEncodeError: the text has a character that the encoding does not know.
    """

    def process(self, context: Context, event: Event) -> bytes:
        """Encode one event."""
        if not isinstance(event, str):
            raise wrong_type(self, event, "str")
        return event.encode(self.Encoding)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Encode a batch."""
        if not are_all(events, str):
            return contexts, one_by_one(self, contexts, events)
        encoding = self.Encoding
        return contexts, [event.encode(encoding) for event in events]


class BytesToStringParser(EncodedProcessor):
    """Decodes bytes.

    Options:
        encoding: the text encoding.

    Raises:
        UnicodeDecodeError: the bytes are no text of that encoding.
    """

    def process(self, context: Context, event: Event) -> str:
        """Decode one event."""
        if not isinstance(event, bytes | bytearray):
            raise wrong_type(self, event, "bytes")
        return event.decode(self.Encoding)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Decode a batch."""
        if not are_all(events, bytes):
            return contexts, one_by_one(self, contexts, events)
        encoding = self.Encoding
        return contexts, [event.decode(encoding) for event in events]
