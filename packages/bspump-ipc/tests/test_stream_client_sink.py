"""Events go out over a connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import asab
import pytest

import bspump
from bspump.ipc import Stream, StreamClientSink, stream_client_sink
from bspump.testing import MemorySource, PumpRunner, until

QUICK = {"retry_backoff": 0.01, "retry_backoff_max": 0.05}


class Sending(bspump.Pipeline):
    def __init__(
        self,
        app: bspump.BSPumpApplication,
        events: Iterable[bspump.Event],
        pipeline: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(app, "Sending", pipeline)
        self.source = MemorySource(app, self, events)
        self.sink = StreamClientSink(app, self, config={**QUICK, **options})
        self.build(self.source, self.sink)


class Server:
    """Takes connections and keeps what they send."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = 0
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", port)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        self.received.append(received)
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                received += data
        self.ended += 1
        writer.close()

    def close(self) -> None:
        """Listen no more, and break all connections off."""
        if self._server is not None:
            self._server.close()
        for writer in self.writers:
            writer.transport.abort()

    @property
    def everything(self) -> bytes:
        return b"".join(self.received)


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Server]:
    server = Server()
    await server.listen(port)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        ("none", b"onetwo\xc5\x99"),
        ("newline", b"one\ntwo\n\xc5\x99\n"),
        ("nul", b"one\0two\0\xc5\x99\0"),
        ("octet-counting", b"3 one3 two2 \xc5\x99"),
        ("length-prefix", b"\0\0\0\x03one\0\0\0\x03two\0\0\0\x02\xc5\x99"),
    ],
)
def test_every_framing(pump: PumpRunner, framing: str, expected: bytes) -> None:
    port = free_port()
    pipeline = Sending(pump.app, [b"one", bytearray(b"two"), "ř"], address=f"127.0.0.1 {port}", framing=framing)

    async def scenario() -> bytes:
        async with listening(port) as server:
            await pipeline.source.finished.wait()
            await pipeline.stop()
            await until(lambda: server.ended)
            return server.everything

    assert pump.run(scenario, pipeline) == expected
    assert pipeline.source.commits[-1] == 3


