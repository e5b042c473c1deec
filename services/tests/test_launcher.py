"""The launcher itself, with the smallest server that listens."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pytest
import yaml

from services import SERVICES, Service, ServiceError, State, UnavailableError
from services._ports import choose
from services._processes import Command
from services._runners import ComposeRunner, Layout

HERE = Path(__file__).parent


class Listener(Service):
    """Answers its number of starts."""

    name = "listener"
    folder = HERE
    container = PurePosixPath("/data")
    ports = ("plain", "other")
    listeners = ("plain",)
    client = "asyncio"
    program: tuple[str, ...] = (sys.executable, str(HERE / "listener.py"))

    def files(self, layout: Layout) -> Mapping[str, str]:
        return {"listener.conf": layout.host}

    def install(self, cache: Path) -> None:
        """Need nothing."""

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        arguments = (*self.program, str(layout.ports["plain"]), str(work / "data" / "starts"))
        return [Command(arguments, dict(os.environ), work, work / "logs" / "output.log")]

    def compose_variables(self) -> Mapping[str, str]:
        return {}

    async def read(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port("plain"))
        try:
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()

    async def probe(self, listener: str) -> None:
        if not await self.read():
            raise ConnectionError("no answer")


class Broken(Listener):
    name = "broken"
    program = (sys.executable, "-c", "raise SystemExit('the disk is on fire')")


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSPUMP_SERVICES", "local")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    service = Listener(tmp_path)
    yield service
    service.kill()


def test_a_started_server_answers_and_a_stopped_one_does_not(listener: Listener) -> None:
    assert listener.state is State.STOPPED
    listener.start()
    assert (listener.state, listener.is_ready()) == (State.RUNNING, True)
    listener.stop()
    assert (listener.state, listener.is_ready()) == (State.STOPPED, False)


def test_data_and_address_outlive_a_kill(listener: Listener) -> None:
    listener.start()
    before = listener.address
    listener.kill()
    assert listener.state is State.STOPPED
    listener.start()
    assert asyncio.run(listener.read()) == "2"
    assert listener.address == before


def test_a_paused_server_keeps_its_port_and_says_nothing_until_it_is_resumed(listener: Listener) -> None:
    listener.start()
    listener.pause()
    assert listener.state is State.PAUSED
    assert not listener.is_ready(timeout=0.2)
    socket.create_connection(("127.0.0.1", listener.port("plain"))).close()
    listener.resume()
    assert (listener.state, listener.is_ready()) == (State.RUNNING, True)


def test_starting_a_paused_server_resumes_it(listener: Listener) -> None:
    listener.start()
    listener.pause()
    listener.start()
    assert asyncio.run(listener.read()) == "1"


def test_a_paused_server_can_be_stopped(listener: Listener) -> None:
    listener.start()
    listener.pause()
    listener.stop()
    assert listener.state is State.STOPPED


def test_cleaning_removes_the_data(listener: Listener, tmp_path: Path) -> None:
    listener.start()
    listener.clean()
    assert [path.name for path in (tmp_path / "listener").iterdir()] == ["lock"]
    with pytest.raises(ServiceError, match="has no address before it is started"):
        _ = listener.address


def test_readiness_can_be_asked_from_a_coroutine(listener: Listener) -> None:
    async def ask() -> bool:
        return listener.is_ready()

    listener.start()
    assert asyncio.run(ask())


def test_another_program_finds_the_server_by_its_files(listener: Listener, tmp_path: Path) -> None:
    listener.start()
    other = Listener(tmp_path)
    assert (other.state, other.address) == (State.RUNNING, listener.address)
    other.stop()
    assert listener.state is State.STOPPED


def test_programs_that_start_it_at_once_start_it_once(listener: Listener, tmp_path: Path) -> None:
    threads = [threading.Thread(target=Listener(tmp_path).start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(listener.read()) == "1"


def test_a_process_that_got_the_id_of_a_server_later_is_left_alone(listener: Listener, tmp_path: Path) -> None:
    listener.start()
    listener.stop()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        path = tmp_path / "listener" / "state.json"
        state = json.loads(path.read_text("utf-8"))
        state["sessions"][0]["pid"] = stranger.pid
        path.write_text(json.dumps(state), "utf-8")
        assert listener.state is State.STOPPED
        listener.kill()
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"broken ended while it started(.|\n)*the disk is on fire"):
        Broken(tmp_path).start()


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    class Silent(Listener):
        name = "silent"
        program = (sys.executable, "-c", "import time; time.sleep(60)")

    silent = Silent(tmp_path)
    with pytest.raises(ServiceError, match=r"silent \(running\) does not answer a client after 0 s"):
        silent.start(timeout=0)
    assert silent.state is State.STOPPED


def test_a_missing_client_makes_a_server_unavailable(tmp_path: Path) -> None:
    class Unknown(Listener):
        client = "no_such_client"

    with pytest.raises(UnavailableError, match="the client no_such_client is not installed"):
        Unknown(tmp_path).start()


def test_a_borrowed_server_is_left_running_and_an_own_one_is_cleaned(listener: Listener, tmp_path: Path) -> None:
    with listener.running():
        with Listener(tmp_path).running():
            pass
        assert listener.is_ready()
    assert listener.state is State.STOPPED
    assert not (tmp_path / "listener" / "data").exists()


def test_an_address_in_the_environment_stands_for_a_server_of_somebody_else(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.start()
    monkeypatch.setenv("BSPUMP_TEST_LISTENER", listener.address)
    theirs = Listener(tmp_path / "elsewhere")
    theirs.start()
    theirs.stop()
    assert (theirs.state, theirs.is_ready()) == (State.ELSEWHERE, True)
    with pytest.raises(UnavailableError, match="listener cannot be killed: BSPUMP_TEST_LISTENER names"):
        theirs.kill()


def test_a_wrong_way_to_run_servers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSPUMP_SERVICES", "podman")
    with pytest.raises(UnavailableError, match="BSPUMP_SERVICES=podman: it must be docker or local"):
        Listener(tmp_path).start()


def test_a_port_in_use_or_given_to_another_is_not_chosen(tmp_path: Path) -> None:
    first = choose(tmp_path, ["a"], {})["a"]
    with socket.create_server(("127.0.0.1", first)):
        second = choose(tmp_path, ["a"], {"a": first})["a"]
    third = choose(tmp_path, ["a"], {}, taken=[first])["a"]
    assert first not in (second, third)


def test_a_port_is_kept_while_it_is_free(tmp_path: Path) -> None:
    first = choose(tmp_path, ["a", "b"], {})
    assert choose(tmp_path, ["b", "a"], first) == first


@pytest.mark.parametrize("name", SERVICES)
def test_compose_files_ask_for_what_the_launcher_sets(name: str, tmp_path: Path) -> None:
    service = SERVICES[name](tmp_path)
    text = (service.folder / "compose.yaml").read_text("utf-8")
    asked = {part.partition("}")[0].partition(":")[0] for part in text.split("${")[1:]}
    ports = {f"BSPUMP_PORT_{listener.upper()}" for listener in service.listeners}
    assert asked == {"BSPUMP_RUN", *ports, *service.compose_variables()}
    (container,) = yaml.safe_load(text)["services"].values()
    assert all(port.startswith("127.0.0.1:") for port in container["ports"])
    (data,) = (volume.removeprefix("data:") for volume in container["volumes"] if volume.startswith("data:"))
    assert PurePosixPath(data) in (service.container, service.container / "data")


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_gets_the_same_configuration_for_its_own_folders(name: str, tmp_path: Path) -> None:
    service = SERVICES[name](tmp_path)
    runner = ComposeRunner(service, tmp_path)
    ports = runner.prepare()
    layout = Layout("0.0.0.0", PurePosixPath("/config"), PurePosixPath("/data"), PurePosixPath("/logs"), ports)
    runner.write_files(layout)
    written = "".join(path.read_text("utf-8") for path in (tmp_path / name / "config").iterdir() if path.is_file())
    assert str(tmp_path) not in written
    assert all(str(ports[listener]) in written for listener in service.listeners)


def test_servers_that_start_at_once_get_ports_of_their_own(tmp_path: Path) -> None:
    class First(Listener):
        name = "first"

    class Second(Listener):
        name = "second"

    servers = [First(tmp_path), Second(tmp_path)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [json.loads((tmp_path / server.name / "state.json").read_text("utf-8")) for server in servers]
    for server in servers:
        server.kill()
    assert len({port for state in states for port in state["ports"].values()}) == 4
