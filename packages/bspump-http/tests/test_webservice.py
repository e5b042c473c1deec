"""Webhooks are answered when the event is durable, and responses can be written by a pipeline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.web
import pytest

import bspump
import bspump.http
from bspump.testing import MemorySink, PumpRunner, until

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import Server, until_error
else:
    from .conftest import Server, until_error

Serve = Callable[..., Server]


class GatedSink(MemorySink):
    """What it takes is durable when the gate is open."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.gate = asyncio.Event()
        self.checkpoints = 0
        self.fails = False

    async def checkpoint(self) -> None:
        self.checkpoints += 1
        await self.gate.wait()
        if self.fails:
            self.fails = False
            raise OSError("the disk is gone")


class Picky(bspump.Processor):
    def process(self, context: bspump.Context, event: bytes) -> bytes:
        if event == b"bad":
            raise ValueError("no good")
        return event


class Hook(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, pipeline: dict[str, Any] | None = None, **config: Any) -> None:
        super().__init__(pump.app, "Hook", pipeline)
        self.source = bspump.http.WebServiceSource(pump.app, self, config=config)
        self.sink = GatedSink(pump.app, self)
        self.build(self.source, Picky(pump.app, self), self.sink)


async def post(server: Server, body: Any = b"event", **options: Any) -> tuple[int, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url("/hook?a=b"), data=body, **options) as response,
    ):
        await response.read()
        return response.status, dict(response.headers)


