"""What the worker thread makes of the lines of a file, and hands to the source."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

from bspump import Context, Event

from ._input_file import FileError
from ._lines import Format, LineReader
from ._positions import Place


@dataclasses.dataclass(slots=True)
class Rejection:
    """Lines that are no event."""

    before: int
    """How many events of the batch come before them."""
    error: Exception
    event: Event
    line: int
    """The index of their first line."""
    end: int
    """The index of the line behind them."""


@dataclasses.dataclass(slots=True)
class Parsed:
    """What a parser made of some lines; the indices count them from 0."""

    events: list[Event]
    consumed: int
    """How many of the lines are done with; the rest is offered again, with more behind them."""
    firsts: Sequence[int] | None = None
    """The index of the first line of each event. None: each line is one event."""
    ends: Sequence[int] | None = None
    """The index of the line behind each event."""
    rejections: Sequence[Rejection] = ()
    failure: FileError | None = None
    """Why the file cannot be read any further."""


class LineParser(Protocol):
    """Makes events of lines."""

    ends_at_rest: bool
    """Whether whole lines that it has not consumed make an event as soon as no more come for a while."""

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        """Make events of some lines.

        Args:
            lines: whole lines; only the last one of a file may be without newline.
            first: the number of the first of them in the file, counted from 1.
            is_end: nothing follows: what is left has to be made events of.
        """
        ...


class Batch:
    """Events together with the places in the file behind each of them."""

    def __init__(self, filename: str, start: Place, end: Place, lines: list[bytes], parsed: Parsed) -> None:
        self.filename = filename
        self.events = parsed.events
        self.rejections = parsed.rejections
        self.failure = parsed.failure
        self.start = start
        self._end = end
        self._lines = lines
        self._firsts = parsed.firsts
        self._ends = parsed.ends
        self._counted = 0
        self._offset = start.offset

    def contexts(self, start: int, stop: int) -> list[Context]:
        """Return new contexts for some of the events."""
        filename, first = self.filename, self.start.line + 1
        if self._firsts is None:
            return [{"filename": filename, "line": line} for line in range(first + start, first + stop)]
        return [{"filename": filename, "line": first + index} for index in self._firsts[start:stop]]

    def place_behind_event(self, count: int) -> Place:
        """Return the place behind the first so many events."""
        if self._ends is None:
            return self.place_behind_line(count)
        return self.place_behind_line(self._ends[count - 1] if count else 0)

    def place_behind_line(self, index: int) -> Place:
        """Return the place behind the first so many lines. Asked in ascending order, this adds up each line once."""
        if index == self._end.line - self.start.line:
            return self._end
        if index < self._counted:
            self._counted, self._offset = 0, self.start.offset
        self._offset += sum(map(len, self._lines[self._counted : index]))
        self._counted = index
        return Place(self._offset, self.start.line + index)


class BatchReader:
    """The batches of one file. Methods block.

    Args:
        filename: the original path, for the contexts.
        content: the file.
        place: the place to begin at.
        form: how to split it into lines.
        make_parser: makes the parser, given the reader.

    Attributes:
        place: the place behind the last batch.
    """

    def __init__(self, filename: str, content: BinaryIO, place: Place, form: Format, make_parser: ParserMaker) -> None:
        self._filename = filename
        self._lines = LineReader(content, place, form)
        self._limit = form.line_limit
        self._waiting: list[bytes] = []
        self.place = self._lines.place
        self._parser = make_parser(self._lines)
        self._lines.first_block = b""

    def read(self) -> Batch | None:
        """Return the next batch; None where the file, as it is now, has no more whole lines."""
        return self._read(self._lines.read)

    def read_promptly(self) -> Batch | None:
        """Do as `read`, but without waiting for a disk; None also where that would be necessary."""
        return self._read(self._lines.read_promptly)

    def _read(self, read_lines: Callable[[], list[bytes] | None]) -> Batch | None:
        while True:
            lines = read_lines()
            if lines is None:
                return None
            batch = self._parse([*self._waiting, *lines] if self._waiting else lines, is_end=False)
            if batch is not None:
                return batch

    @property
    def is_prompt(self) -> bool:
        """Whether `read_promptly` may have something."""
        return self._lines.is_prompt

    def flush(self, *, with_remainder: bool) -> Batch | None:
        """Return what is left, perhaps together with a last line that has no newline."""
        rest = self._lines.take_rest() if with_remainder else b""
        lines = [*self._waiting, rest] if rest else self._waiting
        return self._parse(lines, is_end=True) if lines else None

    @property
    def consumed(self) -> int:
        """How many bytes of the file have been read, from its beginning."""
        return self._lines.consumed

    def continues(self, fd: int) -> bool:
        """Tell whether the file is still the same up to there, as far as it is easy to see."""
        return self._lines.continues(fd)

    @property
    def has_event_at_rest(self) -> bool:
        """Whether whole lines are waiting that make an event if no more come."""
        return bool(self._waiting) and self._parser.ends_at_rest

    @property
    def has_rest(self) -> bool:
        """Whether something is left that is not known to be complete."""
        return bool(self._waiting) or self._lines.has_rest

    def _parse(self, lines: list[bytes], *, is_end: bool) -> Batch | None:
        start = self.place
        parsed = self._parser.parse(lines, start.line + 1, is_end=is_end)
        self._waiting = lines[parsed.consumed :]
        waiting = sum(map(len, self._waiting))
        if waiting > self._limit:
            raise FileError(
                f"the event that begins at line {start.line + parsed.consumed + 1} is longer than line_limit"
            )
        self.place = Place(self._lines.offset - waiting, start.line + parsed.consumed)
        if not parsed.events and not parsed.rejections and parsed.failure is None:
            return None
        return Batch(self._filename, start, self.place, lines, parsed)


class ParserMaker(Protocol):
    """Makes the parser of one file."""

    def __call__(self, reader: LineReader, /) -> LineParser: ...


def decoded_lines(lines: list[bytes], codec: str, errors: str, first: int) -> tuple[list[str], FileError | None]:
    """Decode lines; if one cannot be decoded, return those before it, and the error.

    Args:
        lines: the lines.
        codec: the encoding.
        errors: what to do about bytes that do not belong to it, as `bytes.decode` takes it.
        first: the number of the first line, for the message.
    """
    decoded: list[str] = []
    for line in lines:
        try:
            decoded.append(line.decode(codec, errors))
        except UnicodeDecodeError as error:
            place = f"line {first + len(decoded)}, byte {error.start + 1} of it"
            found = error.object[error.start : error.start + 4].hex(" ")
            return decoded, FileError(f"is not encoded in {codec}: {place} ({found}): {error.reason}")
    return decoded, None


def once(produce: Callable[[], Batch | None]) -> Callable[[], Batch | None]:
    """Return a function that produces a batch when called for the first time, and nothing after that."""
    calls = iter([produce])
    return lambda: next(calls, lambda: None)()
