"""A source whose events are the rows of CSV responses."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import aiohttp
import asab

from bspump import ProcessingError, option
from bspump._urls import shown_url
from bspump.common.csv import CSVFormat

from ._lines import LineTooLongError
from ._rows import Row, RowParser
from .linesource import HTTPClientLineSource

if TYPE_CHECKING:
    from bspump import Pipeline

_ROWS_AT_ONCE = 1000


class HTTPClientCSVSource(CSVFormat, HTTPClientLineSource):
    """Makes a dictionary of each row, while the response arrives. Blank rows are left out.

    The keys are `fieldnames`, or else the fields of the first row. A row that is no valid CSV, or not valid in the
    encoding, is a failed event with its text and its line number, and the others go on.

    Further options: those of `CSVFormat` (dialect, delimiter, doublequote, escapechar, lineterminator, quotechar,
    quoting, skipinitialspace, strict), `HTTPClientLineSource` (line_limit, which counts for a row of several lines
    too), `HTTPClientTextSource` (encoding), `HTTPClientSource` (url, method, response_code …) and `HTTPClient`
    (headers, username …).

    Args:
        headers: headers of the request, overriding the option ``headers``.
        fieldnames: the keys, if the responses have no header.
    """

    strict_columns = option.boolean(
        False,
        help="Whether to report a row that has more or fewer fields than there are keys as a failed event. Otherwise "
        "missing fields are None, and the list of surplus ones has the key None, as with `csv.DictReader`.",
    )
    mode = option.text("r", help="Accepted, without effect.")
    newline = option.text(help="Accepted, without effect.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        fieldnames: Sequence[str] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config, headers=headers)
        self.FieldNames = list(fieldnames) if fieldnames is not None else None
        self._dialect = self._read_dialect()

    def reader(self, f: TextIO | Iterable[str]) -> csv.DictReader[str]:
        """Return a reader of dictionaries. If it is overridden, the response is taken into memory and read with it."""
        return csv.DictReader(f, fieldnames=self.FieldNames, **self._dialect)

    async def read(self, response: aiohttp.ClientResponse) -> Any:
        """Process the rows."""
        if type(self).reader is not HTTPClientCSVSource.reader:
            await self._read_with_reader(response)
            return
        url = shown_url(str(response.url))
        parser = RowParser(self.FieldNames, self._dialect, strict_columns=self.strict_columns, limit=self.line_limit)
        number = 1
        async for lines in self.lines(response):
            bad = [index for index, line in enumerate(lines) if isinstance(line, bytes)]
            start = 0
            for index in [*bad, len(lines)]:
                text = [f"{line}\n" for line in lines[start:index] if isinstance(line, str)]
                try:
                    rows = parser.feed(text)
                except LineTooLongError as error:
                    raise ProcessingError(f"{self!r}: {url}: {error} ({self.line_limit} bytes)") from None
                await self._process_rows(rows, url)
                if index < len(lines):
                    await self._reject_line(lines[index], number + index, url)
                    parser.skip_line()
                start = index + 1
            number += len(lines)
        await self._process_rows(parser.feed([], is_end=True), url)

    async def _reject_line(self, line: str | bytes, number: int, url: str) -> None:
        reason = f"Line {number} of {url} is not valid in the encoding of the response"
        await self.reject(ProcessingError(reason), line, {"url": url, "line": number})

    async def _process_rows(self, rows: list[Row], url: str) -> None:
        start = 0
        bad = [index for index, row in enumerate(rows) if row.reason is not None]
        for index in [*bad, len(rows)]:
            good = rows[start:index]
            if good:
                contexts = [{"url": url, "line": row.line} for row in good]
                await self.process_batch([row.event for row in good], contexts)
            if index < len(rows):
                row = rows[index]
                await self.reject(
                    ProcessingError(f"Line {row.line} of {url}: {row.reason}"), row.text, {"url": url, "line": row.line}
                )
            start = index + 1

    async def _read_with_reader(self, response: aiohttp.ClientResponse) -> None:
        lines: list[str] = []
        number = 1
        async for more in self.lines(response):
            for line in more:
                if isinstance(line, str):
                    lines.append(f"{line}\n")
                else:
                    await self._reject_line(line, number, shown_url(str(response.url)))
                number += 1
        rows = iter(self.reader(lines))
        while batch := self._next_rows(rows, shown_url(str(response.url))):
            await self.process_batch(batch, self.context_of(response))

    def _next_rows(self, rows: Iterator[dict[str, str]], url: str) -> list[dict[str, str]]:
        try:
            return list(itertools.islice(rows, _ROWS_AT_ONCE))
        except csv.Error as error:
            raise ProcessingError(f"{self!r}: {url} is no valid CSV: {error}") from None
