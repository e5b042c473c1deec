"""Sources that make events of the lines and the CSV rows of a response while it arrives."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import aiohttp.web
import pytest

import bspump
import bspump.http
from bspump.testing import MemorySink, PumpRunner, until

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import RawHandler, Server, error_of, run_cycle, text_handler
else:
    from .conftest import RawHandler, Server, error_of, run_cycle, text_handler

Serve = Callable[..., Server]
LINES = bspump.http.HTTPClientLineSource
ROWS = bspump.http.HTTPClientCSVSource


class Reading(bspump.Pipeline):
    """A source of the given class and a sink in memory; what is rejected is in `rejected`."""

    def __init__(self, pump: PumpRunner, source_class: Callable[..., Any], *arguments: Any, **config: Any) -> None:
        super().__init__(pump.app, "Reading")
        self.rejected: list[tuple[str, Any, Any]] = []
        self.source = source_class(pump.app, self, *arguments, config={"fail_chilldown": 0.01, **config})
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)

    def handle_error(self, exception: BaseException, context: bspump.Context | None, event: bspump.Event) -> bool:
        if event is None:
            return False
        self.rejected.append((str(exception), event, context))
        return True


def read(pump: PumpRunner, reading: Reading) -> list[Any]:
    async def scenario() -> None:
        await run_cycle(reading.source)

    pump.run(scenario, reading)
    return reading.sink.events


def in_pieces(pieces: Iterable[bytes], content_type: str = "text/plain; charset=utf-8") -> Any:
    """Return a handler that sends a body piece by piece."""

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    return handle


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"\n\nx\t\n", ["", "", "x\t"]),
        (b"", []),
        (b"\xef\xbb\xbfa\xc5\xbe\n\xe2\x80\xa8b\n", ["až", "\u2028b"]),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_each_line_is_an_event_however_it_arrives(
    pump: PumpRunner, serve: Serve, body: bytes, lines: list[str], size: int
) -> None:
    server = serve(in_pieces([body[start : start + size] for start in range(0, len(body), size)]))
    assert read(pump, Reading(pump, LINES, url=server.url())) == lines


def test_lines_in_utf16(pump: PumpRunner, serve: Serve) -> None:
    body = "žluť\nkůň\n".encode("utf-16")
    server = serve(in_pieces([bytes([byte]) for byte in body], "text/plain; charset=utf-16"))
    assert read(pump, Reading(pump, LINES, url=server.url())) == ["žluť", "kůň"]


def test_the_context_has_the_url_and_the_number_of_the_line(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler("a\nb\n"))
    reading = Reading(pump, LINES, url=server.url("/x?key=s3cret"))
    read(pump, reading)
    url = server.url("/x?key=…")
    assert reading.sink.contexts == [{"url": url, "line": 1}, {"url": url, "line": 2}]


def test_lines_come_before_the_response_ends(pump: PumpRunner, serve: Serve) -> None:
    end = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\nsec")
        await end.wait()
        await response.write(b"ond\n")
        return response

    reading = Reading(pump, LINES, url=serve(handle).url())

    async def scenario() -> None:
        reading.source.TriggerEvent.set()
        await reading.sink.wait_for(1)
        assert reading.sink.events == ["first"]
        end.set()
        await reading.sink.wait_for(2)

    pump.run(scenario, reading)
    assert reading.sink.events == ["first", "second"]


def test_a_large_response_is_not_held_in_memory(pump: PumpRunner, serve: Serve) -> None:
    """The server is not read any further while the pipeline is throttled."""
    line = b"x" * 999 + b"\n"
    sent = 0

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        nonlocal sent
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(line * 100)
            sent += 100
        return response

    reading = Reading(pump, LINES, url=serve(handle).url(), read_timeout=0.3)

    async def scenario() -> None:
        reading.source.TriggerEvent.set()
        await reading.sink.wait_for(1)
        reading.throttle("test")
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 50_000
        # Longer than the server may be silent: it is not the server who waits.
        await asyncio.sleep(0.4)
        reading.throttle("test", False)
        await reading.sink.wait_for(100_000)

    pump.run(scenario, reading)
    assert len(reading.sink.events) == 100_000


def test_a_response_that_is_cut_is_read_again(
    pump: PumpRunner, serve_raw: Callable[[RawHandler], int], caplog: pytest.LogCaptureFixture
) -> None:
    answers = [b"Content-Length: 100\r\n\r\na\nb\nhal", b"Content-Length: 9\r\n\r\na\nb\nhalf\n"]

    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + answers.pop(0))
        await writer.drain()

    reading = Reading(pump, LINES, url=f"http://127.0.0.1:{serve_raw(write)}/log")
    assert read(pump, reading) == ["a", "b", "a", "b", "half"]
    assert "/log failed: the connection was cut in the middle of the response; it is tried again" in caplog.text


def test_a_line_in_another_encoding_is_a_failed_event(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"a\n\xff\xfe\nb\n\xff"))
    reading = Reading(pump, LINES, url=server.url("/x"))
    assert read(pump, reading) == ["a", "b"]
    url = server.url("/x")
    assert reading.rejected == [
        (f"Line 2 of {url} is not valid in the encoding of the response", b"\xff\xfe", {"url": url, "line": 2}),
        (f"Line 4 of {url} is not valid in the encoding of the response", b"\xff", {"url": url, "line": 4}),
    ]
    assert [context["line"] for context in reading.sink.contexts] == [1, 3]


def test_a_line_without_an_end_is_not_taken_into_memory(pump: PumpRunner, serve: Serve) -> None:
    reading = Reading(pump, LINES, url=serve(text_handler(b"x" * 5000)).url(), line_limit="2k")

    async def scenario() -> None:
        await run_cycle(reading.source)
        assert "a line is longer than line_limit (2048 bytes)" in error_of(reading)

    pump.run(scenario, reading)


CSV = b'id,name\r\n1,"Smith, J."\r\n\r\n2,"two\r\nlines"\r\n3,\xc5\xbe\r\n'
EVENTS = [{"id": "1", "name": "Smith, J."}, {"id": "2", "name": "two\r\nlines"}, {"id": "3", "name": "ž"}]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_row_is_a_dictionary(pump: PumpRunner, serve: Serve, size: int) -> None:
    server = serve(in_pieces([CSV[start : start + size] for start in range(0, len(CSV), size)], "text/csv"))
    reading = Reading(pump, ROWS, url=server.url())
    assert read(pump, reading) == EVENTS
    assert [context["line"] for context in reading.sink.contexts] == [2, 4, 6]


def test_the_format_can_be_set_in_a_configuration_file(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"a\tb\n'x\ty'\tz|'\n"))
    pump.configure(
        "pipeline:Reading:HTTPClientCSVSource",
        delimiter=r"\t",
        quotechar="'",
        escapechar="|",
        quoting="minimal",
        doublequote="no",
    )
    assert read(pump, Reading(pump, ROWS, url=server.url())) == [{"a": "x\ty", "b": "z'"}]


def test_field_names_can_be_given(pump: PumpRunner, serve: Serve) -> None:
    def with_names(app: Any, pipeline: Any, config: Any) -> bspump.http.HTTPClientCSVSource:
        return ROWS(app, pipeline, config=config, fieldnames=["x", "y"])

    server = serve(text_handler(b"1,2\n3,4\n"))
    assert read(pump, Reading(pump, with_names, url=server.url())) == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


def test_a_row_that_is_no_csv_is_a_failed_event(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b'a,b\n1,2\n"x"y,3\n5,6\n7,"never\nends\n'))
    reading = Reading(pump, ROWS, url=server.url("/t"), strict="yes")
    assert read(pump, reading) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    (first, text, context), (last, rest, _) = reading.rejected
    assert first.startswith(f"Line 3 of {server.url('/t')}: the row is no valid CSV: ")
    assert (text, context["line"]) == ('"x"y,3\n', 3)
    assert last.startswith(f"Line 5 of {server.url('/t')}: ")
    assert rest == '7,"never\nends\n'


def test_rows_with_other_numbers_of_fields(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"a,b\n1\n1,2,3\n"))
    assert read(pump, Reading(pump, ROWS, url=server.url())) == [
        {"a": "1", "b": None},
        {"a": "1", "b": "2", None: ["3"]},
    ]


def test_rows_with_other_numbers_of_fields_can_be_refused(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"a,b\n1\n1,2\n"))
    reading = Reading(pump, ROWS, url=server.url(), strict_columns="yes")
    assert read(pump, reading) == [{"a": "1", "b": "2"}]
    assert "the row has 1 fields, but there are 2 columns" in reading.rejected[0][0]


def test_a_line_of_csv_in_another_encoding_is_a_failed_event(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"a,b\n1,2\n\xff,3\n5,6\n"))
    reading = Reading(pump, ROWS, url=server.url())
    assert read(pump, reading) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    assert [event for _, event, _ in reading.rejected] == [b"\xff,3"]
    assert [context["line"] for context in reading.sink.contexts] == [2, 4]


def test_a_row_without_an_end_is_not_taken_into_memory(pump: PumpRunner, serve: Serve) -> None:
    body = b'a,b\n0,0\n1,"' + b"x\n" * 1000
    reading = Reading(pump, ROWS, url=serve(text_handler(body)).url(), line_limit=200)

    async def scenario() -> None:
        await run_cycle(reading.source)
        assert "the row that begins in line 3 is longer than line_limit (200 bytes)" in error_of(reading)

    pump.run(scenario, reading)


def test_a_reader_of_ones_own(pump: PumpRunner, serve: Serve) -> None:
    class Upper(bspump.http.HTTPClientCSVSource):
        def reader(self, f: Any) -> csv.DictReader[str]:
            return csv.DictReader(line.upper() for line in f)

    assert read(pump, Reading(pump, Upper, url=serve(text_handler(b"a\nb\n")).url())) == [{"A": "B"}]


def test_a_dialect_that_does_not_exist_is_refused(pump: PumpRunner) -> None:
    Reading(pump, ROWS, url="http://localhost/", dialect="klingon")
    assert "dialect: 'klingon' is none of" in pump.service.configuration_problems[0]


def test_an_endless_response_ends_with_the_pipeline(pump: PumpRunner, serve: Serve) -> None:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        number = 0
        while True:
            await response.write(b"%d\n" % number)
            number += 1
            await asyncio.sleep(0)

    reading = Reading(pump, LINES, url=serve(handle).url())

    async def scenario() -> None:
        reading.source.TriggerEvent.set()
        await until(lambda: len(reading.sink.events) >= 100)

    pump.run(scenario, reading)
    assert reading.sink.events[:3] == ["0", "1", "2"]