def test_a_unix_socket(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "out.sock"
    pipeline = Sending(pump.app, ["hello"], address=str(path))

    async def scenario() -> bytes:
        received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.set_result(await reader.read())
            writer.close()

        async with await asyncio.start_unix_server(take, str(path)):
            await pipeline.source.finished.wait()
            await pipeline.stop()
            return await received

    assert pump.run(scenario, pipeline) == b"hello"


def test_the_pipeline_waits_for_the_connection_and_says_so_once(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    pipeline = Sending(pump.app, ["hello"], address=f"127.0.0.1 {port}")

    async def scenario() -> None:
        await until(lambda: "LastError" in pipeline.sink.rest_get())
        await asyncio.sleep(0.1)
        assert not pipeline.is_ready()
        assert pipeline.source.accepted_total == 0
        assert [str(holder) for holder in pipeline.get_throttles()] == [
            "StreamClientSink('Sending.StreamClientSink') is not connected"
        ]
        async with listening(port) as server:
            await pipeline.source.finished.wait()
            await pipeline.stop()
            assert server.everything == b"hello"

    pump.run(scenario, pipeline)
    sentence = (
        f"StreamClientSink('Sending.StreamClientSink') cannot connect to 127.0.0.1 port {port}: "
        "the connection was refused, since nobody listens there; it tries again"
    )
    assert [record.message for record in caplog.records].count(sentence) == 1


class CountingSink(StreamClientSink):
    """Counts its attempts to connect."""

    attempts = 0

    async def _connect(self) -> tuple[Stream, str]:
        self.attempts += 1
        return await super()._connect()


class CountedSending(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, port: int) -> None:
        super().__init__(app, "Sending")
        self.sink = CountingSink(app, self, config={**QUICK, "address": f"127.0.0.1 {port}"})
        self.build(MemorySource(app, self, []), self.sink)


def messages_of_outages(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return the levels and messages about the connection, without the sink's name and the port."""
    return [
        (record.levelno, re.sub(r"port \d+|^CountingSink\('Sending.CountingSink'\) |[\d.]+(?= seconds)", "N", message))
        for record in caplog.records
        if "connect" in (message := record.getMessage())
    ]


def test_an_outage_is_told_once_with_its_reason_and_so_is_its_end(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_client_sink, "_STABLE_SECONDS", 0.0)
    port = free_port()
    pipeline = CountedSending(pump.app, port)
    sink = pipeline.sink

    async def scenario() -> None:
        await until(lambda: sink.attempts >= 5)
        async with listening(port) as server:
            await until(lambda: sink.rest_get()["Connected"] and server.writers)
            await asyncio.sleep(0)  # the connection counts as one that holds
        before = sink.attempts
        await until(lambda: sink.attempts >= before + 5)
        async with listening(port):
            await until(lambda: sink.rest_get()["Connected"])
            await pipeline.stop()

    pump.run(scenario, pipeline)
    connected = (asab.LOG_NOTICE, "Nis connected to 127.0.0.1 N again, after N seconds without a connection")
    refused = "the connection was refused, since nobody listens there; it tries again"
    assert messages_of_outages(caplog) == [
        (logging.WARNING, f"Ncannot connect to 127.0.0.1 N: {refused}"),
        connected,
        (
            logging.WARNING,
            "Nlost its connection to 127.0.0.1 N: the other side closed it; it connects again",
        ),
        connected,
    ]


async def turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_connections_that_break_at_once_are_told_less_and_less_often(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipeline = CountedSending(pump.app, listener.getsockname()[1])

    async def scenario() -> None:
        async with await asyncio.start_server(turn_away, sock=listener):
            await until(lambda: pipeline.sink.attempts > 16)
            await pipeline.stop()

    pump.run(scenario, pipeline)
    messages = [message for _, message in messages_of_outages(caplog)]
    lost = [message for message in messages if "lost its connection" in message]
    assert len(lost) == 5
    assert lost[-1].endswith("the other side closed it; it connects again (number 16 of its kind)")
    assert len(messages) - len(lost) in (4, 5)


def test_an_outage_that_lasts_is_told_after_many_short_ones(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_client_sink, "_STABLE_SECONDS", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    pipeline = CountedSending(pump.app, listener.getsockname()[1])

    async def scenario() -> None:
        async with await asyncio.start_server(turn_away, sock=listener):
            await until(lambda: pipeline.sink.attempts > 5)
        await until(lambda: "cannot connect to 127.0.0.1" in caplog.text)

    pump.run(scenario, pipeline)


def test_a_name_that_cannot_be_resolved_is_told(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Sending(pump.app, [], address="no-such-host.invalid 1")

    async def scenario() -> None:
        await until(lambda: "no-such-host" in caplog.text)

    pump.run(scenario, pipeline)
    assert "cannot connect to no-such-host.invalid port 1: the name cannot be resolved" in caplog.text


def test_of_several_addresses_the_first_that_answers_is_used(pump: PumpRunner) -> None:
    port = free_port()
    pipeline = Sending(pump.app, ["hello"], address=f"127.0.0.1 {free_port()}\n/no/such.sock\nlocalhost {port}")

    async def scenario() -> bytes:
        async with listening(port) as server:
            await pipeline.source.finished.wait()
            await pipeline.stop()
            await until(lambda: server.ended)
            return server.everything

    assert pump.run(scenario, pipeline) == b"hello"


@pytest.mark.oracle
def test_what_was_waiting_when_the_server_restarts_arrives_over_the_next_connection(pump: PumpRunner) -> None:
    port = free_port()
    number = 300_000
    pipeline = Sending(
        pump.app, (b"%d" % index for index in range(number)), address=f"127.0.0.1 {port}", framing="newline"
    )
    servers = [Server() for _ in range(4)]

    async def scenario() -> None:
        for index, server in enumerate(servers):
            await server.listen(port)
            if index < len(servers) - 1:
                await until(lambda server=server: len(server.everything) > 100_000)  # type: ignore[misc]
                server.close()
        await pipeline.source.finished.wait()
        await pipeline.stop()
        await until(lambda: servers[-1].ended)
        servers[-1].close()

    pump.run(scenario, pipeline)
    seen: list[int] = []
    for server in servers:
        for received in server.received:
            lines = bytes(received).split(b"\n")[:-1]
            numbers = [int(line) for line in lines]
            if numbers:
                # In order and without a gap, as long as a connection holds.
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                seen += [numbers[0], numbers[-1]]
    assert seen[0] == 0
    assert seen[-1] == number - 1
    assert len(seen) >= 8


def test_a_server_that_does_not_read_holds_up_the_pipeline(pump: PumpRunner) -> None:
    port = free_port()
    number = 200_000
    pipeline = Sending(pump.app, [b"x" * 99] * number, address=f"127.0.0.1 {port}", framing="newline")

    async def scenario() -> int:
        may_read = asyncio.Event()
        received = 0

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal received
            await may_read.wait()
            while data := await reader.read(2**20):
                received += len(data)
            writer.close()

        async with await asyncio.start_server(take, "127.0.0.1", port):
            accepted = -1
            while accepted != pipeline.source.accepted_total or not accepted:
                accepted = pipeline.source.accepted_total
                await asyncio.sleep(0.05)
            assert accepted < number
            assert pipeline.sink.rest_get()["Buffered"] < 2000
            may_read.set()
            await pipeline.source.finished.wait()
            await pipeline.stop()
            await until(lambda: received == 100 * number)
            return received

    assert pump.run(scenario, pipeline) == 100 * number


class Stuck:
    """A server that does not read until it is told to."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setblocking(False)

    async def accept(self) -> socket.socket:
        client, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        return client


async def read_to_end(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 2**20):
        pass


async def until_full(pipeline: Sending) -> None:
    """Return when the pipeline has come to a standstill, since the server does not read."""
    accepted = -1
    while accepted != pipeline.source.accepted_total or not accepted:
        accepted = pipeline.source.accepted_total
        await asyncio.sleep(0.05)


def test_a_batch_that_a_stop_cuts_off_does_not_look_whole(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    options: dict[str, Any] = {"address": f"127.0.0.1 {port}", "framing": "newline"}
    pipeline = Sending(pump.app, [b"x" * 99_999] * 1000, {"stop_timeout": 0.3}, **options)
    server = Stuck(port)

    async def scenario() -> None:
        client = await server.accept()
        await until_full(pipeline)
        await pipeline.stop()
        with client, pytest.raises(ConnectionResetError):
            await read_to_end(client)

    with server.listener:
        pump.run(scenario, pipeline)
    assert pipeline.source.committed_position is None or pipeline.source.committed_position < 1000
    assert "ends before everything is durable" in caplog.text


def test_a_connection_that_breaks_while_the_sink_waits_to_send_is_made_again(pump: PumpRunner) -> None:
    port = free_port()
    number = 400
    options: dict[str, Any] = {"address": f"127.0.0.1 {port}", "framing": "newline"}
    pipeline = Sending(pump.app, [b"%d" % index + b"x" * 100_000 for index in range(number)], **options)
    server = Stuck(port)

    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            client = await server.accept()
            await until_full(pipeline)
            client.close()
        received = bytearray()
        with await server.accept() as client:
            while not received.endswith(b"%d" % (number - 1) + b"x" * 100_000 + b"\n"):
                received += await loop.sock_recv(client, 2**20)
            stopping = asyncio.ensure_future(pipeline.stop())
            received += await loop.sock_recv(client, 2**20)
        await stopping
        return bytes(received)

    with server.listener:
        received = pump.run(scenario, pipeline)
    numbers = [int(line.rstrip(b"x")) for line in received.splitlines()]
    assert numbers == list(range(numbers[0], number))


def test_what_the_server_says_does_not_clog_the_connection(pump: PumpRunner) -> None:
    port = free_port()
    pipeline = Sending(pump.app, ["hello"], address=f"127.0.0.1 {port}")

    async def scenario() -> None:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * 20_000_000)
            await writer.drain()
            done.set()
            await reader.read()
            writer.close()

        done = asyncio.Event()
        async with await asyncio.start_server(take, "127.0.0.1", port):
            await done.wait()
            await pipeline.stop()

    pump.run(scenario, pipeline)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({"a": 1}, "got dict, but expects bytes or str"),
        ("ř", "got text that cannot be encoded in ascii"),
        (b"a\nb", "has a newline in its middle"),
    ],
)
def test_what_cannot_be_sent_goes_the_way_of_a_failed_event(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, event: bspump.Event, complaint: str
) -> None:
    port = free_port()
    options = {"address": f"127.0.0.1 {port}", "framing": "newline", "encoding": "ascii"}
    pipeline = Sending(pump.app, ["before", event, "after"], pipeline={"on_error": "skip"}, **options)

    async def scenario() -> bytes:
        async with listening(port) as server:
            await pipeline.source.finished.wait()
            await pipeline.stop()
            await until(lambda: server.ended)
            return server.everything

    assert pump.run(scenario, pipeline) == b"before\nafter\n"
    assert complaint in caplog.text


def test_wrong_options_are_told_together(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Sending(
        pump.app,
        [],
        address="*:1",
        framing="syslog",
        length_size=3,
        encoding="klingon",
        outbound_queue_max_size=0,
        cafile="/no/such/file",
        concurrency=2,
    )

    async def nothing() -> None: ...

    pump.run(nothing, pipeline)
    assert "[pipeline:Sending:StreamClientSink] address: '*:1' says '*', which is no destination" in caplog.text
    for complaint in (
        "framing: 'syslog'",
        "length_size: 3",
        "'klingon'",
        "outbound_queue_max_size: 0",
        "concurrency: 2",
    ):
        assert complaint in caplog.text
    assert "cafile: '/no/such/file' is of no use without tls = yes" in caplog.text
