"""WebSockets: the source, the sink, and what the two promise together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.web
import pytest

import bspump
import bspump.common
import bspump.http
from bspump.testing import MemorySink, MemorySource, PumpRunner, until

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import Certificates, Server, WebHandler, until_error
else:
    from .conftest import Certificates, Server, WebHandler, until_error

Serve = Callable[..., Server]


class GatedSink(MemorySink):
    """What it takes is durable when the gate is open."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def checkpoint(self) -> None:
        await self.gate.wait()
        if self.fails:
            self.fails = False
            raise OSError("the disk is gone")


class Picky(bspump.Processor):
    def process(self, context: bspump.Context, event: Any) -> Any:
        if event == "bad":
            raise ValueError("no good")
        return event


class Receiving(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, **config: Any) -> None:
        super().__init__(pump.app, "Receiving")
        self.source = bspump.http.WebSocketSource(pump.app, self, config=config)
        self.sink = GatedSink(pump.app, self)
        self.build(self.source, Picky(pump.app, self), self.sink)


class Sending(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, events: list[Any], pipeline: Any = None, **config: Any) -> None:
        super().__init__(pump.app, "Sending", pipeline)
        self.source = MemorySource(pump.app, self, events)
        fast = {"reconnect_delay": 0.01, "retry_backoff": 0.001, "linger": 0.001}
        self.sink = bspump.http.HTTPClientWebSocketSink(pump.app, self, config={**fast, **config})
        self.build(self.source, self.sink)

    async def delivered(self) -> None:
        await self.source.finished.wait()
        await until(lambda: self.source.committed_position == len(self.source.events))


# The source


def test_each_message_is_an_event(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url("/ws")) as socket:
            await socket.send_str("text ž")
            await socket.send_bytes(b"\x00\xff")
            await receiving.sink.wait_for(2)

    pump.run(scenario, receiving)
    assert receiving.sink.events == ["text ž", b"\x00\xff"]
    first, second = receiving.sink.contexts
    assert (first["type"], second["type"]) == (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
    assert first["request"].path == "/ws"


def test_several_clients_at_once(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    server = serve(receiving.source.handler)

    async def client(session: aiohttp.ClientSession, name: int) -> None:
        async with session.ws_connect(server.url()) as socket:
            for number in range(20):
                await socket.send_str(f"{name}-{number}")

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(client(session, name) for name in range(10)))
        await receiving.sink.wait_for(200)

    pump.run(scenario, receiving)
    for name in range(10):
        own = [event for event in receiving.sink.events if event.startswith(f"{name}-")]
        assert own == [f"{name}-{number}" for number in range(20)]


def test_pings_are_answered(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    receiving.sink.gate.clear()
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url(), autoping=False) as socket:
            await socket.send_str("x")
            await socket.ping(b"hello")
            assert (await socket.receive()).data == b"hello"
            # This kind is answered when all before it is durable.
            await socket.ping(b"bspump:1")
            answer = asyncio.ensure_future(socket.receive())
            await until(lambda: receiving.source._waiting)
            assert not answer.done()
            receiving.sink.gate.set()
            assert (await answer).data == b"bspump:1"

    pump.run(scenario, receiving)


def test_clients_hear_from_a_server_that_is_busy(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump, keep_alive=0.02)
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        receiving.throttle("test")
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url(), autoping=False) as socket:
            await socket.send_str("x")
            assert (await socket.receive()).type is aiohttp.WSMsgType.PONG
            receiving.throttle("test", False)
            await receiving.sink.wait_for(1)

    pump.run(scenario, receiving)


def test_nothing_is_read_while_the_pipeline_is_throttled(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    server = serve(receiving.source.handler)
    sent = 0

    async def send(socket: aiohttp.ClientWebSocketResponse) -> None:
        nonlocal sent
        for _ in range(2000):
            await socket.send_bytes(b"x" * 10_000)
            sent += 1

    async def scenario() -> None:
        receiving.throttle("test")
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url()) as socket:
            sending = asyncio.ensure_future(send(socket))
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.05)
            assert sent < 1900
            receiving.throttle("test", False)
            await sending
            await receiving.sink.wait_for(2000)

    pump.run(scenario, receiving)


def test_a_token_can_be_demanded(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump, bearer_token="t0ken")
    server = serve(receiving.source.handler)
    sending = Sending(pump, ["x"], url=server.url(), bearer_token="t0ken")

    async def scenario() -> None:
        await sending.delivered()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(server.url(), headers={"Authorization": "Bearer wrong"})
            assert refused.value.status == 401

    pump.run(scenario, sending, receiving)
    assert receiving.sink.events == ["x"]


