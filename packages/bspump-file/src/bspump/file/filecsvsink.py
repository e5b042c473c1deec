"""Writing CSV."""

from __future__ import annotations

import csv
import io
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import asab

from bspump import Context, Event, ProcessingError
from bspump.common.csv import PROBE, CSVFormat

from ._compression import codec_of, open_decompressed
from ._file_sink import AppendingSink
from ._lines import width_of
from ._output import OutputFile, count, end_of_last_line

if TYPE_CHECKING:
    from bspump import Pipeline


class FileCSVSink(CSVFormat, AppendingSink):
    """Writes each event, a dictionary, as a row. The header is written once per file: the keys of its first event.

    In a file that is appended to, the columns are those of its header. A key that an event has not leaves its field
    empty; an event with a key that has no column is a failed event (see ``on_error`` of the pipeline).

    The context key ``path`` overrides the option ``path``.

    Further options: those of `CSVFormat` (dialect, delimiter, doublequote, escapechar, lineterminator, quotechar,
    quoting, skipinitialspace, strict) and of `AppendingSink` (path, append, compression, encoding, rotate_size,
    rotate_every, buffer_size, buffer_limit, flush_interval, max_open_files).
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._dialect = self._read_dialect()
        self._tables: dict[str, _Table] = {}

    def get_file_name(self, context: Context, event: Event) -> str:
        """Return the file that an event is written to: the context's ``path``, or else the option. Override it."""
        return str(context.get("path", self.path))

    def writer(self, f: TextIO, fieldnames: Sequence[str]) -> csv.DictWriter[str]:
        """Return a writer of dictionaries that has the format of the sink. May be overridden."""
        return csv.DictWriter(f, fieldnames, **self._dialect)

    def rotate(self) -> None:
        """Close the files that are open. With ``rotate_size`` or ``rotate_every`` they get their final names."""
        self._cut()
        self._enqueue(rotate=OutputFile.rotate if self._rotation else OutputFile.close)

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Take events."""
        if type(self).get_file_name is FileCSVSink.get_file_name and not any("path" in context for context in contexts):
            self._collect(self.path, self.serialise(self.path, events))
        else:
            super().process_batch(contexts, events)

    def serialise(self, path: str, events: Sequence[Event]) -> bytes:
        """Return the rows."""
        table = self._tables.get(path)
        if table is None:
            table = self._begin_table(path, events[0])
        try:
            text = table.write(events)
        except (csv.Error, ValueError, KeyError, AttributeError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}" if isinstance(error, AttributeError | KeyError) else str(error)
            raise ProcessingError(f"{self!r} cannot write the event as a row of '{path}': {reason}") from error
        return text.encode(self._encoding)

    def _begin_table(self, path: str, event: Event) -> _Table:
        if not path:
            raise ProcessingError(f"{self!r} has no file for the event: neither its option nor the context has 'path'")
        if not isinstance(event, Mapping):
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects a dictionary")
        fieldnames = self._existing_header(path) or list(event)
        table = _Table(fieldnames, self.writer)
        self._headers[path] = table.header().encode(self._encoding)
        self._tables[path] = table
        return table

    def _existing_header(self, path: str) -> list[str] | None:
        """Return the first row of a file that is there already. One small read, once per file."""
        if not Path(path).is_file() or (not self.append and os.path.realpath(path) not in self._begun):
            return None
        try:
            with open_decompressed(io.FileIO(path), codec_of(path, self.compression)) as file:
                text = io.TextIOWrapper(file, encoding=self.encoding, newline="")
                return next(filter(None, csv.reader(text, **self._dialect)), None)
        except (OSError, ValueError, csv.Error):
            return None  # nothing there, or nothing that could be read; writing to it will tell

    def find_end(self, fd: int) -> int:
        """Return the length of a file up to the end of its last row."""
        newline = str(self._dialect.get("lineterminator", os.linesep)).encode(self._encoding)
        quote = str(self._dialect.get("quotechar", '"')).encode(self._encoding)
        width = width_of(self._encoding)
        end = end_of_last_line(fd, newline, width)
        if width > 1:
            return end
        # The last newline may stand in a quoted field. If so, the number of quotes in front of it is odd.
        return end if count(fd, quote, end) % 2 == 0 else self._end_of_last_row(fd, end)

    def _end_of_last_row(self, fd: int, end: int) -> int:
        offset = 0
        is_end = False

        def lines() -> Iterator[str]:
            nonlocal offset, is_end
            for line in raw:
                if offset >= end:
                    break
                offset += len(line)
                yield line.decode(self._encoding)
            is_end = True
            yield PROBE

        with os.fdopen(os.dup(fd), "rb") as raw:
            raw.seek(0)
            row_end = 0
            try:
                for _ in csv.reader(lines(), **self._dialect):
                    if is_end:
                        break
                    row_end = offset
            except (csv.Error, UnicodeError):
                return end
        return row_end


class _Table:
    """Makes the rows of one file."""

    def __init__(
        self, fieldnames: list[str], make_writer: Callable[[TextIO, Sequence[str]], csv.DictWriter[str]]
    ) -> None:
        self._buffer = io.StringIO(newline="")
        self._writer = make_writer(self._buffer, fieldnames)
        self._width = len(fieldnames)
        is_plain = type(self._writer) is csv.DictWriter and self._writer.extrasaction == "raise"
        self._fields = operator.itemgetter(*fieldnames) if is_plain and self._width > 1 else None

    def header(self) -> str:
        self._writer.writeheader()
        return self._take()

    def write(self, events: Sequence[Event]) -> str:
        try:
            if self._fields is not None and set(map(len, events)) == {self._width}:
                try:
                    self._writer.writer.writerows(map(self._fields, events))
                    return self._take()
                except KeyError:
                    self._take()  # the keys are as many, but others
            self._writer.writerows(events)
            return self._take()
        except BaseException:
            self._take()
            raise

    def _take(self) -> str:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text