def test_a_request_is_answered_when_its_event_is_durable(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        request = asyncio.ensure_future(post(server))
        await until(lambda: hook.sink.checkpoints)
        assert hook.sink.events == [b"event"]
        assert not request.done()
        hook.sink.gate.set()
        assert (await request)[0] == 200

    pump.run(scenario, hook)


def test_the_context_describes_the_request(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        await post(server, '{"a": 1}', headers={"X-One": "1", "Content-Type": "application/json; charset=utf-8"})

    pump.run(scenario, hook)
    context = {key.removeprefix("webservicesource."): value for key, value in hook.sink.contexts[0].items()}
    assert context.keys() == {
        "remote", "path", "query", "headers", "secure", "method", "url", "scheme", "forwarded", "host", "cookies",
        "content_type", "charset",
    }  # fmt: skip
    assert (context["remote"], context["path"], context["query"]["a"]) == ("127.0.0.1", "/hook", "b")
    assert (context["method"], context["scheme"], context["secure"]) == ("POST", "http", False)
    assert (context["content_type"], context["charset"]) == ("application/json", "utf-8")
    assert context["headers"]["X-One"] == "1"


def test_requests_that_come_at_once_share_checkpoints(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        requests = [asyncio.ensure_future(post(server, b"%d" % number)) for number in range(100)]
        await until(lambda: len(hook.sink.events) == 100)
        hook.sink.gate.set()
        assert {status for status, _ in await asyncio.gather(*requests)} == {200}

    pump.run(scenario, hook)
    assert hook.sink.checkpoints < 10


def test_an_event_that_stops_the_pipeline_is_answered_with_503(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, retry_after=7)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        status, headers = await post(server, b"bad")
        assert (status, headers["Retry-After"]) == (503, "7")
        assert "no good" in await until_error(hook)
        # Nobody waits while an operator has to do something.
        assert (await post(server, b"good"))[0] == 503
        hook.set_error(None, None, None)
        assert (await post(server, b"good"))[0] == 200

    pump.run(scenario, hook)
    assert hook.sink.events == [b"good"]


def test_an_event_that_is_set_aside_is_answered_with_200(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, {"on_error": "skip"})
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        assert (await post(server, b"bad"))[0] == 200

    pump.run(scenario, hook)


def test_what_an_error_lost_is_answered_with_503(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        requests = [asyncio.ensure_future(post(server)) for _ in range(5)]
        await until(lambda: len(hook.sink.events) == 5)
        hook.sink.fails = True
        hook.sink.gate.set()
        assert {status for status, _ in await asyncio.gather(*requests)} == {503}
        hook.set_error(None, None, None)
        assert (await post(server, b"again"))[0] == 200

    pump.run(scenario, hook)


def test_a_request_does_not_wait_for_ever_for_a_pipeline_that_is_throttled(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, ready_timeout=0.05)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        hook.throttle("test")
        assert (await post(server))[0] == 503
        assert hook.sink.events == []
        hook.throttle("test", False)
        assert (await post(server))[0] == 200

    pump.run(scenario, hook)


def test_a_request_waits_for_a_pipeline_that_is_throttled_for_a_moment(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        hook.throttle("test")
        request = asyncio.ensure_future(post(server))
        await until(lambda: hook.source._entering)
        hook.throttle("test", False)
        assert (await request)[0] == 200

    pump.run(scenario, hook)


def test_requests_that_wait_are_refused_when_the_pipeline_stops_at_an_error(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, ready_timeout=0)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        hook.throttle("test")
        requests = [asyncio.ensure_future(post(server)) for _ in range(3)]
        await until(lambda: len(hook.source._entering) == 3)
        hook.set_error(None, None, RuntimeError("somewhere else"))
        hook.throttle("test", False)
        assert {status for status, _ in await asyncio.gather(*requests)} == {503}
        hook.sink.gate.set()

    pump.run(scenario, hook)


def test_a_request_does_not_wait_for_ever_for_durability(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, durable_timeout=0.05)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        assert (await post(server))[0] == 503
        hook.sink.gate.set()

    pump.run(scenario, hook)


def test_what_was_taken_before_a_stop_is_answered_with_200_and_later_requests_with_503(
    pump: PumpRunner, serve: Serve
) -> None:
    hook = Hook(pump)
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        request = asyncio.ensure_future(post(server))
        await until(lambda: hook.sink.checkpoints)
        stopping = asyncio.ensure_future(hook.stop())
        await until(lambda: hook.source._is_closing)
        assert (await post(server, b"late"))[0] == 503
        hook.sink.gate.set()
        assert (await request)[0] == 200
        await stopping
        assert (await post(server, b"later"))[0] == 503

    pump.run(scenario, hook)
    assert hook.sink.events == [b"event"]


def test_what_does_not_become_durable_before_the_end_is_answered_with_503(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, {"stop_timeout": 0.05})
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        request = asyncio.ensure_future(post(server))
        await until(lambda: hook.sink.checkpoints)
        await hook.stop()
        assert (await request)[0] == 503

    pump.run(scenario, hook)


async def in_chunks(total: int) -> Any:
    for _ in range(total // 100):
        yield b"x" * 100


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_that_is_too_large_is_refused(pump: PumpRunner, serve: Serve, is_announced: bool) -> None:
    hook = Hook(pump, max_body_size="1k")
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        status, _ = await post(server, b"x" * 2000 if is_announced else in_chunks(2000))
        assert status == 413

    pump.run(scenario, hook)
    assert hook.sink.events == []


def test_a_client_that_is_cut_in_the_middle_of_its_body_leaves_no_event(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await post(server))[0] == 200

    pump.run(scenario, hook)
    assert hook.sink.events == [b"event"]


def test_a_client_that_does_not_send_its_body_is_sent_away(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, body_timeout=0.05)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert b" 408 " in await reader.readline()
        writer.close()

    pump.run(scenario, hook)


def test_a_malformed_host_is_a_bad_request(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a[b\r\nContent-Length: 1\r\n\r\nx")
        assert b" 400 " in await reader.readline()
        writer.close()

    pump.run(scenario, hook)
    assert hook.sink.events == []


def test_a_token_can_be_demanded(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump, bearer_token="t0ken")
    hook.sink.gate.set()
    server = serve(hook.source.handler, reads=False)

    async def scenario() -> None:
        assert (await post(server))[0] == 401
        assert (await post(server, headers={"Authorization": "Bearer wrong"}))[0] == 401
        assert (await post(server, headers={"Authorization": "Bearer t0ken"}))[0] == 200

    pump.run(scenario, hook)
    assert hook.sink.events == [b"event"]
    assert "t0ken" not in str(hook.sink.contexts)


def test_put_in_a_handler_of_ones_own(pump: PumpRunner, serve: Serve) -> None:
    hook = Hook(pump)
    hook.sink.gate.set()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        await hook.source.put({"mine": 1}, json.loads(await request.read()), request)
        return aiohttp.web.Response(status=202)

    server = serve(handle)

    async def scenario() -> None:
        assert (await post(server, b'{"a": 1}'))[0] == 202
        hook.set_error(None, None, RuntimeError("stopped"))
        assert (await post(server, b'{"a": 1}'))[0] == 503

    pump.run(scenario, hook)
    assert hook.sink.events == [{"a": 1}]
    assert hook.sink.contexts[0]["mine"] == 1


def test_a_path_needs_a_web_server(pump: PumpRunner) -> None:
    Hook(pump, path="/hook")
    assert "path: '/hook' needs a web server: set [web] listen" in pump.service.configuration_problems[0]


# Responses that a pipeline writes


class Echo(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, *processors: type[bspump.Processor], **config: Any) -> None:
        super().__init__(pump.app, "Echo")
        self.source = bspump.http.WebServiceSource(pump.app, self)
        self.sink = bspump.http.WebServiceSink(pump.app, self, config=config)
        self.build(self.source, *(processor(pump.app, self) for processor in processors), self.sink)

    async def handler(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = await self.sink.response(request)
        async with response:
            body = await request.read()
            await self.source.put({self.sink.CONTEXT_RESPONSE_ID: response.Id}, body, request)
        return response


class Repeat(bspump.Generator):
    async def generate(self, context: bspump.Context, event: bytes, depth: int) -> None:
        for number in range(3):
            await asyncio.sleep(0)
            await self.Pipeline.inject(context, f"{number}:{event.decode()};", depth)


async def ask(server: Server, body: bytes) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(server.url(), data=body) as response:
        return response.status, await response.read()


def test_the_name_of_the_context_key() -> None:
    assert bspump.http.WebServiceSink.CONTEXT_RESPONSE_ID == "webservicesink.response_id"


def test_each_request_gets_its_own_events(pump: PumpRunner, serve: Serve) -> None:
    echo = Echo(pump)
    server = serve(echo.handler)

    async def scenario() -> None:
        answers = await asyncio.gather(*(ask(server, b"%d" % number) for number in range(50)))
        assert answers == [(200, b"%d" % number) for number in range(50)]

    pump.run(scenario, echo)
    assert echo.sink.Responses == {}


def test_the_response_has_what_a_generator_makes(pump: PumpRunner, serve: Serve) -> None:
    echo = Echo(pump, Repeat, content_type="text/plain")  # type: ignore[arg-type]
    server = serve(echo.handler)

    async def scenario() -> None:
        assert await ask(server, b"x") == (200, b"0:x;1:x;2:x;")

    pump.run(scenario, echo)


def test_no_event_makes_an_empty_response(pump: PumpRunner, serve: Serve) -> None:
    class Nothing(bspump.Processor):
        def process(self, context: bspump.Context, event: bytes) -> None:
            return None

    echo = Echo(pump, Nothing)
    server = serve(echo.handler)

    async def scenario() -> None:
        assert await ask(server, b"x") == (200, b"")

    pump.run(scenario, echo)


def test_a_failed_event_is_answered_with_503(pump: PumpRunner, serve: Serve) -> None:
    echo = Echo(pump, Picky)
    server = serve(echo.handler)

    async def scenario() -> None:
        assert (await ask(server, b"bad"))[0] == 503

    pump.run(scenario, echo)


def test_events_of_other_sources_are_sent_while_the_response_is_open(pump: PumpRunner, serve: Serve) -> None:
    echo = Echo(pump)
    opened: asyncio.Queue[str] = asyncio.Queue()
    ends = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = await echo.sink.response(request)
        async with response:
            opened.put_nowait(response.Id)
            await ends.wait()
        return response

    server = serve(handle)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            asking = asyncio.ensure_future(session.get(server.url()))
            context = {echo.sink.CONTEXT_RESPONSE_ID: await opened.get()}
            await echo.process("first", context)
            async with await asking as response:
                assert await response.content.readany() == b"first"
                await echo.process("second", context)
                assert await response.content.readany() == b"second"
                ends.set()
                assert await response.content.readany() == b""

    pump.run(scenario, echo)


def test_a_client_that_has_gone_does_not_stop_the_pipeline(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    echo = Echo(pump)
    opened: asyncio.Queue[str] = asyncio.Queue()
    ends = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = await echo.sink.response(request)
        async with response:
            opened.put_nowait(response.Id)
            await ends.wait()
        return response

    server = serve(handle)

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        context = {echo.sink.CONTEXT_RESPONSE_ID: await opened.get()}
        writer.transport.abort()
        while "dropped an event whose response has ended" not in caplog.text:
            await echo.process(b"x" * 1000, context)
            await asyncio.sleep(0)
        await echo.checkpoint()
        ends.set()
        assert not echo.is_error()

    pump.run(scenario, echo)


def test_a_slow_client_throttles_the_pipeline_until_it_is_given_up(pump: PumpRunner, serve: Serve) -> None:
    echo = Echo(pump, buffer_size="100k", write_timeout=0.1)
    opened: asyncio.Queue[str] = asyncio.Queue()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = await echo.sink.response(request)
        async with response:
            opened.put_nowait(response.Id)
            await until(lambda: response.is_lost)
        return response

    server = serve(handle)

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        context = {echo.sink.CONTEXT_RESPONSE_ID: await opened.get()}
        while not echo.get_throttles():
            await echo.process(b"x" * 50_000, context)
        await until(lambda: not echo.get_throttles())
        writer.close()

    pump.run(scenario, echo)


def test_an_event_for_no_response_is_a_failed_event(pump: PumpRunner) -> None:
    echo = Echo(pump)

    async def scenario() -> None:
        with pytest.raises(bspump.ProcessingError, match="got an event for the response 'x', which does not exist"):
            await echo.process(b"", {echo.sink.CONTEXT_RESPONSE_ID: "x"})

    pump.run(scenario, echo)
