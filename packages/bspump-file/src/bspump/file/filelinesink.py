"""Writing lines."""

from __future__ import annotations

from collections.abc import Sequence

from bspump import Event, ProcessingError

from ._file_sink import AppendingSink


class FileLineSink(AppendingSink):
    """Writes each event, ``bytes`` or ``str``, as a line; a newline is added where it is missing.

    Options:
        encoding: the encoding of events that are ``str``.
    """

    def serialise(self, path: str, events: Sequence[Event]) -> bytes:
        """Return the lines."""
        try:
            joined = b"\n".join(events)
        except TypeError:
            return b"".join(map(self._line, events))
        if joined.find(b"\n") < 0 or joined.count(b"\n") == len(events) - 1:
            return joined + b"\n"
        return b"".join([event if event.endswith(b"\n") else event + b"\n" for event in events])

    def _line(self, event: Event) -> bytes:
        if isinstance(event, str):
            event = event.encode(self._encoding)
        elif not isinstance(event, bytes | bytearray | memoryview):
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects bytes or str")
        line = bytes(event)
        newline = "\n".encode(self._encoding)
        return line if line.endswith(newline) else line + newline
