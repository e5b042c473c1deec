"""Every form of an address."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump.ipc import StreamServerSource
from bspump.ipc._address import Address, parse_address
from bspump.testing import MemorySink, PumpRunner, until

BuildPipeline = Callable[..., bspump.Pipeline]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1 8888", Address("127.0.0.1", 8888)),
        ("127.0.0.1:8888", Address("127.0.0.1", 8888)),
        ("0.0.0.0   8083", Address("0.0.0.0", 8083)),
        ("example.org 25", Address("example.org", 25)),
        ("*:514", Address("*", 514)),
        ("* 514", Address("*", 514)),
        ("8888", Address("", 8888)),
        (":8888", Address("", 8888)),
        (":: 514", Address("::", 514)),
        ("::1 514", Address("::1", 514)),
        ("[::1]:514", Address("::1", 514)),
        ("[::1] 514", Address("::1", 514)),
        ("fe80::1%eth0 514", Address("fe80::1%eth0", 514)),
        ("/run/pump.sock", Address(path="/run/pump.sock")),
        ("./pump.sock", Address(path="./pump.sock")),
        ("/a folder/pump.sock", Address(path="/a folder/pump.sock")),
        ("@pump", Address(path="@pump")),
    ],
)
def test_forms_of_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("::1:8888", "write IPv6 addresses as"),
        ("localhost", "is no address"),
        ("localhost 70000", "'70000', which is no number from 0 to 65535"),
        ("localhost http", "'http'"),
        ("localhost:", "''"),
        ("a b c", "is no address"),
    ],
)
def test_what_is_no_address_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(text)


def test_all_wrong_options_are_told_together(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline(
        pump.app,
        address="nonsense\n1.2.3.4 99999",
        framing="lines",
        decode="utf-16",
        backlog="many",
        handshake_timeout="soon",
    )

    async def nothing() -> None: ...

    pump.run(nothing, pipeline)
    for complaint in ("nonsense", "99999", "framing: 'lines'", "decode: 'utf-16'", "backlog: 'many'", "'soon'"):
        assert complaint in caplog.text
    assert "6 configuration problem(s)" in caplog.text


class Pipeline(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, id: str = "P", **options: Any) -> None:
        super().__init__(app, id)
        self.source = StreamServerSource(app, self, config=options)
        self.sink = MemorySink(app, self)
        self.build(self.source, self.sink)


async def say(address: Any, text: bytes) -> None:
    if isinstance(address, bytes):
        address = address.decode()  # an abstract one, which begins with NUL
    if isinstance(address, str):
        _, writer = await asyncio.open_unix_connection(address)
    else:
        _, writer = await asyncio.open_connection(*address[:2])
    writer.write(text)
    writer.close()
    await writer.wait_closed()


@pytest.mark.usefixtures("ipv6")
def test_several_addresses_at_once(pump: PumpRunner, tmp_path: Path) -> None:
    pipeline = Pipeline(pump.app, address=f"127.0.0.1 0\n  ::1 0\n\n{tmp_path}/a.sock\n@pump-{os.getpid()}")

    async def scenario() -> None:
        await pipeline.ready()
        for number, address in enumerate(pipeline.source.addresses):
            await say(address, b"%d\n" % number)
        await pipeline.sink.wait_for(4)

    pump.run(scenario, pipeline)
    assert sorted(pipeline.sink.events) == ["0", "1", "2", "3"]
    types = {
        event: context["stream_type"]
        for event, context in zip(pipeline.sink.events, pipeline.sink.contexts, strict=True)
    }
    assert types == {"0": "AF_INET", "1": "AF_INET6", "2": "AF_UNIX", "3": "AF_UNIX"}


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    ("address", "expected"),
    [("0", {"127.0.0.1", "::1"}), ("* 0", {"0.0.0.0", "::"}), (":: 0", {"::"}), ("0.0.0.0:0", {"0.0.0.0"})],
)
def test_a_port_alone_means_this_machine_and_a_star_every_address(
    pump: PumpRunner, address: str, expected: set[str]
) -> None:
    pipeline = Pipeline(pump.app, address=address)

    async def scenario() -> set[str]:
        await pipeline.ready()
        return {str(bound[0]) for bound in pipeline.source.addresses}

    assert pump.run(scenario, pipeline) == expected


def test_only_this_machine_by_default() -> None:
    assert StreamServerSource.ConfigDefaults["address"].startswith("127.0.0.1 ")


def test_an_address_in_use_is_told_and_other_pipelines_go_on(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = Pipeline(pump.app, "Taken", address=f"127.0.0.1 {port}")
        free = Pipeline(pump.app, "Free", address="127.0.0.1 0")

        async def scenario() -> None:
            await until(taken.is_error)
            await free.ready()
            await say(free.source.addresses[0], b"works\n")
            await free.sink.wait_for(1)
            other.close()
            taken.set_error(None, None, None)
            await taken.ready()
            await say(taken.source.addresses[0], b"works too\n")
            await taken.sink.wait_for(1)

        pump.run(scenario, taken, free)
    assert (
        f"StreamServerSource('Taken.*StreamServerSource') cannot listen on 127.0.0.1 port {port}: "
        "the address is in use already" in caplog.text
    )


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("no-such-host.invalid 0", "cannot listen on no-such-host.invalid port 0: the name cannot be resolved"),
        ("192.0.2.1 0", "cannot listen on 192.0.2.1 port 0: this machine does not have the address"),
        ("/no/such/folder/pump.sock", "cannot listen on /no/such/folder/pump.sock: there is no such file or folder"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_in_one_sentence(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, address: str, complaint: str
) -> None:
    pipeline = Pipeline(pump.app, address=address)

    async def scenario() -> None:
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)
    assert f"StreamServerSource('P.*StreamServerSource') {complaint}" in caplog.text


def first_unprivileged_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:
        return 1024


@pytest.mark.skipif(first_unprivileged_port() <= 1, reason="anybody may use any port on this machine")
def test_a_missing_permission_is_told(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline(pump.app, address="127.0.0.1 1")

    async def scenario() -> None:
        await until(pipeline.is_error)

    user = os.geteuid()
    os.seteuid(user or 65534)  # root would be let
    try:
        pump.run(scenario, pipeline)
    finally:
        os.seteuid(user)
    assert "cannot listen on 127.0.0.1 port 1: permission denied (ports below 1024 need a privilege)" in caplog.text


def test_the_file_of_a_unix_socket_goes_with_it_and_one_left_behind_is_replaced(
    pump: PumpRunner, tmp_path: Path
) -> None:
    path = tmp_path / "pump.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert stat.S_ISSOCK(path.lstat().st_mode)
    pipeline = Pipeline(pump.app, address=str(path))

    async def scenario() -> None:
        await pipeline.ready()
        await say(str(path), b"hello\n")
        await pipeline.sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert not path.exists()


def test_a_unix_socket_that_somebody_uses_is_not_taken_away(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pump.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        pipeline = Pipeline(pump.app, address=str(path))

        async def scenario() -> None:
            await until(pipeline.is_error)

        pump.run(scenario, pipeline)
        assert path.exists()
    assert f"cannot listen on {path}: the address is in use already" in caplog.text


def test_a_file_that_is_no_socket_is_left_alone(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    pipeline = Pipeline(pump.app, address=str(path))

    async def scenario() -> None:
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)
    assert path.read_text() == "precious"
    assert "the address is in use already" in caplog.text


def test_a_restarted_pipeline_listens_on_the_same_port_again(receiving: BuildPipeline, pump: PumpRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pipeline = receiving(StreamServerSource, address=f"127.0.0.1 {port}")
    sink = pipeline.Processors[0][-1]
    assert isinstance(sink, MemorySink)

    async def scenario() -> None:
        for number in range(1, 4):
            await pipeline.ready()
            await say(("127.0.0.1", port), b"hello\n")
            await sink.wait_for(number)
            await pipeline.stop()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            pipeline.start()

    pump.run(scenario, pipeline)


def test_several_processes_may_share_a_port_if_they_say_so(pump: PumpRunner) -> None:
    first = Pipeline(pump.app, "First", address="127.0.0.1 0", reuse_port=True)

    async def scenario() -> None:
        await first.ready()
        port = first.source.addresses[0][1]
        second = Pipeline(pump.app, "Second", address=f"127.0.0.1 {port}", reuse_port="yes")
        second.start()
        await second.ready()
        await second.stop()

    pump.run(scenario, first)
