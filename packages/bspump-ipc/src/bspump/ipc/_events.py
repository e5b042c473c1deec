"""Events that are bytes or text."""

from __future__ import annotations

from bspump import Event, ProcessingError, Sink


def as_bytes(sink: Sink, event: Event, encoding: str) -> bytes:
    """Return the bytes of an event that a sink is to send.

    Raises:
        ProcessingError: it is neither bytes nor text, or text that the encoding does not know.
    """
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        try:
            return event.encode(encoding)
        except UnicodeEncodeError as error:
            raise ProcessingError(f"{sink!r} got text that cannot be encoded in {encoding}: {error.reason}") from None
    if isinstance(event, bytearray | memoryview):
        return bytes(event)
    raise ProcessingError(f"{sink!r} got {type(event).__name__}, but expects bytes or str")
