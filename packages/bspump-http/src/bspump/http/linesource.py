"""A source whose events are the lines of HTTP responses."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from bspump import Context, ProcessingError, option
from bspump._urls import shown_url

from ._lines import LineSplitter, LineTooLongError
from .source import HTTPClientTextSource


class HTTPClientLineSource(HTTPClientTextSource):
    """Makes an event of each line of the response, as text without its newline, while the response arrives.

    It may be endless. A response that is cut in the middle is requested again, and then its lines come again from the
    first one. A line that is not valid in the encoding is a failed event, and the others go on. The context has the
    keys ``url`` and ``line``.

    Further options: those of `HTTPClientTextSource` (encoding), `HTTPClientSource` (url, method, response_code …) and
    `HTTPClient` (headers, username …).
    """

    line_limit = option.size("16MB", help="The most bytes that a line may have.")

    async def read(self, response: aiohttp.ClientResponse) -> Any:
        """Process the lines."""
        url = shown_url(str(response.url))
        number = 1
        async for lines in self.lines(response):
            await self._process_lines(lines, number, url)
            number += len(lines)

    async def lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[list[str | bytes]]:
        """Yield the lines as they arrive, without newlines; one that is not valid in the encoding as bytes.

        Raises:
            RequestFailedError: the response does not come to its end.
            ProcessingError: a line is too long, or nothing can be made of the response.
        """
        splitter = LineSplitter(self.encoding_of(response), self.line_limit)
        try:
            async for chunk in self.chunks(response):
                if lines := splitter.feed(chunk):
                    yield lines
            if lines := splitter.finish():
                yield lines
        except LineTooLongError as error:
            raise ProcessingError(f"{self!r}: {shown_url(str(response.url))}: {error}") from None
        except UnicodeDecodeError as error:
            raise ProcessingError(
                f"{self!r}: the body of {shown_url(str(response.url))} is not valid {error.encoding}: {error.reason}"
            ) from None

    async def _process_lines(self, lines: list[str | bytes], first: int, url: str) -> None:
        start = 0
        bad = [index for index, line in enumerate(lines) if isinstance(line, bytes)]
        for index in [*bad, len(lines)]:
            if index > start:
                events = [line.rstrip("\r") for line in lines[start:index] if isinstance(line, str)]
                await self.process_batch(events, functools.partial(_contexts, first + start, url))
            if index < len(lines):
                await self.reject(
                    ProcessingError(f"Line {first + index} of {url} is not valid in the encoding of the response"),
                    lines[index],
                    {"url": url, "line": first + index},
                )
            start = index + 1


def _contexts(first: int, url: str, start: int, stop: int) -> list[Context]:
    return [{"url": url, "line": first + index} for index in range(start, stop)]
