"""Datagrams as events, and events as datagrams."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump.ipc import DatagramSink, DatagramSource
from bspump.testing import MemorySink, MemorySource, PumpRunner, until

BuildPipeline = Callable[..., bspump.Pipeline]

QUICK = {"retry_backoff": 0.01, "retry_backoff_max": 0.05}


def source_of(pipeline: bspump.Pipeline) -> DatagramSource:
    (source,) = pipeline.Sources
    assert isinstance(source, DatagramSource)
    return source


def sink_of(pipeline: bspump.Pipeline) -> MemorySink:
    sink = pipeline.Processors[-1][-1]
    assert isinstance(sink, MemorySink)
    return sink


class Sending(bspump.Pipeline):
    def __init__(
        self,
        app: bspump.BSPumpApplication,
        events: Iterable[bspump.Event],
        pipeline: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(app, "Sending", pipeline)
        self.source = MemorySource(app, self, events)
        self.sink = DatagramSink(app, self, config={**QUICK, **options})
        self.build(self.source, self.sink)


def send(address: Any, *datagrams: bytes) -> Any:
    """Send datagrams from a socket of its own, and return its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        for datagram in datagrams:
            sock.send(datagram)
        return sock.getsockname()


def test_a_datagram_is_an_event_and_knows_its_sender(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(DatagramSource)

    async def scenario() -> Any:
        await pipeline.ready()
        peer = send(source_of(pipeline).addresses[0], b"one", b"", b"three\nlines\n", b"x" * 60_000)
        await sink_of(pipeline).wait_for(4)
        return peer

    peer = pump.run(scenario, pipeline)
    sink = sink_of(pipeline)
    assert sink.events == [b"one", b"", b"three\nlines\n", b"x" * 60_000]
    assert sink.contexts == [{"datagram": peer}] * 4
    assert sink.contexts[0] is not sink.contexts[1]


@pytest.mark.usefixtures("ipv6")
def test_several_addresses_at_once(pump: PumpRunner, receiving: BuildPipeline, tmp_path: Path) -> None:
    pipeline = receiving(DatagramSource, address=f"127.0.0.1 0\n[::1]:0\n{tmp_path}/in.sock")

    async def scenario() -> None:
        await pipeline.ready()
        for address in source_of(pipeline).addresses:
            family = (
                socket.AF_UNIX if isinstance(address, str) else (socket.AF_INET6, socket.AF_INET)[len(address) == 2]
            )
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.sendto(family.name.encode(), address)
        await sink_of(pipeline).wait_for(3)

    pump.run(scenario, pipeline)
    assert sorted(sink_of(pipeline).events) == [b"AF_INET", b"AF_INET6", b"AF_UNIX"]
    assert not (tmp_path / "in.sock").exists()


def test_a_datagram_that_is_too_large_is_set_aside_as_a_whole(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(DatagramSource, max_packet_size=10, pipeline={"on_error": "skip"})

    async def scenario() -> None:
        await pipeline.ready()
        send(source_of(pipeline).addresses[0], b"x" * 10, b"y" * 11, b"after")
        await sink_of(pipeline).wait_for(2)

    pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == [b"x" * 10, b"after"]
    assert "that is larger than max_packet_size (10)" in caplog.text


def test_a_port_is_not_shared_by_accident(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        pipeline = receiving(DatagramSource, address=f"127.0.0.1:{port}")

        async def scenario() -> None:
            await until(pipeline.is_error)

        pump.run(scenario, pipeline)
    assert f"cannot listen on 127.0.0.1 port {port}: the address is in use already" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many datagrams it has dropped")
def test_what_the_system_drops_is_counted_and_told(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(DatagramSource, receiver_buffer_size="4k")
    sent = 200

    async def scenario() -> dict[str, Any]:
        await pipeline.ready()
        pipeline.throttle("test")
        send(source_of(pipeline).addresses[0], *[b"x" * 500] * sent)
        dropped = source_of(pipeline).dropped_total
        assert 0 < dropped < sent
        pipeline.throttle("test", False)
        await sink_of(pipeline).wait_for(sent - dropped)
        await pipeline.MetricsService.flush()
        assert f"the system dropped {dropped} datagram(s), {dropped} in all" in caplog.text
        described: dict[str, Any] = pipeline.rest_get()
        await pipeline.stop()
        assert source_of(pipeline).dropped_total == dropped
        return described

    described = pump.run(scenario, pipeline)
    dropped = sent - len(sink_of(pipeline).events)
    assert described["Sources"][0]["Dropped"] == dropped
    (metric,) = [metric for metric in described["Metrics"] if metric["name"] == "bspump.datagram"]
    assert metric["fieldset"][0]["values"] == {"received": sent - dropped, "dropped": dropped}


def test_a_buffer_that_the_system_does_not_grant_is_told(
    pump: PumpRunner, receiving: BuildPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = receiving(DatagramSource, receiver_buffer_size="1G")

    async def scenario() -> None:
        await pipeline.ready()

    pump.run(scenario, pipeline)
    assert "instead of 1073741824: the system allows no more (see net.core.rmem_max)" in caplog.text


class Moody(bspump.Processor):
    """Fails as long as it is told to."""

    fails = True

    def process(self, context: bspump.Context, event: bspump.Event) -> bspump.Event:
        if event == b"5" and self.fails:
            raise ValueError("not now")
        return event


def test_an_event_that_stopped_the_pipeline_comes_again_with_its_sender(
    pump: PumpRunner, receiving: BuildPipeline
) -> None:
    pipeline = receiving(DatagramSource, Moody)
    moody = pipeline.Processors[0][0]
    assert isinstance(moody, Moody)

    async def scenario() -> Any:
        await pipeline.ready()
        peer = send(source_of(pipeline).addresses[0], *[b"%d" % number for number in range(20)])
        await until(pipeline.is_error)
        moody.fails = False
        pipeline.set_error(None, None, None)
        await sink_of(pipeline).wait_for(20)
        return peer

    peer = pump.run(scenario, pipeline)
    assert sink_of(pipeline).events == [b"%d" % number for number in range(20)]
    assert sink_of(pipeline).contexts == [{"datagram": peer}] * 20


def test_a_stop_hands_on_what_was_received(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(DatagramSource)

    async def scenario() -> None:
        await pipeline.ready()
        send(source_of(pipeline).addresses[0], *[b"%d" % number for number in range(100)])
        source = source_of(pipeline)
        await until(lambda: source.received_total)
        await pipeline.stop()
        assert len(sink_of(pipeline).events) == source.received_total

    pump.run(scenario, pipeline)


def test_events_become_datagrams(pump: PumpRunner) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        events = [b"one", "ř", b"", bytearray(b"four"), b"x" * 60_000]
        pipeline = Sending(pump.app, events, address=f"127.0.0.1 {receiver.getsockname()[1]}")

        async def scenario() -> None:
            await pipeline.source.finished.wait()
            await pipeline.stop()

        pump.run(scenario, pipeline)
        received = [receiver.recv(65536) for _ in events]
    assert received == [b"one", "ř".encode(), b"", b"four", b"x" * 60_000]
    assert pipeline.source.commits[-1] == 5


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (b"x" * 11, "got an event of 11 bytes, more than max_packet_size (10)"),
        (["list"], "got list, but expects bytes or str"),
    ],
)
def test_what_cannot_be_sent_goes_the_way_of_a_failed_event(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, event: bspump.Event, complaint: str
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = f"127.0.0.1 {receiver.getsockname()[1]}"
        pipeline = Sending(
            pump.app, ["before", event, "after"], {"on_error": "skip"}, address=address, max_packet_size=10
        )

        async def scenario() -> None:
            await pipeline.source.finished.wait()
            await pipeline.stop()

        pump.run(scenario, pipeline)
        assert [receiver.recv(100), receiver.recv(100)] == [b"before", b"after"]
    assert complaint in caplog.text


def test_what_no_datagram_can_hold_is_rejected_and_the_rest_is_sent(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = f"127.0.0.1 {receiver.getsockname()[1]}"
        events = [b"before", b"x" * 65_530, b"after"]
        pipeline = Sending(pump.app, events, {"on_error": "skip"}, address=address)

        async def scenario() -> None:
            await pipeline.source.finished.wait()
            await pipeline.stop()

        pump.run(scenario, pipeline)
        assert [receiver.recv(100), receiver.recv(100)] == [b"before", b"after"]
    assert "cannot send 65530 bytes to 127.0.0.1 port" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_sending_in_vain_is_counted_and_told_once(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipeline = Sending(pump.app, [b"x"] * 100, address=f"127.0.0.1 {port}")

    async def scenario() -> None:
        await pipeline.source.finished.wait()
        await until(lambda: pipeline.sink.refused_total > 0)
        await pipeline.stop()

    pump.run(scenario, pipeline)
    told = f"sends to 127.0.0.1 port {port} in vain: the connection was refused"
    assert told in caplog.text
    assert caplog.text.count(told) < 10


async def receive_until(path: Path, last: bytes) -> list[bytes]:
    """Receive on a new UNIX socket up to a datagram, and remove the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        received = [b""]
        while received[-1] != last:
            received.append(await asyncio.get_running_loop().sock_recv(receiver, 100))
    os.unlink(path)  # noqa: PTH108 - quick, and the loop has nothing else to do
    return received[1:]


def test_a_unix_receiver_that_is_not_there_or_slow_is_waited_for(pump: PumpRunner, tmp_path: Path) -> None:
    events = [b"%d" % index for index in range(3000)]
    path = tmp_path / "out.sock"
    pipeline = Sending(pump.app, events, address=str(path), buffer_size=100)

    async def scenario() -> list[bytes]:
        await until(lambda: "LastError" in pipeline.sink.rest_get())
        received = await receive_until(path, events[-1])
        await pipeline.source.finished.wait()
        await pipeline.stop()
        return received

    assert pump.run(scenario, pipeline) == events


def test_a_unix_receiver_that_is_started_again_is_found_again(pump: PumpRunner, tmp_path: Path) -> None:
    events = [b"%d" % index for index in range(3000)]
    path = tmp_path / "out.sock"
    pipeline = Sending(pump.app, events, address=str(path), buffer_size=100)

    async def scenario() -> tuple[list[bytes], list[bytes]]:
        first = await receive_until(path, b"1000")
        second = await receive_until(path, events[-1])
        await pipeline.stop()
        return first, second

    first, second = pump.run(scenario, pipeline)
    assert first == events[:1001]
    # What was in the buffer of the first one is lost with it.
    assert second == events[int(second[0]) :]


def test_a_name_that_cannot_be_resolved_is_told(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Sending(pump.app, [b"x"], address="no-such-host.invalid 1")

    async def scenario() -> None:
        await until(lambda: "no-such-host" in caplog.text)
        await pipeline.source.stop()
        pipeline._life_cycle._stop_timeout = 0.1

    pump.run(scenario, pipeline)
    assert "cannot send to no-such-host.invalid port 1: the name cannot be resolved" in caplog.text


def test_wrong_options_are_told_together(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Sending(pump.app, [], address="1\n2", max_packet_size="huge", encoding="klingon")

    async def nothing() -> None: ...

    pump.run(nothing, pipeline)
    for complaint in ("expected one address to send to", "max_packet_size: 'huge'", "encoding: 'klingon'"):
        assert complaint in caplog.text
