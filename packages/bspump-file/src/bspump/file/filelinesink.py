"""Writing lines."""

from __future__ import annotations

from collections.abc import Sequence

from bspump import Event, ProcessingError

from ._file_sink import AppendingSink


class FileLineSink(AppendingSink):
    """Writes each event, ``bytes`` or ``str``, as a line; a newline is added where it is missing.

    Options: those of `AppendingSink` (path, append, compression, encoding, rotate_size, rotate_every, buffer_size,
    buffer_limit, flush_interval, max_open_files).
    """

    @property
    def _newline(self) -> bytes:
        return "\n".encode(self._encoding)

    def serialise(self, path: str, events: Sequence[Event]) -> bytes:
        """Return the lines."""
        try:
            joined = b"\n".join(events)
        except TypeError:
            joined = b""
        if not joined or self._newline != b"\n":
            return b"".join(map(self._line, events))
        if joined.count(b"\n") == len(events) - 1:
            return joined + b"\n"
        return b"".join([event if event.endswith(b"\n") else event + b"\n" for event in events])

    def _line(self, event: Event) -> bytes:
        if isinstance(event, str):
            event = event.encode(self._encoding)
        elif not isinstance(event, bytes | bytearray | memoryview):
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects bytes or str")
        line = bytes(event)
        return line if line.endswith(self._newline) else line + self._newline
