"""The sink that makes requests."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp.web
import pytest

import bspump
import bspump.common
import bspump.http
from bspump.testing import MemorySink, MemorySource, PumpRunner, until

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import Certificates, RawHandler, Server, text_handler, until_error
else:
    from .conftest import Certificates, RawHandler, Server, text_handler, until_error

Serve = Callable[..., Server]
FAST = {"retry_backoff": 0.001, "linger": 0.01}


class Posting(bspump.Pipeline):
    """A source in memory and the sink."""

    def __init__(
        self, pump: PumpRunner, events: list[Any], pipeline: dict[str, Any] | None = None, **config: Any
    ) -> None:
        super().__init__(pump.app, "Posting", pipeline)
        contexts = config.pop("contexts", None)
        self.source = MemorySource(pump.app, self, events, contexts=contexts)
        self.sink = bspump.http.HTTPClientSink(pump.app, self, config={**FAST, **config})
        self.build(self.source, self.sink)

    async def delivered(self) -> None:
        await self.source.finished.wait()
        await until(lambda: self.source.committed_position == len(self.source.events))


def bodies(server: Server) -> list[bytes]:
    return [body for *_, body in server.requests]


@pytest.mark.parametrize(
    ("format_name", "events", "expected", "content_type"),
    [
        ("json_array", [{"a": "ž"}, [1], "2", b"3"], ['[{"a":"ž"},[1],2,3]'], "application/json"),
        ("json_lines", [{"a": 1}, '{\n "b": 2\n}', b"3"], ['{"a":1}\n{"b":2}\n3\n'], "application/x-ndjson"),
        ("json", [{"a": 1}, {"b": 2}], ['{"a":1}', '{"b":2}'], "application/json"),
        ("raw", [b"\x00", "ž"], ["\x00", "ž"], "application/octet-stream"),
    ],
)
def test_formats(
    pump: PumpRunner, serve: Serve, format_name: str, events: list[Any], expected: list[str], content_type: str
) -> None:
    server = serve(text_handler(b""))
    posting = Posting(pump, events, url=server.url("/in"), format=format_name)
    pump.run(posting.delivered, posting)
    assert bodies(server) == [body.encode() for body in expected]
    method, path, headers, _ = server.requests[0]
    assert (method, path, headers["Content-Type"]) == ("POST", "/in", content_type)


def test_the_request_is_made_as_configured(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    posting = Posting(
        pump, [1], url=server.url(), method="PUT", headers="X-A: b", bearer_token="t", content_type="text/x"
    )
    pump.run(posting.delivered, posting)
    method, _, headers, _ = server.requests[0]
    assert (method, headers["X-A"], headers["Authorization"]) == ("PUT", "b", "Bearer t")
    assert headers["Content-Type"] == "text/x"


def test_batches_have_a_size(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    posting = Posting(pump, list(range(25)), url=server.url(), batch_size=10)
    pump.run(posting.delivered, posting)
    assert [len(json.loads(body)) for body in bodies(server)] == [10, 10, 5]


def test_a_large_batch_is_sent(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    posting = Posting(pump, ["x" * 1_000_000] * 5, url=server.url(), format="raw")
    pump.run(posting.delivered, posting)
    assert [len(body) for body in bodies(server)] == [1_000_000] * 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_work_later_is_sent_again(
    pump: PumpRunner, serve: Serve, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(text_handler(status, status, status, b""))
    posting = Posting(pump, [1, 2], url=server.url("/x"))
    pump.run(posting.delivered, posting)
    assert bodies(server) == [b"[1,2]"] * 4
    assert f"POST http://127.0.0.1:{server.port}/x answered {status} " in caplog.text


@pytest.mark.parametrize("is_date", [False, True])
def test_the_pause_that_the_server_asks_for_is_kept(pump: PumpRunner, serve: Serve, is_date: bool) -> None:
    times: list[float] = []

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        times.append(asyncio.get_running_loop().time())
        if len(times) > 1:
            return aiohttp.web.Response()
        date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        pause = date.strftime("%a, %d %b %Y %H:%M:%S GMT") if is_date else "1"
        return aiohttp.web.Response(status=429, headers={"Retry-After": pause})

    posting = Posting(pump, [1], url=serve(handle).url())
    pump.run(posting.delivered, posting)
    assert times[1] - times[0] >= 0.95


def test_a_server_that_comes_back_gets_everything(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(text_handler(b""))
    server.close()
    posting = Posting(pump, list(range(100)), url=server.url(), batch_size=10, retry_backoff_max=0.01)

    async def scenario() -> None:
        await posting.source.finished.wait()
        await until(lambda: "failed: connection refused" in caplog.text)
        assert posting.source.committed_position is None
        await server.start()
        await posting.delivered()

    pump.run(scenario, posting)
    assert [number for body in bodies(server) for number in json.loads(body)] == list(range(100))


def test_a_cut_connection_loses_nothing(pump: PumpRunner, serve_raw: Callable[[RawHandler], int]) -> None:
    """The server takes the request, and is gone before it answers."""
    taken: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.readexactly(3))
        if len(taken) > 2:
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()

    posting = Posting(pump, [1], url=f"http://127.0.0.1:{serve_raw(handle)}/")
    pump.run(posting.delivered, posting)
    assert taken == [b"[1]"] * 3


def test_a_server_that_does_not_answer_is_given_up(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    silent = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        if not silent.is_set():
            silent.set()
            await asyncio.sleep(30)
        return aiohttp.web.Response()

    posting = Posting(pump, [1], url=serve(handle).url(), timeout=0.05)
    pump.run(posting.delivered, posting)
    assert "failed: the server did not answer in time" in caplog.text


class DeadLetters(bspump.Pipeline):
    def __init__(self, pump: PumpRunner) -> None:
        super().__init__(pump.app, "DeadLetters")
        self.sink = MemorySink(pump.app, self)
        self.build(bspump.common.InternalSource(pump.app, self), self.sink)


def choosy(request_status: int = 422) -> Any:
    """Return a handler that refuses every request with a 13 in it."""

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        if b"13" in await request.read():
            return aiohttp.web.Response(status=request_status, text="We do not take\n13, " + "sorry " * 100)
        return aiohttp.web.Response()

    return handle


def test_a_refused_event_goes_to_the_dead_letters_alone(pump: PumpRunner, serve: Serve) -> None:
    server = serve(choosy())
    letters = DeadLetters(pump)
    posting = Posting(
        pump, list(range(10, 20)), {"on_error": "dead_letter", "dead_letter": "DeadLetters"}, url=server.url("/in")
    )
    pump.run(posting.delivered, letters, posting)
    (letter,) = letters.sink.events
    assert letter["event"] == 13
    message = letter["exception"]["message"]
    assert message.startswith(f"POST {server.url('/in')} answered 422 Unprocessable ")
    assert ": We do not take 13, sorry" in message
    assert len(message) < 350
    sent = [number for body in bodies(server) for number in json.loads(body) if b"13" not in body]
    assert sent == [10, 11, 12, 14, 15, 16, 17, 18, 19]


def test_an_event_that_is_no_json_goes_to_the_dead_letters_alone(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    letters = DeadLetters(pump)
    posting = Posting(
        pump, [1, {2}, float("nan"), 4], {"on_error": "dead_letter", "dead_letter": "DeadLetters"}, url=server.url()
    )
    pump.run(posting.delivered, letters, posting)
    assert [letter["event"] for letter in letters.sink.events][:1] == [{2}]
    assert len(letters.sink.events) == 2
    assert "the event cannot be written as JSON" in letters.sink.events[0]["exception"]["message"]
    assert bodies(server) == [b"[1,4]"]


def test_a_refused_event_stops_the_pipeline_and_is_sent_once_that_is_cleared(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(401, 401, b""))
    posting = Posting(pump, [1, 2, 3], url=server.url())

    async def scenario() -> None:
        assert "answered 401 Unauthorized: no" in await until_error(posting)
        assert posting.source.committed_position is None
        posting.set_error(None, None, None)
        await posting.delivered()

    pump.run(scenario, posting)
    assert bodies(server)[2:] == [b"[1]", b"[2]", b"[3]"]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://example.org/new?token=s3cret", "https://example.org/new?token=…"),
        ("/new?token=s3cret#s3cret", "http://127.0.0.1:{port}/new?token=…"),
        ("http://[s3cret", "an invalid URL"),
    ],
)
def test_redirections_are_not_followed(pump: PumpRunner, serve: Serve, location: str, shown: str) -> None:
    server = serve(text_handler(302, headers={"Location": location}))
    posting = Posting(pump, [1], url=server.url())

    async def scenario() -> None:
        message = await until_error(posting)
        assert f"answered 302 Found, which redirects to {shown.format(port=server.port)}, event" in message

    pump.run(scenario, posting)
    assert {request[0] for request in server.requests} == {"POST"}


def test_the_idempotency_key_is_the_same_for_the_same_batch(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(503, b"", 503, b""))
    posting = Posting(pump, [1, 2, 3, 4], url=server.url(), batch_size=2, idempotency_header="Idempotency-Key")
    pump.run(posting.delivered, posting)
    first, again, second, again_second = [headers["Idempotency-Key"] for _, _, headers, _ in server.requests]
    assert first == again
    assert second == again_second
    assert first != second


def test_an_idempotency_key_of_ones_own(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    posting = Posting(
        pump,
        [1],
        url=server.url(),
        format="json",
        idempotency_header="Idempotency-Key",
        contexts=[{"http_idempotency_key": "order-1"}],
    )
    pump.run(posting.delivered, posting)
    assert server.requests[0][2]["Idempotency-Key"] == "order-1"


def test_a_slow_server_throttles_the_pipeline(pump: PumpRunner, serve: Serve) -> None:
    go_on = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        await go_on.wait()
        return aiohttp.web.Response()

    posting = Posting(pump, list(range(1000)), url=serve(handle).url(), buffer_size=100, batch_size=10)

    async def scenario() -> None:
        await until(lambda: posting.get_throttles())
        assert posting.source.accepted_total < 1000
        go_on.set()
        await posting.delivered()

    pump.run(scenario, posting)


def test_tls(pump: PumpRunner, serve: Serve, certificates: Certificates) -> None:
    server = serve(text_handler(b""), certificates.server)
    posting = Posting(pump, [1], url=server.url(), cafile=certificates.cafile)
    pump.run(posting.delivered, posting)
    assert bodies(server) == [b"[1]"]


def test_nothing_is_sent_to_a_server_that_is_not_trusted(
    pump: PumpRunner, serve: Serve, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(text_handler(b""), certificates.server)
    posting = Posting(pump, [1], {"stop_timeout": 0.1}, url=server.url())

    async def scenario() -> None:
        await until(lambda: "the server's certificate is not trusted" in caplog.text)

    pump.run(scenario, posting)
    assert server.requests == []
    assert posting.source.committed_position is None


def test_nothing_secret_is_shown(pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(text_handler(500, 400))
    posting = Posting(pump, [1], url=server.url("/?key=s3cret", user="s3cret:s3cret"), headers="X-Key: s3cret")

    async def scenario() -> None:
        await until_error(posting)

    with caplog.at_level(logging.DEBUG):
        pump.run(scenario, posting)
    shown = caplog.text + repr(posting.sink) + str(posting.rest_get())
    assert "/?key=… answered 400 Bad Request" in shown
    assert "s3cret" not in shown
