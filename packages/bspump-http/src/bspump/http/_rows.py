"""Making rows of CSV lines that arrive bit by bit."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from bspump import Event
from bspump.common.csv import PROBE, Dialect

from ._lines import LineTooLongError


class Row(NamedTuple):
    """A row: the event, or the reason why there is none; the text; the number of its first line."""

    event: Event
    reason: str | None
    text: str
    line: int


class RowParser:
    """Makes dictionaries of lines.

    Args:
        fieldnames: the keys; those of the first row if None.
        dialect: the format.
        strict_columns: whether a row with more or fewer fields than there are keys is refused.
        limit: the most characters that the lines of one row may have.
    """

    def __init__(self, fieldnames: list[str] | None, dialect: Dialect, *, strict_columns: bool, limit: int) -> None:
        self._fieldnames = fieldnames
        self._dialect = dialect
        self._strict_columns = strict_columns
        self._limit = limit
        self._open: list[str] = []
        self._open_size = 0
        self._wait_for_size = 0
        self._line = 1

    def feed(self, lines: list[str], *, is_end: bool = False) -> list[Row]:
        """Return the rows that end in the lines, which are given with their newlines.

        Raises:
            LineTooLongError: a row is longer than the limit.
        """
        self._open.extend(lines)
        self._open_size += sum(map(len, lines))
        # A row of many lines is looked at each time it has doubled, not for each line again.
        if not is_end and self._open_size < self._wait_for_size:
            return []
        text, self._open = self._open, []
        rows: list[Row] = []
        for fields, reason, start, end in self._split(text):
            if end > len(text) and not is_end:
                self._open = text[start:]
                break
            if end > len(text):
                reason = reason or "the row has a quoted field that does not end"
            row = self._row(fields, reason, text[start:end], self._line + start)
            if row is not None:
                rows.append(row)
        self._line += len(text) - len(self._open)
        self._open_size = sum(map(len, self._open))
        if self._open_size > self._limit:
            raise LineTooLongError(f"the row that begins in line {self._line} is longer than line_limit")
        self._wait_for_size = 2 * self._open_size
        return rows

    def skip_line(self) -> None:
        """Count a line that is not fed, since it could not be decoded."""
        self._line += 1

    def _split(self, text: list[str]) -> Iterator[tuple[list[Any], str | None, int, int]]:
        """Yield fields, or what is wrong with them, and where a row starts and ends: behind the text if it is open."""
        # The last line is a row of its own, unless the one before is not finished.
        reader = csv.reader(itertools.chain(text, (PROBE,)), **self._dialect)
        start = 0
        while start < len(text):
            fields: list[Any] = []
            reason = None
            try:
                fields = next(reader)
            except (csv.Error, ValueError) as error:
                reason = f"the row is no valid CSV: {error}"
            yield fields, reason, start, reader.line_num
            start = reader.line_num

    def _row(self, fields: list[Any], reason: str | None, lines: list[str], line: int) -> Row | None:
        if reason is not None:
            return Row(None, reason, "".join(lines), line)
        if not fields:
            return None
        if self._fieldnames is None:
            self._fieldnames = fields
            return None
        names = self._fieldnames
        if len(fields) == len(names):
            return Row(dict(zip(names, fields, strict=True)), None, "", line)
        if self._strict_columns:
            reason = f"the row has {len(fields)} fields, but there are {len(names)} columns"
            return Row(None, reason, "".join(lines), line)
        event: dict[Any, Any] = dict(zip(names, fields, strict=False))
        if len(fields) > len(names):
            event[None] = fields[len(names) :]
        else:
            event.update(dict.fromkeys(names[len(fields) :]))
        return Row(event, None, "", line)
