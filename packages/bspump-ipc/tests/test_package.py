"""The names that users rely on, and the examples of the manual and the README."""

from __future__ import annotations

import asyncio
import importlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bspump
import bspump.ipc
import bspump.socket
from bspump._component import merged_defaults
from bspump.ipc import _plugin
from bspump.option import declared_options
from bspump.socket import _plugin as _socket_plugin
from bspump.testing import MemorySink, PumpRunner, until

_README = Path(__file__).parents[1] / "README.md"

MODULES = {
    "DatagramSink": "datagram",
    "DatagramSource": "datagram",
    "LineSourceProtocol": "protocol",
    "SourceProtocolABC": "protocol",
    "Stream": "stream",
    "StreamClientSink": "stream_client_sink",
    "StreamServerSource": "stream_server_source",
    "TLSStream": "stream",
}
TARGETS = [component.target for component in (*_plugin.COMPONENTS, *_socket_plugin.COMPONENTS)]


@pytest.mark.parametrize(("name", "module"), MODULES.items())
def test_classes_are_where_the_manual_has_them(name: str, module: str) -> None:
    found = getattr(importlib.import_module(f"bspump.ipc.{module}"), name)
    assert found is getattr(bspump.ipc, name)


@pytest.mark.parametrize("package", [bspump.ipc, bspump.socket])
def test_everything_is_exported(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert isinstance(getattr(package, name), type)
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        package.Nonsense  # noqa: B018


def test_earlier_names() -> None:
    assert bspump.ipc.StreamSource is bspump.ipc.StreamServerSource
    assert bspump.ipc.StreamSink is bspump.ipc.StreamClientSink


def component_of(target: str) -> type:
    module, _, name = target.partition(":")
    component: type = getattr(importlib.import_module(module), name)
    return component


@pytest.mark.parametrize("target", TARGETS)
def test_help_names_or_points_to_every_option(target: str) -> None:
    component = component_of(target)
    doc = component.__doc__ or ""
    shown = [doc, *(base.__doc__ or "" for base in component.__mro__ if base.__name__ in doc)]
    words = set(re.findall(r"\w+", " ".join(shown)))
    undocumented = merged_defaults(component).keys() - words - {"id", "commit_interval"}
    assert undocumented <= ({"concurrency", "buffer_size"} if component.__name__.endswith("Sink") else set())


@pytest.mark.parametrize("target", TARGETS)
def test_components_are_found_and_said_to_be_what_they_are(target: str) -> None:
    listed = {component.target: component for component in (*_plugin.COMPONENTS, *_socket_plugin.COMPONENTS)}
    component = component_of(target)
    assert listed[target].name == component.__name__
    assert listed[target].summary == (component.__doc__ or "").partition("\n\n")[0]


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, bspump.ipc, bspump.socket; "
        "sys.exit('ssl' in sys.modules and 'bspump.ipc.stream' in sys.modules or 'bspump.ipc.datagram' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("component", "defaults"),
    [
        (bspump.ipc.StreamServerSource, {"address": "127.0.0.1 8888", "backlog": "", "decode": "utf-8"}),
        (bspump.ipc.StreamServerSource, {"cert": "", "key": "", "cafile": "", "verify_mode": ""}),
        (bspump.ipc.StreamClientSink, {"outbound_queue_max_size": 100}),
        (bspump.ipc.DatagramSource, {"max_packet_size": 65536, "receiver_buffer_size": 0}),
        (bspump.ipc.DatagramSink, {"max_packet_size": 65536, "receiver_buffer_size": 0}),
        (bspump.socket.TCPSource, {"host": "127.0.0.1", "port": 8888}),
        (bspump.socket.UDPSource, {"host": "127.0.0.1", "port": 8888, "max_packet_size": 65536}),
    ],
)
def test_defaults_are_those_of_the_manual(component: type, defaults: dict[str, object]) -> None:
    assert merged_defaults(component).items() >= defaults.items()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class ShakespeareanEnricher(bspump.Processor):
    """As in the tutorial."""

    def process(self, context: bspump.Context, event: bspump.Event) -> str:
        if isinstance(event, bytes):
            event = event.decode("utf-8").replace("\r", "").replace("\n", "")
        return f"To {event}, or not to {event}?"


Build = Callable[[bspump.BSPumpApplication, bspump.Pipeline, int], bspump.Source]


@pytest.mark.parametrize(
    "build",
    [
        lambda app, pipeline, port: bspump.socket.TCPSource(app, pipeline, config={"host": "0.0.0.0", "port": port}),
        lambda app, pipeline, port: bspump.socket.TCPStreamSource(app, pipeline, config={"port": port}),
        lambda app, pipeline, port: bspump.ipc.StreamServerSource(app, pipeline, config={"address": f"0.0.0.0 {port}"}),
        lambda app, pipeline, port: bspump.socket.TCPSource(app, pipeline, config={"address": f"*:{port}"}),
    ],
    ids=["TCPSource", "TCPStreamSource", "StreamServerSource", "TCPSource with an address"],
)
def test_sources_as_the_tutorials_build_them(pump: PumpRunner, build: Build) -> None:
    port = free_port()

    class TCPPipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication, pipeline_id: str) -> None:
            super().__init__(app, pipeline_id)
            self.sink = MemorySink(app, self)
            self.build(build(app, self, port), ShakespeareanEnricher(app, self), self.sink)

    pipeline = TCPPipeline(pump.app, "TCPPipeline")

    async def scenario() -> None:
        await pipeline.ready()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"be\n")
        await pipeline.sink.wait_for(1)
        await pipeline.process("die")  # as the web handler of the tutorial does
        writer.close()

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["To be, or not to be?", "To die, or not to die?"]


