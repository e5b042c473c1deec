"""Framing: where one event ends and the next begins in a stream of bytes."""

from __future__ import annotations

import abc
from collections.abc import Callable

from bspump import ProcessingError

NEWLINE = b"\n"
NUL = b"\0"
# RFC 6587 sets no limit to the count; ten digits are more than any frame can have here.
_MOST_DIGITS = 10
_HEAD = 200

LENGTH_SIZES = (1, 2, 4, 8)


class FramingError(ProcessingError):
    """Bytes of a stream cannot be made an event.

    Attributes:
        head: the first bytes of what was refused.
        is_final: whether nobody can tell where the next frame begins.
    """

    def __init__(self, message: str, head: bytes, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.head = head[:_HEAD]
        self.is_final = is_final


Frames = tuple[list[bytes], list[tuple[int, FramingError]]]
"""Complete frames in their order, and errors, each with the number of frames in front of it."""


class Splitter(abc.ABC):
    """Cuts one stream into frames."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame have come."""
        return len(self._pending)

    @abc.abstractmethod
    def feed(self, data: bytes) -> Frames:
        """Take the next bytes and return what is complete now. After a final error nothing more is to be fed."""

    def finish(self) -> Frames:
        """Return what remains at the end of the stream."""
        if not self._pending:
            return [], []
        head = bytes(self._pending[:_HEAD])
        message = f"the stream ended within a frame, of which {len(self._pending)} byte(s) had come"
        return [], [(0, FramingError(message, head, is_final=True))]

    def _too_long(self, head: bytes, size: int | None = None) -> FramingError:
        length = f"has {size} bytes" if size is not None else "goes on"
        return FramingError(f"a line or frame is longer than line_limit ({self._limit} bytes): it {length}", head)


class DelimiterSplitter(Splitter):
    """Frames that end with a delimiter of one byte. At the end of the stream the last one does without."""

    def __init__(self, limit: int, delimiter: bytes) -> None:
        super().__init__(limit)
        self._delimiter = delimiter
        self._is_skipping = False

    def feed(self, data: bytes) -> Frames:
        """Take the next bytes."""
        if self._is_skipping:
            end = data.find(self._delimiter)
            if end < 0:
                return [], []
            data = data[end + 1 :]
            self._is_skipping = False
        frames = data.split(self._delimiter)
        rest = frames.pop()
        pending = self._pending
        if not frames:
            pending += rest
            return [], self._overlong_rest(0)
        if pending:
            pending += frames[0]
            frames[0] = bytes(pending)
            pending.clear()
        pending += rest
        if len(data) <= self._limit and len(frames[0]) <= self._limit:
            return frames, []
        return self._without_overlong(frames)

    def _without_overlong(self, frames: list[bytes]) -> Frames:
        good: list[bytes] = []
        errors: list[tuple[int, FramingError]] = []
        for frame in frames:
            if len(frame) <= self._limit:
                good.append(frame)
            else:
                errors.append((len(good), self._too_long(frame, len(frame))))
        return good, errors + self._overlong_rest(len(good))

    def _overlong_rest(self, before: int) -> list[tuple[int, FramingError]]:
        if len(self._pending) <= self._limit:
            return []
        error = self._too_long(bytes(self._pending[:_HEAD]))
        self._pending = bytearray()
        self._is_skipping = True
        return [(before, error)]

    def finish(self) -> Frames:
        """Return the last frame, if it has no delimiter."""
        last = bytes(self._pending)
        self._pending.clear()
        return [last] if last else [], []


class CountingSplitter(Splitter):
    """Frames that begin with the number of their bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._to_skip = 0
        self._needed = 0

    @abc.abstractmethod
    def _header(self, data: bytes, start: int) -> tuple[int, int] | None:
        """Return where the content of the frame at `start` begins and ends; None if that cannot be told yet.

        Raises:
            FramingError: it is no frame.
        """

    def feed(self, data: bytes) -> Frames:
        """Take the next bytes."""
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            data = data[skipped:]
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return [], []
            data = bytes(self._pending)
            self._pending.clear()
        frames: list[bytes] = []
        errors: list[tuple[int, FramingError]] = []
        start, size = 0, len(data)
        self._needed = 0
        while start < size:
            try:
                header = self._header(data, start)
            except FramingError as error:
                return frames, [*errors, (len(frames), error)]
            if header is None:
                break
            begin, end = header
            if end - begin > self._limit:
                errors.append((len(frames), self._too_long(data[begin : begin + _HEAD], end - begin)))
                self._to_skip = max(0, end - size)
            elif end > size:
                self._needed = end - start
                break
            else:
                frames.append(data[begin:end])
            start = end
        self._pending += data[start:]
        return frames, errors


class OctetCountingSplitter(CountingSplitter):
    """``<length> <frame>``, the length in decimal digits: octet counting of RFC 6587."""

    def _header(self, data: bytes, start: int) -> tuple[int, int] | None:
        space = data.find(b" ", start, start + _MOST_DIGITS + 1)
        digits = data[start : space if space >= 0 else start + _MOST_DIGITS + 1]
        is_number = digits.isdigit() and not digits.startswith(b"0")
        if is_number and space >= 0:
            return space + 1, space + 1 + int(digits)
        if is_number and len(digits) <= _MOST_DIGITS:
            return None
        found = bytes(data[start : start + _HEAD])
        raise FramingError("expected a length in digits and a space (octet counting)", found, is_final=True)


class LengthPrefixSplitter(CountingSplitter):
    """Frames that begin with their length as an unsigned big-endian number of a fixed size."""

    def __init__(self, limit: int, length_size: int) -> None:
        super().__init__(limit)
        self._length_size = length_size

    def _header(self, data: bytes, start: int) -> tuple[int, int] | None:
        begin = start + self._length_size
        if begin > len(data):
            return None
        return begin, begin + int.from_bytes(data[start:begin])


class SyslogSplitter(Splitter):
    """What syslog is sent in over TCP: octet counting if the stream begins with a digit, otherwise lines (RFC 6587)."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._splitter: Splitter | None = None

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame have come."""
        return self._splitter.pending if self._splitter is not None else 0

    def feed(self, data: bytes) -> Frames:
        """Take the next bytes."""
        if self._splitter is None:
            if data[:1].isdigit():
                self._splitter = OctetCountingSplitter(self._limit)
            else:
                self._splitter = DelimiterSplitter(self._limit, NEWLINE)
        return self._splitter.feed(data)

    def finish(self) -> Frames:
        """Return what remains at the end of the stream."""
        return self._splitter.finish() if self._splitter is not None else ([], [])


def splitter_factory(framing: str, limit: int, length_size: int) -> Callable[[], Splitter]:
    """Return a function that makes a splitter for a new stream."""
    factories: dict[str, Callable[[], Splitter]] = {
        "newline": lambda: DelimiterSplitter(limit, NEWLINE),
        "nul": lambda: DelimiterSplitter(limit, NUL),
        "octet-counting": lambda: OctetCountingSplitter(limit),
        "length-prefix": lambda: LengthPrefixSplitter(limit, length_size),
        "syslog": lambda: SyslogSplitter(limit),
    }
    return factories[framing]


SPLIT_FRAMINGS = ("newline", "nul", "octet-counting", "length-prefix", "syslog")
JOIN_FRAMINGS = ("none", "newline", "nul", "octet-counting", "length-prefix")


def framer(framing: str, length_size: int) -> Callable[[bytes], bytes]:
    """Return a function that makes a frame of an event, and raises ProcessingError if that cannot be done."""
    factories: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
        "none": lambda: bytes,
        "newline": lambda: _delimited(NEWLINE, "newline"),
        "nul": lambda: _delimited(NUL, "NUL"),
        "octet-counting": lambda: _counted,
        "length-prefix": lambda: _prefixed(length_size),
    }
    return factories[framing]()


def _delimited(delimiter: bytes, name: str) -> Callable[[bytes], bytes]:
    def frame(event: bytes) -> bytes:
        position = event.find(delimiter)
        if position < 0:
            return event + delimiter
        if position == len(event) - 1:
            return event
        raise ProcessingError(
            f"the event has a {name} in its middle (at byte {position}), where the receiver would cut it in two; use "
            f"framing = octet-counting or length-prefix for such events"
        )

    return frame


def _counted(event: bytes) -> bytes:
    return b"%d %b" % (len(event), event)


def _prefixed(length_size: int) -> Callable[[bytes], bytes]:
    largest = 256**length_size - 1

    def frame(event: bytes) -> bytes:
        if len(event) > largest:
            raise ProcessingError(f"the event has {len(event)} bytes, more than length_size = {length_size} can tell")
        return len(event).to_bytes(length_size) + event

    return frame
