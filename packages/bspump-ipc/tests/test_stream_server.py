"""Events from connections, and replies to them."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.ipc import LineSourceProtocol, SourceProtocolABC, Stream, StreamServerSource
from bspump.testing import MemorySink, PumpRunner, until

BuildPipeline = Callable[..., bspump.Pipeline]


class Echo(bspump.Sink):
    """Replies to each event with itself."""

    def process(self, context: bspump.Context, event: bspump.Event) -> None:
        context["stream"].send(event.encode() + b"\n")


def source_of(pipeline: bspump.Pipeline) -> StreamServerSource:
    (source,) = pipeline.Sources
    assert isinstance(source, StreamServerSource)
    return source


class Flood(bspump.Sink):
    """Replies with as many megabytes as the event says."""

    def process(self, context: bspump.Context, event: bspump.Event) -> None:
        for _ in range(int(event)):
            context["stream"].send(b"x" * 2**20)


def port_of(source: StreamServerSource) -> int:
    address = source.addresses[0]
    assert isinstance(address, tuple)
    return address[1]


def sink_of(pipeline: bspump.Pipeline) -> MemorySink:
    sink = pipeline.Processors[-1][-1]
    assert isinstance(sink, MemorySink)
    return sink


async def connect(pipeline: bspump.Pipeline) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    await until(lambda: source_of(pipeline).addresses)
    return await asyncio.open_connection("127.0.0.1", port_of(source_of(pipeline)))


async def say(pipeline: bspump.Pipeline, data: bytes) -> None:
    _, writer = await connect(pipeline)
    writer.write(data)
    writer.close()
    await writer.wait_closed()


def test_a_line_is_an_event_and_knows_where_it_comes_from(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource)

    async def scenario() -> tuple[Any, Any]:
        _, writer = await connect(pipeline)
        writer.write("příliš\r\n\nlast".encode())
        writer.write_eof()
        await sink_of(pipeline).wait_for(3)
        ends = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        writer.close()
        return ends

    peer, me = pump.run(scenario, pipeline)
    sink = sink_of(pipeline)
    assert sink.events == ["příliš\r", "", "last"]
    assert isinstance(sink.contexts[0].pop("stream"), Stream)
    assert sink.contexts[0] == {
        "stream_type": "AF_INET",
        "stream_dir": "in",
        "stream_peer": peer,
        "stream_me": me,
    }
    assert sink.contexts[1] is not sink.contexts[2]


@pytest.mark.parametrize(("decode", "expected"), [("bytes", b"\xe9"), ("", b"\xe9"), ("latin-1", "é"), ("cp1250", "é")])
def test_text_in_any_encoding_or_bytes(
    pump: PumpRunner, receiving: BuildPipeline, decode: str, expected: bytes | str
) -> None:
    pipeline = receiving(StreamServerSource, decode=decode)

    async def scenario() -> None:
        await say(pipeline, b"\xe9\n")
        await sink_of(pipeline).wait_for(1)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == [expected]


def test_replies_arrive_also_after_the_client_has_ended_its_side(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, sink=Echo)
    lines = b"".join(b"%d\n" % number for number in range(20_000))

    async def scenario() -> bytes:
        reader, writer = await connect(pipeline)

        async def write() -> None:
            writer.write(lines)
            writer.write_eof()
            await writer.drain()

        writing = asyncio.ensure_future(write())
        replies = await reader.read()
        await writing
        writer.close()
        return replies

    assert pump.run(scenario, pipeline) == lines


class LateEcho(bspump.Generator):
    async def generate(self, context: bspump.Context, event: bspump.Event, depth: int) -> None:
        await asyncio.sleep(0.05)
        await self.Pipeline.inject(context, event, depth)


def test_replies_of_a_generator_arrive_as_well(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, LateEcho, sink=Echo)

    async def scenario() -> list[bytes]:
        async def ask(number: int) -> bytes:
            reader, writer = await connect(pipeline)
            writer.write(b"%d\n" % number)
            writer.write_eof()
            reply = await reader.read()
            writer.close()
            return reply

        return await asyncio.gather(*map(ask, range(50)))

    assert pump.run(scenario, pipeline) == [b"%d\n" % number for number in range(50)]


def test_a_client_that_reads_its_replies_slowly_gets_all_of_them(
    pump: PumpRunner, receiving: BuildPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump.ipc.stream._FLUSH_SECONDS", 1.0)
    pipeline = receiving(StreamServerSource, sink=Flood, outbound_limit="1G")
    total = 16 * 2**20

    async def scenario() -> int:
        await pipeline.ready()
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.setblocking(False)
            await loop.sock_connect(client, source_of(pipeline).addresses[0])
            client.send(b"16\n")
            client.shutdown(socket.SHUT_WR)
            received = 0
            while data := await loop.sock_recv(client, 2**18):
                received += len(data)
                await asyncio.sleep(0.01)
            return received

    assert pump.run(scenario, pipeline) == total


def test_replies_to_what_is_in_the_pipeline_are_sent_before_it_stops(
    pump: PumpRunner, receiving: BuildPipeline
) -> None:
    pipeline = receiving(StreamServerSource, LateEcho, sink=Echo)

    async def scenario() -> bytes:
        reader, writer = await connect(pipeline)
        writer.write(b"hello\n")
        await until(lambda: source_of(pipeline).accepted_total)
        await pipeline.stop()
        reply = await reader.read()
        writer.close()
        return reply

    assert pump.run(scenario, pipeline) == b"hello\n"


def test_a_client_that_does_not_read_its_replies_is_held_up_and_the_others_are_not(
    pump: PumpRunner, receiving: BuildPipeline
) -> None:
    pipeline = receiving(StreamServerSource, sink=Echo, outbound_limit="1MB")
    lines = b"x" * 99 + b"\n"

    async def scenario() -> None:
        reader, slow = await connect(pipeline)
        slow.write(lines * 200_000)
        source = source_of(pipeline)
        before = -1
        while source.accepted_total != before or not before:
            before = source.accepted_total
            for _ in range(3):
                other_reader, other = await connect(pipeline)
                other.write(b"quick\n")
                assert await other_reader.readline() == b"quick\n"
                other.close()
            await asyncio.sleep(0.02)
            before += 3
        assert source.accepted_total < 200_000
        for _ in range(200_000):
            assert await reader.readline() == lines
        slow.close()

    pump.run(scenario, pipeline)


def test_a_client_that_could_fill_the_memory_is_given_up(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pipeline = receiving(StreamServerSource, sink=Flood, outbound_limit="4MB")

    async def scenario() -> None:
        reader, writer = await connect(pipeline)
        writer.write(b"200\n")
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(2**20):
                pass
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)
        writer.close()

    pump.run(scenario, pipeline)
    assert "it does not read: 5242880 bytes wait to be sent to it" in caplog.text


def test_a_reply_to_a_client_that_has_gone_says_so(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource)

    async def scenario() -> None:
        await say(pipeline, b"hello\n")
        sink = sink_of(pipeline)
        await sink.wait_for(1)
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)
        stream = sink.contexts[0]["stream"]
        await until(lambda: not stream.send(b"hello?"))
        with pytest.raises(TypeError, match="takes bytes, not str"):
            stream.send("text")

    pump.run(scenario, pipeline)


def test_thousands_of_connections(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, sink=Echo)
    number = 2000

    async def scenario() -> int:
        clients = []
        for index in range(number):
            reader, writer = await connect(pipeline)
            writer.write(b"%d\n" % index)
            clients.append((reader, writer))
        for index, (reader, _) in enumerate(clients):
            assert await reader.readline() == b"%d\n" % index
        connections: int = source_of(pipeline).rest_get()["Connections"]
        for _, writer in clients:
            writer.close()
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)
        return connections

    assert pump.run(scenario, pipeline) == number


@pytest.mark.oracle
def test_every_line_of_many_clients_comes_once_and_in_order(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource)
    clients, lines = 100, 500

    async def client(number: int) -> None:
        chance = random.Random(number)
        data = b"".join(b"%d %d\n" % (number, line) for line in range(lines))
        _, writer = await connect(pipeline)
        start = 0
        while start < len(data):
            end = start + chance.randrange(1, 400)
            writer.write(data[start:end])
            await writer.drain()
            await asyncio.sleep(0)
            start = end
        writer.close()
        await writer.wait_closed()

    async def throttle_now_and_then() -> None:
        while True:
            pipeline.throttle("test")
            await asyncio.sleep(0.005)
            pipeline.throttle("test", False)
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        throttling = asyncio.ensure_future(throttle_now_and_then())
        await asyncio.gather(*map(client, range(clients)))
        await sink_of(pipeline).wait_for(clients * lines)
        throttling.cancel()
        pipeline.throttle("test", False)

    pump.run(scenario, pipeline)
    seen: dict[int, list[int]] = {}
    for event in sink_of(pipeline).events:
        number, line = map(int, event.split())
        seen.setdefault(number, []).append(line)
    assert seen == {number: list(range(lines)) for number in range(clients)}


def test_a_throttled_pipeline_holds_up_the_sender(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, decode="bytes")
    line = b"x" * 999 + b"\n"

    async def scenario() -> None:
        await pipeline.ready()
        pipeline.throttle("test")
        with socket.create_connection(("127.0.0.1", port_of(source_of(pipeline)))) as client:
            client.setblocking(False)
            sent = 0
            for _ in range(2):
                with contextlib.suppress(BlockingIOError):
                    while sent < 100_000_000:
                        sent += client.send(line * 1000)
                await asyncio.sleep(0.05)
            assert sent < 100_000_000
            assert not sink_of(pipeline).events
            pipeline.throttle("test", False)
            await sink_of(pipeline).wait_for(sent // len(line))
            assert client.send(b"x" * (len(line) - sent % len(line)))

    pump.run(scenario, pipeline)


class Moody(bspump.Processor):
    """Fails as long as it is told to."""

    fails = True

    def process(self, context: bspump.Context, event: bspump.Event) -> bspump.Event:
        if event == "500" and self.fails:
            raise ValueError("not now")
        return event


def test_an_event_that_stopped_the_pipeline_comes_again_once_the_error_is_cleared(
    pump: PumpRunner, receiving: BuildPipeline
) -> None:
    pipeline = receiving(StreamServerSource, Moody)
    moody = pipeline.Processors[0][0]
    assert isinstance(moody, Moody)

    async def scenario() -> None:
        await say(pipeline, b"".join(b"%d\n" % number for number in range(2000)))
        for _ in range(2):
            await until(pipeline.is_error)
            assert sink_of(pipeline).events == [str(number) for number in range(500)]
            pipeline.set_error(None, None, None)
        await until(pipeline.is_error)
        moody.fails = False
        pipeline.set_error(None, None, None)
        await sink_of(pipeline).wait_for(2000)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == [str(number) for number in range(2000)]


def test_a_stop_hands_on_what_was_read_and_says_what_it_could_not(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(StreamServerSource, Moody)

    async def scenario() -> None:
        await say(pipeline, b"".join(b"%d\n" % number for number in range(700)))
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)
    assert "ends with 200 event(s) that it received and could not hand on: they are lost" in caplog.text


def test_a_line_that_is_too_long_or_no_text_is_set_aside_and_the_connection_goes_on(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(StreamServerSource, line_limit=10, pipeline={"on_error": "skip"})

    async def scenario() -> None:
        await say(pipeline, b"one\n" + b"x" * 100_000 + b"\ntwo\n\xff\n\xfe\nthree\n" + b"y" * 20 + b"\n\xfd")
        await sink_of(pipeline).wait_for(3)
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == ["one", "two", "three"]
    assert "longer than line_limit (10 bytes)" in caplog.text
    assert "got a line that is no utf-8: invalid start byte at byte 0" in caplog.text
    assert pipeline._counts.errors == 5


def test_a_line_that_is_too_long_stops_the_pipeline_if_it_is_to_stop(
    pump: PumpRunner, receiving: BuildPipeline
) -> None:
    pipeline = receiving(StreamServerSource, line_limit=10)

    async def scenario() -> None:
        await say(pipeline, b"one\n" + b"x" * 11 + b"\ntwo\n")
        await until(pipeline.is_error)
        assert sink_of(pipeline).events == ["one"]
        pipeline.set_error(None, None, None)
        await sink_of(pipeline).wait_for(2)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == ["one", "two"]


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        ("nul", b"one\0two\0three"),
        ("octet-counting", b"3 one3 two5 three"),
        ("length-prefix", b"\0\x03one\0\x03two\0\x05three"),
        ("syslog", b"3 one3 two5 three"),
        ("syslog", b"one\ntwo\nthree\n"),
    ],
)
def test_other_framings(pump: PumpRunner, receiving: BuildPipeline, framing: str, data: bytes) -> None:
    pipeline = receiving(StreamServerSource, framing=framing, length_size=2)

    async def scenario() -> None:
        await say(pipeline, data)
        await sink_of(pipeline).wait_for(3)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == ["one", "two", "three"]


def test_a_stream_without_frames_is_closed(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, framing="octet-counting", pipeline={"on_error": "skip"})

    async def scenario() -> bytes:
        reader, writer = await connect(pipeline)
        writer.write(b"2 okGET / HTTP/1.1\r\n")
        rest = await reader.read()
        writer.close()
        return rest

    assert pump.run(scenario, pipeline) == b""
    assert sink_of(pipeline).events == ["ok"]


def test_a_connection_that_breaks_leaves_no_torn_line(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(StreamServerSource)

    async def scenario() -> None:
        await pipeline.ready()
        with socket.create_connection(("127.0.0.1", port_of(source_of(pipeline)))) as client:
            client.sendall(b"whole\nhalf a li")
            await sink_of(pipeline).wait_for(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == ["whole"]
    assert "the other side broke the connection off; 9 byte(s) of an incomplete line are dropped" in caplog.text


def test_clients_beyond_the_limit_are_turned_away_and_there_is_room_again_when_one_leaves(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(StreamServerSource, sink=Echo, max_connections=2)

    async def scenario() -> list[bytes]:
        async def ask() -> tuple[bytes, asyncio.StreamWriter]:
            reader, writer = await connect(pipeline)
            writer.write(b"hello\n")
            with contextlib.suppress(ConnectionError):
                return await reader.readline(), writer
            return b"", writer

        answers = [await ask() for _ in range(3)]
        answers[0][1].close()
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 1)
        answers.append(await ask())
        for _, writer in answers:
            writer.close()
        return [answer for answer, _ in answers]

    assert pump.run(scenario, pipeline) == [b"hello\n", b"hello\n", b"", b"hello\n"]
    assert "turned a client away, since it has max_connections (2) of them" in caplog.text


@pytest.mark.parametrize("said", [b"", b"whole\nhalf a li"])
def test_a_client_that_says_nothing_any_more_is_sent_away(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    pipeline = receiving(StreamServerSource, idle_timeout=0.02)

    async def scenario() -> None:
        reader, writer = await connect(pipeline)
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)

    with caplog.at_level("INFO"):
        pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == ["whole"][: len(said)]
    assert "it said nothing for 0.02 seconds (idle_timeout)" in caplog.text


@pytest.mark.skipif(
    not hasattr(socket, "TCP_KEEPIDLE"), reason="this system does not let a socket have times of its own"
)
def test_a_client_that_has_vanished_is_noticed_within_minutes(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource)

    async def scenario() -> None:
        _, writer = await connect(pipeline)
        writer.write(b"hello\n")
        await sink_of(pipeline).wait_for(1)
        sock = sink_of(pipeline).contexts[0]["stream"].Socket
        times = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}")) for name in ("IDLE", "INTVL")]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sum(times[:1]) + times[1] * sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) <= 120
        writer.close()

    pump.run(scenario, pipeline)


class Turns:
    """Counts the turns of the event loop while it is entered."""

    def __enter__(self) -> Turns:
        self.number = 0
        self._handle = asyncio.get_running_loop().call_soon(self._count)
        return self

    def _count(self) -> None:
        self.number += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()


@pytest.mark.parametrize(
    ("rubbish", "options"), [(b"\xff\n", {}), (b"ab\n", {"line_limit": 1}), (b"\xff\0", {"framing": "nul"})]
)
def test_a_client_that_sends_nothing_but_rubbish_does_not_keep_the_others_waiting(
    pump: PumpRunner, receiving: BuildPipeline, rubbish: bytes, options: dict[str, Any]
) -> None:
    pipeline = receiving(StreamServerSource, pipeline={"on_error": "skip"}, **options)
    lines = 5000

    async def scenario() -> int:
        await until(lambda: source_of(pipeline).addresses)
        with Turns() as turns:
            await say(pipeline, rubbish * lines)
            await until(lambda: pipeline._counts.errors == lines)
        return turns.number

    # One for each line, so that another client comes in between any two of them.
    assert pump.run(scenario, pipeline) >= lines


@pytest.mark.parametrize("kind", ["recv", "recv_into"])
def test_a_stream_that_always_has_something_lets_the_event_loop_have_its_turn(kind: str) -> None:
    async def scenario() -> int:
        ours, theirs = socket.socketpair()
        stream = Stream(asyncio.get_running_loop(), ours)
        with theirs:
            theirs.sendall(b"x" * 50_000)
            with Turns() as turns:
                for _ in range(50_000):
                    await (stream.recv(1) if kind == "recv" else stream.recv_into(bytearray(1)))
        await stream.close()
        return turns.number

    assert asyncio.run(scenario()) > 1


class Pairs(SourceProtocolABC):
    """Takes two bytes at a time."""

    async def handle(self, source: bspump.Source, stream: Stream, context: bspump.Context) -> None:
        buffer = bytearray(1)
        while await stream.recv_into(buffer):
            pair = bytes(buffer) + await stream.recv_exactly(1)
            if pair == b"!!":
                raise ValueError("an exclamation")
            await self.process(source, pair, context)


def test_a_protocol_of_ones_own(pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = receiving(StreamServerSource, arguments={"protocol_class": Pairs}, pipeline={"on_error": "skip"})

    async def scenario() -> None:
        for data in (b"aabb", b"cc!!dd", b"eef"):
            await say(pipeline, data)
            await until(lambda: source_of(pipeline).rest_get()["Connections"] == 0)
        await sink_of(pipeline).wait_for(4)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == [b"aa", b"bb", b"cc", b"ee"]
    assert "ValueError: an exclamation" in caplog.text
    assert issubclass(LineSourceProtocol, SourceProtocolABC)


def test_contexts_can_be_copied_deeply(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource)

    async def scenario() -> None:
        await say(pipeline, b"hello\n")
        await sink_of(pipeline).wait_for(1)
        context = sink_of(pipeline).contexts[0]
        assert copy.deepcopy(context)["stream"] is context["stream"]

    pump.run(scenario, pipeline)


def test_too_many_open_files_stop_nothing(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource")
    pipeline = receiving(StreamServerSource, sink=Echo)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scenario() -> bytes:
        await pipeline.ready()
        client = socket.socket()
        client.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, before[1]))
        try:
            await asyncio.get_running_loop().sock_connect(client, source_of(pipeline).addresses[0])
            await until(lambda: "too many files" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write(b"at last\n")
        reply = await reader.readline()
        writer.close()
        return reply

    assert pump.run(scenario, pipeline) == b"at last\n"
