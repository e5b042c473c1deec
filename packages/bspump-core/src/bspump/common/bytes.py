"""Between text and bytes."""

from __future__ import annotations

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import are_all, one_by_one, wrong_type


class EncodedProcessor(Processor):
    """The base of processors that have a text encoding.

    Attributes:
        Encoding: its name.
    """

    Encoding = option.encoding("utf-8", key="encoding", help="The text encoding.")


class StringToBytesParser(EncodedProcessor):
    """Encodes text.

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
