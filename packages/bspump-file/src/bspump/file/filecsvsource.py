"""Rows of CSV files as events."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import asab

from bspump import Event, ProcessingError, option
from bspump.common.csv import PROBE, CSVFormat, Dialect

from ._batch_source import LineBasedSource
from ._batches import LineParser, Parsed, Rejection, decoded_lines
from ._input_file import FileError, file_errors
from ._lines import LineReader
from .fileabcsource import resumes

if TYPE_CHECKING:
    from bspump import Pipeline

_ROWS_AT_ONCE = 1000


class FileCSVSource(CSVFormat, LineBasedSource):
    """Makes a dictionary of each row. Blank rows are left out; a quoted field may have newlines in it.

    The keys are `fieldnames`, or else the fields of the first row of each file.

    A row that is no valid CSV is reported with its line number as a failed event (see ``on_error`` of the pipeline),
    and the others go on.

    Further options: those of `CSVFormat` (dialect, delimiter, doublequote, escapechar, lineterminator, quotechar,
    quoting, skipinitialspace, strict), of `LineBasedSource` (tail, tail_from, poll_interval, line_limit) and of
    `FileABCSource` (path, include, exclude, mode, encoding, compression, post, move_destination, reread, order,
    settle …). ``mode`` is ``r`` and ``newline`` is empty, unless you set them.

    Args:
        fieldnames: the keys, if the files have no header.
    """

    ConfigDefaults: dict[str, Any] = {"mode": "r", "newline": ""}

    strict_columns = option.boolean(
        False,
        help="Whether to report a row that has more or fewer fields than there are keys as a failed event, the event "
        "being the text of the row. Otherwise missing fields are None, and the list of surplus ones has the key None, "
        "as with `csv.DictReader`.",
    )
    _decodes = True
    # The dictionaries of a block should stay in the cache of a core.
    _block = 1 << 16

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        fieldnames: Sequence[str] | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.FieldNames = list(fieldnames) if fieldnames is not None else None
        self._dialect = self._read_dialect()
        # The limit is one for the whole process. It would set fields above 128 KB aside.
        csv.field_size_limit(max(csv.field_size_limit(), self.line_limit))

    def reader(self, f: TextIO | Iterable[str]) -> csv.DictReader[str]:
        """Return a reader of dictionaries that has the format and the field names of the source."""
        return csv.DictReader(f, fieldnames=self.FieldNames, **self._dialect)

    @property
    def _resumes(self) -> bool:
        return super()._resumes and not self._has_own_reader

    @property
    def _has_own_reader(self) -> bool:
        return type(self).reader is not FileCSVSource.reader

    @resumes
    async def read(self, filename: str, f: Any) -> None:
        """Read a file: with `reader` if a subclass overrides it, else faster, and from its committed place."""
        if not self._has_own_reader:
            await super().read(filename, f)
            return
        rows = iter(self.reader(f))
        with file_errors():
            while batch := await self._in_thread(lambda: list(itertools.islice(rows, _ROWS_AT_ONCE))):
                await self.process_batch(batch, {"filename": filename})

    def make_parser(self, reader: LineReader) -> LineParser:
        """Return the parser of a new file."""
        codec = reader.codec or "utf-8"
        parser = _Rows(self.FieldNames, self._dialect, codec, self.encoding_errors, self.strict_columns)
        if self.FieldNames is None and reader.place > reader.start:
            parser.read_header(reader.split(reader.first_block))
        return parser


class _Row(NamedTuple):
    """A row and the lines that it takes up, as indices."""

    fields: list[Any]
    start: int
    end: int


class _BadRow(NamedTuple):
    """Lines that are no row."""

    reason: str
    start: int
    end: int


class _Rows:
    """Makes dictionaries of rows."""

    ends_at_rest = False

    def __init__(
        self, fieldnames: list[str] | None, dialect: Dialect, codec: str, errors: str, strict_columns: bool
    ) -> None:
        self._fieldnames = fieldnames
        self._dialect = dialect
        self._codec = codec
        self._errors = errors
        self._strict_columns = strict_columns

    def read_header(self, lines: list[bytes]) -> None:
        """Take the field names from the beginning of the file."""
        rows = csv.reader((line.decode(self._codec, self._errors) for line in lines), **self._dialect)
        self._fieldnames = next(filter(None, rows), None)

    def parse(self, lines: list[bytes], first: int, *, is_end: bool) -> Parsed:
        codec, errors = self._codec, self._errors
        failure: FileError | None = None
        try:
            text = [line.decode(codec, errors) for line in lines]
        except UnicodeDecodeError:
            text, failure = decoded_lines(lines, codec, errors, first)
        parsed = self._parse_aligned(text) or self._parse_spans(text, first, is_end=is_end and failure is None)
        parsed.failure = failure
        return parsed

    def _parse_aligned(self, text: list[str]) -> Parsed | None:
        """Parse lines each of which is a row with the right number of fields. None: not all of them are."""
        try:
            rows = list(csv.reader(itertools.chain(text, (PROBE,)), **self._dialect))
        except (csv.Error, ValueError):
            return None
        if len(rows) != len(text) + 1:
            return None
        rows.pop()
        header = 0
        names = self._fieldnames
        if names is None:
            if not rows or not rows[0]:
                return None
            names, header = rows[0], 1
            rows = rows[1:]
        if set(map(len, rows)) - {len(names)}:
            return None
        self._fieldnames = names
        events = [dict(zip(names, row)) for row in rows]  # noqa: B905 (they are of equal length; `strict` is slow)
        end = len(text)
        return Parsed(events, end, range(header, end), range(header + 1, end + 1))

    def _parse_spans(self, text: list[str], first: int, *, is_end: bool) -> Parsed:
        """Parse any lines."""
        events: list[Event] = []
        firsts: list[int] = []
        ends: list[int] = []
        rejections: list[Rejection] = []
        consumed = 0
        for item in self._split(text):
            if item.end > len(text) and not is_end:
                break  # more of it may come
            consumed = min(item.end, len(text))
            if isinstance(item, _Row) and not item.fields:
                continue
            if isinstance(item, _Row) and self._fieldnames is None:
                self._fieldnames = item.fields
                continue
            event, reason = (None, item.reason) if isinstance(item, _BadRow) else self._to_dictionary(item.fields)
            if reason is None:
                events.append(event)
                firsts.append(item.start)
                ends.append(consumed)
            else:
                error = ProcessingError(f"Line {first + item.start}: {reason}")
                row = "".join(text[item.start : consumed])
                rejections.append(Rejection(len(events), error, row, item.start, consumed))
        return Parsed(events, consumed, firsts, ends, rejections)

    def _split(self, text: list[str]) -> Iterator[_Row | _BadRow]:
        """Yield the rows. One that is not finished at the last line is yielded as bad, with an end beyond it."""
        reader = csv.reader(itertools.chain(text, (PROBE,)), **self._dialect)
        start = 0
        while start < len(text):
            try:
                fields, reason = next(reader), None
            except (csv.Error, ValueError) as error:
                fields, reason = [], f"the row is no valid CSV: {error}"
            end = reader.line_num
            if end > len(text):
                reason = "the row has a quoted field that does not end"
            yield _Row(fields, start, end) if reason is None else _BadRow(reason, start, end)
            start = end

    def _to_dictionary(self, fields: list[Any]) -> tuple[dict[Any, Any] | None, str | None]:
        """Return a row as a dictionary, or the reason why that cannot be done."""
        names = self._fieldnames or []
        if len(fields) == len(names):
            return dict(zip(names, fields, strict=True)), None
        if self._strict_columns:
            return None, f"the row has {len(fields)} fields, but there are {len(names)} columns"
        event: dict[Any, Any] = dict(zip(names, fields, strict=False))
        if len(fields) > len(names):
            event[None] = fields[len(names) :]
        else:
            event.update(dict.fromkeys(names[len(fields) :]))
        return event, None