def test_clients_are_told_that_the_server_goes(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url()) as socket:
            await socket.send_str("last")
            await receiving.sink.wait_for(1)
            stopping = asyncio.ensure_future(receiving.stop())
            assert (await socket.receive()).data == aiohttp.WSCloseCode.GOING_AWAY
            await stopping
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(server.url())
            assert refused.value.status == 503

    pump.run(scenario, receiving)


def test_an_event_that_stops_the_pipeline_closes_the_connection(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(server.url()) as bystander, session.ws_connect(server.url()) as socket:
                await socket.send_str("bad")
                assert (await socket.receive()).data == aiohttp.WSCloseCode.INTERNAL_ERROR
                await bystander.send_str("good")
                assert (await bystander.receive()).data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(server.url())
            receiving.set_error(None, None, None)
            async with session.ws_connect(server.url()) as socket:
                await socket.send_str("good")
                await receiving.sink.wait_for(1)

    pump.run(scenario, receiving)


def test_a_message_that_is_too_large_closes_the_connection(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    receiving = Receiving(pump, max_message_size="1k")
    server = serve(receiving.source.handler)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url()) as socket:
            await socket.send_bytes(b"x" * 2000)
            assert (await socket.receive()).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    pump.run(scenario, receiving)
    assert receiving.sink.events == []
    assert "closed the connection of 127.0.0.1 with 1009" in caplog.text


# The sink


@pytest.fixture
def received() -> list[Any]:
    """What the handler `swallow` has taken."""
    return []


@pytest.fixture
def swallow(received: list[Any]) -> WebHandler:
    """The handler of a server that takes everything, and knows nothing of confirmations."""

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.ERROR:
                received.append(message.data)  # noqa: PERF401 (as they come)
        return socket

    return handle


def test_text_and_bytes_are_sent(pump: PumpRunner, serve: Serve, swallow: WebHandler, received: list[Any]) -> None:
    server = serve(swallow)
    sending = Sending(pump, ["ž", b"\xff"], url=server.url("/ws"))
    pump.run(sending.delivered, sending)
    assert received == ["ž", b"\xff"]


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_the_request_is_made_as_configured(
    pump: PumpRunner, serve: Serve, swallow: WebHandler, received: list[Any], scheme: str
) -> None:
    server = serve(swallow)
    url = f"{scheme}://u:p@127.0.0.1:{server.port}/ws?a=b"
    sending = Sending(pump, ["x"], url=url, headers="X-One: 1")
    pump.run(sending.delivered, sending)
    _, path, headers, _ = server.requests[0]
    assert (path, headers["X-One"], headers["Authorization"]) == ("/ws?a=b", "1", "Basic dTpw")


def test_the_pipeline_is_throttled_until_the_connection_stands(
    pump: PumpRunner, serve: Serve, swallow: WebHandler, received: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(swallow)
    server.close()
    sending = Sending(pump, ["x"], url=server.url("/ws?key=s3cret", user="u:s3cret"))

    async def scenario() -> None:
        await until(lambda: "connection refused" in caplog.text)
        assert not sending.is_ready()
        assert sending.rest_get()["Throttles"] == [server.url("/ws?key=…")]
        await server.start()
        await sending.delivered()

    with caplog.at_level(logging.DEBUG):
        pump.run(scenario, sending)
    assert received == ["x"]
    assert caplog.text.count("is not connected to") == 1
    assert "s3cret" not in caplog.text + repr(sending.sink) + str(sending.rest_get())


def test_a_cut_connection_loses_nothing(pump: PumpRunner, serve: Serve) -> None:
    """The server takes some messages each time, and is gone before it confirms them."""
    taken: list[str] = []
    cuts = 5

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        nonlocal cuts
        socket = aiohttp.web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.PING:
                if cuts:
                    cuts -= 1
                    assert request.transport is not None
                    request.transport.abort()
                    break
                await socket.pong(message.data)
            else:
                taken.append(message.data)
        return socket

    events = [str(number) for number in range(50)]
    sending = Sending(pump, events, url=serve(handle).url(), batch_size=10)
    pump.run(sending.delivered, sending)
    assert taken[:10] == events[:10] == taken[10:20]
    assert taken[-50:] == events
    assert cuts == 0


def test_a_message_that_the_server_refuses_is_rejected_alone(
    pump: PumpRunner, serve: Serve, received: list[Any]
) -> None:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(max_msg_size=1000)
        await socket.prepare(request)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.ERROR:
                received.append(message.data)  # noqa: PERF401 (as they come)
        return socket

    letters = bspump.Pipeline(pump.app, "Letters")
    letters_sink = MemorySink(pump.app, letters)
    letters.build(bspump.common.InternalSource(pump.app, letters), letters_sink)
    sending = Sending(
        pump, ["a", "x" * 2000, "b"], {"on_error": "dead_letter", "dead_letter": "Letters"}, url=serve(handle).url()
    )
    pump.run(sending.delivered, letters, sending)
    (letter,) = letters_sink.events
    assert letter["event"] == "x" * 2000
    assert "closed the connection at the message with 1009 (message too big)" in letter["exception"]["message"]
    assert set(received) == {"a", "b"}


def test_an_event_of_another_type_is_a_failed_event(
    pump: PumpRunner, serve: Serve, swallow: WebHandler, received: list[Any]
) -> None:
    sending = Sending(pump, [{"a": 1}], url=serve(swallow).url())

    async def scenario() -> None:
        assert "got dict, but expects bytes or str" in await until_error(sending)

    pump.run(scenario, sending)


def test_a_slow_server_throttles_the_pipeline(pump: PumpRunner, serve: Serve) -> None:
    go_on = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        await go_on.wait()
        async for _ in socket:
            pass
        return socket

    sending = Sending(pump, ["x"] * 1000, url=serve(handle).url(), output_queue_max_size="50")

    async def scenario() -> None:
        await until(lambda: sending.sink in sending.get_throttles())
        assert sending.source.accepted_total < 1000
        go_on.set()
        await sending.delivered()

    pump.run(scenario, sending)


def test_a_connection_may_be_silent(
    pump: PumpRunner, serve: Serve, swallow: WebHandler, received: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The limit for an answer to a request does not count for what comes after it."""
    sending = Sending(pump, ["x"], url=serve(swallow).url(), heartbeat=0, read_timeout=0.05)

    async def scenario() -> None:
        await sending.delivered()
        await asyncio.sleep(0.2)
        await sending.sink.write(bspump.Batch([{}], ["y"]))

    pump.run(scenario, sending)
    assert received == ["x", "y"]
    assert "is not connected" not in caplog.text


def test_a_server_that_pings_is_answered(pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    pinged = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.ping(b"are you there?")
        await socket.send_str("something to ignore")
        async for message in socket:
            if message.type is aiohttp.WSMsgType.PONG and message.data == b"are you there?":
                pinged.set()
            elif message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
        return socket

    sending = Sending(pump, ["x"], url=serve(handle).url())

    async def scenario() -> None:
        await pinged.wait()
        await sending.delivered()

    pump.run(scenario, sending)


def test_a_server_that_has_died_is_noticed(pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It reads and says nothing more, as after a power cut."""
    end = asyncio.Event()

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await end.wait()
        return socket

    sending = Sending(pump, ["x"], {"stop_timeout": 0.1}, url=serve(handle).url(), heartbeat=0.05)

    async def scenario() -> None:
        await until(lambda: "the server closed the connection with no closing handshake" in caplog.text)
        assert sending.source.committed_position is None
        end.set()

    pump.run(scenario, sending)


def test_tls(
    pump: PumpRunner, serve: Serve, swallow: WebHandler, certificates: Certificates, received: list[Any]
) -> None:
    server = serve(swallow, certificates.server)
    sending = Sending(pump, ["x"], url=server.url(), cafile=certificates.cafile)
    pump.run(sending.delivered, sending)
    assert received == ["x"]


def test_a_server_that_is_not_trusted_gets_nothing(
    pump: PumpRunner,
    serve: Serve,
    swallow: WebHandler,
    certificates: Certificates,
    received: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = serve(swallow, certificates.server)
    sending = Sending(pump, ["x"], {"stop_timeout": 0.1}, url=server.url())

    async def scenario() -> None:
        await until(lambda: "the server's certificate is not trusted" in caplog.text)

    pump.run(scenario, sending)
    assert received == []


def test_the_name_in_the_prose_of_the_manual() -> None:
    assert bspump.http.HTTPClientSocketSink is bspump.http.HTTPClientWebSocketSink


# Both together


def test_what_a_source_has_confirmed_is_durable_behind_it(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    receiving.sink.gate.clear()
    sending = Sending(pump, ["a", "b"], url=serve(receiving.source.handler).url())

    async def scenario() -> None:
        await receiving.sink.wait_for(2)
        await until(lambda: receiving.source._waiting)
        assert sending.source.committed_position is None
        receiving.sink.gate.set()
        await sending.delivered()

    pump.run(scenario, sending, receiving)
    assert receiving.sink.events == ["a", "b"]


def test_what_an_error_behind_the_source_lost_is_sent_again(pump: PumpRunner, serve: Serve) -> None:
    receiving = Receiving(pump)
    receiving.sink.fails = True
    sending = Sending(pump, ["a", "b"], url=serve(receiving.source.handler).url())

    async def scenario() -> None:
        assert "the disk is gone" in await until_error(receiving)
        assert sending.source.committed_position is None
        receiving.sink.events.clear()
        receiving.set_error(None, None, None)
        await sending.delivered()

    pump.run(scenario, sending, receiving)
    assert receiving.sink.events == ["a", "b"]