def test_a_pipeline_of_the_echo_source_alone_listens_and_says_what_it_lacks(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()

    class EchoPipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication, pipeline_id: str) -> None:
            super().__init__(app, pipeline_id)
            self.build(bspump.ipc.StreamServerSource(app, self, config={"address": f"0.0.0.0 {port}"}))

    pipeline = EchoPipeline(pump.app, "EchoPipeline")

    async def scenario() -> None:
        await pipeline.ready()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        await until(pipeline.is_error)
        writer.close()

    pump.run(scenario, pipeline)
    assert "nothing follows that takes it (end it with a sink)" in caplog.text


@pytest.mark.parametrize("source_class", [bspump.socket.TCPSource, bspump.socket.TCPStreamSource])
def test_events_of_bspump_socket_are_bytes_and_know_their_peer(
    pump: PumpRunner, source_class: type[bspump.socket.TCPSource]
) -> None:
    class Pipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication) -> None:
            super().__init__(app, "P")
            self.source = source_class(app, self, config={"port": 0})
            self.sink = MemorySink(app, self)
            self.build(self.source, self.sink)

    pipeline = Pipeline(pump.app)

    async def scenario() -> object:
        await pipeline.ready()
        address = pipeline.source.addresses[0]
        assert isinstance(address, tuple)
        _, writer = await asyncio.open_connection(address[0], address[1])
        writer.write(b"be\n")
        await pipeline.sink.wait_for(1)
        writer.close()
        return writer.get_extra_info("sockname")

    peer = pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"be"]
    assert pipeline.sink.contexts[0]["peer"] == pipeline.sink.contexts[0]["stream_peer"] == peer


def test_the_udp_source_of_bspump_socket(pump: PumpRunner) -> None:
    class Pipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication) -> None:
            super().__init__(app, "P")
            self.source = bspump.socket.UDPSource(app, self, config={"port": 0})
            self.sink = MemorySink(app, self)
            self.build(self.source, self.sink)

    pipeline = Pipeline(pump.app)

    async def scenario() -> object:
        await pipeline.ready()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(pipeline.source.addresses[0])
            sock.send(b"hello")
            peer = sock.getsockname()
        await pipeline.sink.wait_for(1)
        return peer

    peer = pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"hello"]
    assert pipeline.sink.contexts == [{"datagram": peer, "peer": peer}]


def test_a_wrong_port_is_told(pump: PumpRunner) -> None:
    class Pipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication, **options: Any) -> None:
            super().__init__(app, "P")
            self.build(bspump.socket.TCPSource(app, self, config=options), MemorySink(app, self))

    Pipeline(pump.app, port="http")
    assert pump.service.configuration_problems == ["[pipeline:P:TCPSource] port: 'http' is not a whole number"]


def test_wrong_options_of_a_source_are_told_once_with_its_section(pump: PumpRunner) -> None:
    class Pipeline(bspump.Pipeline):
        def __init__(self, app: bspump.BSPumpApplication, **options: Any) -> None:
            super().__init__(app, "P")
            self.build(bspump.ipc.StreamServerSource(app, self, config=options), MemorySink(app, self))

    Pipeline(pump.app, framing="paragraphs", decode="klingon", line_limit="much", length_size=3, backlog=0)
    section = "[pipeline:P:StreamServerSource]"
    assert sorted(pump.service.configuration_problems) == [
        f"{section} backlog: 0 is below 1",
        f"{section} decode: 'klingon' is no known text encoding (such as utf-8)",
        f"{section} framing: 'paragraphs' is none of newline, nul, octet-counting, length-prefix, syslog",
        f"{section} length_size: 3 is none of 1, 2, 4, 8",
        f"{section} line_limit: 'much' is not a size in bytes (such as 100, 64k, 16MB, 1G)",
    ]


def test_a_protocol_does_without_a_source(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    protocol = bspump.ipc.LineSourceProtocol(pump.app, pipeline, {"framing": "nul"})
    assert protocol.make_splitter().feed(b"one\0two") == ([b"one"], [])


@pytest.mark.parametrize("component", [bspump.ipc.StreamServerSource, bspump.ipc.StreamClientSink])
def test_the_password_of_a_key_is_known_to_be_a_secret(component: type) -> None:
    assert declared_options(component)["key_password"].secret


def test_a_module_says_what_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        importlib.import_module("bspump.ipc.stream").Nonsense  # noqa: B018


def test_the_pipeline_of_the_readme_runs(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", _README.read_text(), re.DOTALL)
    assert found is not None
    port = free_port()
    script = tmp_path / "syslog.py"
    end = '\napp = bspump.BSPumpApplication()\napp.PumpService.add_pipeline(Syslog(app, "Syslog"))\napp.run()\n'
    script.write_text(found.group(1).replace("1514", str(port)) + end)

    process = subprocess.Popen([sys.executable, "-u", str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "1 pipeline(s) ready." in (process.stdout.readline(), process.stdout.readline().strip())
        with socket.create_connection(("127.0.0.1", port)) as tcp:
            tcp.sendall(b"nonsense\n<34>1 - host su - ID47 - over TCP\n")
        assert "'message': 'over TCP'" in process.stdout.readline()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"<34>su: over UDP", ("127.0.0.1", port))
        assert "'message': 'over UDP'" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
