"""A lookup that is a copy of another pump's, with the master as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import bspump
from bspump.abc.lookupprovider import LookupBatchProviderABC
from bspump.testing import PumpRunner, until

MASTER = """
import bspump

class Capitals(bspump.DictionaryLookup):
    def __init__(self, app):
        super().__init__(app, "Capitals", config={"source_url": "capitals.json", "refresh_period": "20ms"})

class Opaque(bspump.Lookup):
    pass

app = bspump.BSPumpApplication()
app.PumpService.add_lookups(Capitals(app), Opaque(app))
raise SystemExit(app.run())
"""


class Fetch(LookupBatchProviderABC):
    """Asks the REST interface of a pump, and counts the answers by their status."""

    def __init__(self, lookup: bspump.Lookup, url: str) -> None:
        super().__init__(lookup, url)
        self.answers: dict[int, int] = {}

    async def load(self) -> bytes | bool | None:
        headers = {"ETag": self.ETag} if self.ETag else {}
        async with aiohttp.ClientSession() as session, session.get(self.URL, headers=headers) as response:
            self.answers[response.status] = self.answers.get(response.status, 0) + 1
            if response.status == 304:
                return False
            if response.status != 200:
                raise OSError(f"{response.status} {response.reason}")
            self.ETag = response.headers["ETag"]
            return await response.read()


class Copy(bspump.DictionaryLookup):
    def create_provider(self, url: str) -> Fetch:
        return Fetch(self, url)

    @property
    def answers(self) -> dict[int, int]:
        assert isinstance(self.Provider, Fetch)
        return self.Provider.answers


class Master:
    """A pump in a process of its own, with a lookup from a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "master.py").write_text(textwrap.dedent(MASTER))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, **content: str) -> None:
        temporary = self.folder / "new"
        temporary.write_text(json.dumps(content))
        temporary.replace(self.folder / "capitals.json")

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASAB_")}
        self.process = subprocess.Popen(
            [sys.executable, "master.py", "-w", f"127.0.0.1:{self.port}"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    async def ready(self) -> None:
        await until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    server = Master(tmp_path)
    server.write(Czechia="Praha")
    server.start()
    yield server
    if server.process is not None:
        server.kill()


def copy_of(master: Master, pump: PumpRunner, *, lazy: bool = False, **options: Any) -> Copy:
    return Copy(pump.app, "Capitals", config={"master_url": f"http://127.0.0.1:{master.port}", **options}, lazy=lazy)


def test_a_copy_follows_its_master_and_gets_only_what_is_new(pump: PumpRunner, master: Master) -> None:
    copy = copy_of(master, pump, refresh_period=0.02)
    pump.app.Loop.run_until_complete(master.ready())
    pump.service.add_lookup(copy)

    async def scenario() -> None:
        assert dict(copy) == {"Czechia": "Praha"}
        await until(lambda: copy.answers.get(304, 0) >= 3)
        assert copy.answers[200] == 1
        master.write(Czechia="Praha", France="Paris")
        await until(lambda: "France" in copy)
        assert dict(copy) == {"Czechia": "Praha", "France": "Paris"}
        master.write(France="Paris")
        await until(lambda: "Czechia" not in copy)
        assert copy.answers[200] == 3
        assert not copy.is_master()
        assert copy.rest_get()["MasterURL"] == f"http://127.0.0.1:{master.port}/bspump/v1/lookup/Capitals"

    pump.run(scenario)


def test_a_copy_keeps_its_content_while_its_master_is_away(
    pump: PumpRunner, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of(master, pump, refresh_period=0.01)
    pump.app.Loop.run_until_complete(master.ready())
    pump.service.add_lookup(copy)

    async def scenario() -> None:
        master.kill()
        await until(lambda: copy._failures_total >= 5)
        assert dict(copy) == {"Czechia": "Praha"}
        said = [record.getMessage() for record in caplog.records if "Capitals" in record.getMessage()]
        [sentence] = said
        assert sentence.startswith(
            f"[lookup:Capitals] master_url: 'http://127.0.0.1:{master.port}/bspump/v1/lookup/Capitals' cannot be loaded"
        )
        assert "Traceback" not in caplog.text
        assert copy.rest_get()["Error"].startswith("[lookup:Capitals] master_url")
        master.write(Norway="Oslo")
        master.start()
        await until(lambda: "Norway" in copy)
        assert dict(copy) == {"Norway": "Oslo"}
        assert "[lookup:Capitals] can be loaded again" in caplog.text
        assert "Error" not in copy.rest_get()

    pump.run(scenario)


def test_a_copy_whose_master_cannot_be_reached_at_the_start_says_so(
    pump: PumpRunner, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    master.kill()
    pump.service.add_lookup(copy_of(master, pump))

    async def scenario() -> None:
        assert pump.app.ExitCode == 1

    pump.run(scenario)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said[0].startswith("[lookup:Capitals] master_url: 'http://127.0.0.1:")
    assert " cannot be loaded: " in said[0]
    assert said[1:] == ["The application does not start: 1 configuration problem(s), see above"]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(("lookup_id", "status"), [("Nothing", "404"), ("Opaque", "501")])
def test_a_copy_of_what_the_master_does_not_have_or_cannot_give_is_refused(
    pump: PumpRunner, master: Master, lookup_id: str, status: str
) -> None:
    copy = copy_of(master, pump, master_lookup_id=lookup_id, lazy=True)

    async def scenario() -> None:
        await master.ready()
        with pytest.raises(bspump.ConfigurationError, match=f"lookup/{lookup_id}' cannot be loaded: {status}"):
            await copy.load()

    pump.run(scenario)


# With the provider of bspump-http, as a configuration file has it


def configured(pump: PumpRunner, master: Master) -> bspump.DictionaryLookup:
    pump.configure(
        "lookup:Capitals",
        master_url=f"http://127.0.0.1:{master.port}",
        refresh_period="20ms",
        cache_dir=str(master.folder / "cache"),
    )
    lookup = bspump.DictionaryLookup(pump.app, "Capitals")
    pump.service.add_lookup(lookup)
    return lookup


def test_a_copy_needs_nothing_but_the_configuration(pump: PumpRunner, master: Master) -> None:
    copy = configured(pump, master)
    pump.app.Loop.run_until_complete(master.ready())

    async def scenario() -> None:
        assert dict(copy) == {"Czechia": "Praha"}
        changes: list[str] = []

        def note(message_type: str) -> None:
            changes.append(message_type)

        copy.PubSub.subscribe("bspump.Lookup.changed!", note)
        master.write(Norway="Oslo")
        await until(lambda: "Norway" in copy)
        assert dict(copy) == {"Norway": "Oslo"}
        assert changes == ["bspump.Lookup.changed!"]
        master.kill()
        master.write(France="Paris")
        assert await copy.load() is False
        assert dict(copy) == {"Norway": "Oslo"}
        master.start()
        await until(lambda: "France" in copy)

    pump.run(scenario)


def test_a_copy_begins_with_what_it_had_if_its_master_is_away(master: Master) -> None:
    async def nothing() -> None:
        return

    with PumpRunner() as pump:
        copy = configured(pump, master)
        pump.app.Loop.run_until_complete(master.ready())
        pump.run(nothing)
        assert dict(copy) == {"Czechia": "Praha"}
    master.kill()
    with PumpRunner() as pump:
        copy = configured(pump, master)

        async def scenario() -> None:
            assert dict(copy) == {"Czechia": "Praha"}
            master.write(Norway="Oslo")
            master.start()
            await until(lambda: "Norway" in copy)

        pump.run(scenario)
        assert pump.app.ExitCode == 0
