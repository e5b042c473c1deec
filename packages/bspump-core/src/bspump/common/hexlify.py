"""Bytes as hexadecimal digits."""

from __future__ import annotations

import binascii

from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import are_all, one_by_one, wrong_type


class HexlifyProcessor(Processor):
    """Makes hexadecimal digits, as bytes, of bytes."""

    def process(self, context: Context, event: Event) -> bytes:
        """Convert one event."""
        if not isinstance(event, bytes | bytearray | memoryview):
            raise wrong_type(self, event, "bytes")
        return binascii.hexlify(event)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Convert a batch."""
        if not are_all(events, bytes):
            return contexts, one_by_one(self, contexts, events)
        return contexts, list(map(binascii.hexlify, events))
