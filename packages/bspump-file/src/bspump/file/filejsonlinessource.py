"""Lines with a JSON value each as events."""

from __future__ import annotations

from typing import Any

from bspump import Event, ProcessingError
from bspump.common.json import parse_json, parse_json_batch

from ._batch_source import LineBasedSource
from ._batches import LineParser, Parsed, Rejection, decoded_lines
from ._input_file import FileError
from ._lines import LineReader


class FileJSONLinesSource(LineBasedSource):
    """Makes an event of the JSON value in each line; blank lines are left out.

    A line that is no JSON, or the value null, is reported with its line number as a failed event (see ``on_error`` of
    the pipeline), and the others go on.

    Options: those of `LineBasedSource` (tail, tail_from, poll_interval, line_limit) and of `FileABCSource` (path,
    include, exclude, mode, newline, encoding, compression, post, move_destination, reread, order, settle,
    position_dir …).
    """

    _decodes = True

    def make_parser(self, reader: LineReader) -> LineParser:
        """Return the parser of a new file."""
        return _Values(reader.codec or "utf-8", self.encoding_errors)


class _Values:
    """Parses lines."""

    ends_at_rest = False

    def __init__(self, codec: str, errors: str) -> None:
        self._codec = codec
        self._errors = errors
        self._is_utf8 = codec == "utf-8" and errors == "strict"

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        values = parse_json_batch(lines) if lines and self._is_utf8 else None
        if values is not None and None not in values:
            return Parsed(values, len(lines))
        return self._parse_one_by_one(lines, first)

    def _parse_one_by_one(self, lines: list[bytes], first: int) -> Parsed:
        events: list[Event] = []
        firsts: list[int] = []
        rejections: list[Rejection] = []
        text, failure = self._decode(lines, first)
        for index, line in enumerate(text):
            if not line.strip():
                continue
            try:
                value: Any = parse_json(line)
                reason = "the JSON value null cannot be an event" if value is None else None
            except ValueError as error:
                value, reason = None, f"it is no JSON: {error}"
            if reason is None:
                events.append(value)
                firsts.append(index)
            else:
                error_of_line = ProcessingError(f"Line {first + index}: {reason}")
                rejections.append(Rejection(len(events), error_of_line, line, index, index + 1))
        return Parsed(
            events, len(text), firsts, [index + 1 for index in firsts], rejections=rejections, failure=failure
        )

    def _decode(self, lines: list[bytes], first: int) -> tuple[list[str], FileError | None]:
        return decoded_lines(lines, self._codec, self._errors, first)
