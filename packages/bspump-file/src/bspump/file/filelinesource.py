"""Lines of files as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from ._batch_source import LineBasedSource
from ._batches import LineParser, Parsed, decoded_lines
from ._lines import LineReader

if TYPE_CHECKING:
    from bspump import Pipeline


class FileLineSource(LineBasedSource):
    """Makes an event of each line, with its newline: ``bytes`` with ``mode = rb``, ``str`` with ``mode = r``.

    Options: those of `LineBasedSource` (tail, tail_from, poll_interval, line_limit) and of `FileABCSource` (path,
    include, exclude, mode, newline, encoding, compression, post, move_destination, reread, order, settle,
    position_dir …).
    """

    def make_parser(self, reader: LineReader) -> LineParser:
        """Return the parser of a new file."""
        return _Lines() if reader.codec is None else _TextLines(reader.codec, self.encoding_errors)


class FileMultiLineSource(LineBasedSource):
    """Joins lines into events: each line that begins with the separator begins a new event.

    The events keep all their newlines. Lines in front of the first separator are an event of their own.

    Options: those of `LineBasedSource` (tail, tail_from, poll_interval, line_limit) and of `FileABCSource` (path,
    include, exclude, mode, newline, encoding, compression, post, move_destination, reread, order, settle,
    position_dir …).

    Args:
        separator: what the first line of each event begins with.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        separator: str | bytes,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.separator = separator

    def make_parser(self, reader: LineReader) -> LineParser:
        """Return the parser of a new file."""
        codec = reader.codec
        separator = self.separator if isinstance(self.separator, bytes) else self.separator.encode(codec or "utf-8")
        return _Groups(separator, codec, self.encoding_errors)


class _Lines:
    """Passes lines on."""

    ends_at_rest = False

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        return Parsed(lines, len(lines))


class _TextLines:
    """Decodes lines."""

    ends_at_rest = False

    def __init__(self, codec: str, errors: str) -> None:
        self._codec = codec
        self._errors = errors

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        codec, errors = self._codec, self._errors
        try:
            return Parsed([line.decode(codec, errors) for line in lines], len(lines))
        except UnicodeDecodeError:
            events, failure = decoded_lines(lines, codec, errors, first)
            return Parsed(events, len(events), failure=failure)


class _Groups:
    """Joins lines up to the next one that begins with the separator."""

    ends_at_rest = True

    def __init__(self, separator: bytes, codec: str | None, errors: str) -> None:
        self._separator = separator
        self._codec = codec
        self._errors = errors

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        separator = self._separator
        beginnings = [index for index, line in enumerate(lines) if line.startswith(separator)]
        if lines and (not beginnings or beginnings[0] != 0):
            beginnings.insert(0, 0)
        firsts, ends = beginnings[:-1], beginnings[1:]
        if is_end and beginnings:
            firsts, ends = beginnings, [*ends, len(lines)]
        groups = [b"".join(lines[start:end]) for start, end in zip(firsts, ends, strict=True)]
        consumed = ends[-1] if ends else 0
        if self._codec is None:
            return Parsed(groups, consumed, firsts, ends)
        events, failure = decoded_lines(groups, self._codec, self._errors, first)
        if failure is not None:
            consumed = ends[len(events) - 1] if events else 0
        return Parsed(events, consumed, firsts[: len(events)], ends[: len(events)], failure=failure)
