"""The ways to run a server: local processes, Docker's containers, or somebody else's server.

A runner knows nothing of the server but its `Recipe`, which each server's own module writes.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from services import _certificates, _ports
from services._errors import ServiceError, UnavailableError
from services._processes import Command, ProcessSession, spawn, tail

HERE = Path(__file__).resolve().parent


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody else, in this program or another, do what wants the same lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class State(Enum):
    """What a server is doing, as far as its processes tell."""

    STOPPED = "stopped"
    RUNNING = "running"
    PAUSED = "paused"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Layout:
    """Where a server listens and keeps its files, in its own view."""

    host: str
    config: PurePath
    data: PurePath
    logs: PurePath
    ports: Mapping[str, int]


class Recipe(ABC):
    """How to make a server run; every server has one."""

    name: str
    #: What the private ports are for; those that clients use are named as their listeners are.
    ports: Sequence[str]
    #: The folder with the compose.yaml.
    folder: Path
    #: The folder that has `data` and `logs` in the container.
    container: PurePosixPath

    @abstractmethod
    def files(self, layout: Layout) -> Mapping[str, str]:
        """Return the server's own files of configuration, by their names."""

    @abstractmethod
    def install(self, cache: Path) -> None:
        """Get what a local server is made of; raise UnavailableError where that cannot be had."""

    @abstractmethod
    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        """Prepare a local start and return the programs to start; the last one is the server."""

    @abstractmethod
    def compose_variables(self) -> Mapping[str, str]:
        """Return what the compose.yaml asks for besides BSPUMP_RUN and the ports."""


class Runner(ABC):
    """Starts and stops one server."""

    #: How it runs servers, for people.
    way: str

    @abstractmethod
    def state(self) -> State:
        """Tell what the server is doing."""

    @abstractmethod
    def start(self) -> None:
        """Start the server unless it runs; does not wait until it answers."""

    @abstractmethod
    def stop(self, timeout: float) -> None:
        """Ask the server to end, and wait until it has."""

    @abstractmethod
    def signal(self, action: str) -> None:
        """Do `kill`, `pause` or `resume` to the server."""

    @abstractmethod
    def addresses(self) -> Mapping[str, str]:
        """Return host:port by listener; empty before the first start."""

    @abstractmethod
    def clean(self) -> None:
        """Remove the data of a stopped server."""

    def log(self) -> str:
        """Return the end of the server's log."""
        return ""


class _OwnRunner(Runner):
    """What both ways of our own share: folders, ports, the files of configuration."""

    def __init__(self, recipe: Recipe, run: Path) -> None:
        self.recipe = recipe
        self.run = run
        self.work = run / recipe.name

    def saved(self) -> dict[str, object]:
        """Return what the last start wrote down."""
        path = self.work / "state.json"
        saved = json.loads(path.read_text("utf-8")) if path.exists() else {}
        assert isinstance(saved, dict)
        return saved

    def save(self, **state: object) -> None:
        """Write down what later programs need, at once or not at all."""
        partial = self.work / "state.json.partial"
        partial.write_text(json.dumps({"way": self.way, **state}, indent=1), "utf-8")
        partial.replace(self.work / "state.json")

    def ports(self) -> dict[str, int]:
        """Return the ports of the last start."""
        ports = self.saved().get("ports", {})
        assert isinstance(ports, dict)
        return ports

    def addresses(self) -> Mapping[str, str]:
        return {name: f"127.0.0.1:{port}" for name, port in self.ports().items()}

    def prepare(self) -> dict[str, int]:
        """Make the folders and the certificates, and return the ports to use."""
        for name in ("config", "data", "logs"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        certificates = self.run / "certificates"
        _certificates.create(certificates)
        shutil.copytree(certificates, self.work / "config" / "certificates", dirs_exist_ok=True)
        others = [
            port
            for path in self.run.glob("*/state.json")
            if path.parent != self.work
            for port in json.loads(path.read_text("utf-8")).get("ports", {}).values()
        ]
        return _ports.choose(self.work, self.recipe.ports, self.ports(), others)

    def write_files(self, layout: Layout) -> None:
        """Write the server's files of configuration."""
        for name, text in self.recipe.files(layout).items():
            (self.work / "config" / name).write_text(text, "utf-8")

    def clean(self) -> None:
        for path in self.work.glob("*"):
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


class LocalRunner(_OwnRunner):
    """Runs a server as processes of this machine."""

    way = "local processes"

    def _sessions(self) -> list[ProcessSession]:
        sessions = self.saved().get("sessions", [])
        assert isinstance(sessions, list)
        return [ProcessSession(**session) for session in sessions]

    def state(self) -> State:
        sessions = self._sessions()
        if not sessions or not sessions[-1].leads():
            return State.STOPPED
        return State.PAUSED if sessions[-1].is_stopped() else State.RUNNING

    def start(self) -> None:
        if self.state() is not State.STOPPED:
            return
        # What is left of a server that ended by itself would hold the ports.
        self.signal("kill")
        with locked(self.run / "lock"):
            self.recipe.install(self.run / "packages")
            ports = self.prepare()
            self.save(ports=ports)
        layout = Layout("127.0.0.1", self.work / "config", self.work / "data", self.work / "logs", ports)
        self.write_files(layout)
        sessions: list[ProcessSession] = []
        for command in self.recipe.commands(layout, self.work):
            sessions.append(spawn(command))
            self.save(ports=ports, sessions=[asdict(session) for session in sessions])

    def stop(self, timeout: float) -> None:
        self.signal("resume")
        for session in reversed(self._sessions()):
            session.send(signal.SIGTERM, leader_only=True)
            if not session.wait(timeout):
                session.send(signal.SIGKILL)
                raise ServiceError(f"{self.recipe.name} did not end within {timeout:g} s and was killed.")

    def signal(self, action: str) -> None:
        number = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}[action]
        for session in reversed(self._sessions()):
            session.send(number)
            if action == "kill" and not session.wait(10):
                raise ServiceError(f"{self.recipe.name} is still there 10 s after SIGKILL.")

    def log(self) -> str:
        return tail(self.work / "logs" / "output.log")


@cache
def docker_answers() -> bool:
    """Tell whether there is a Docker engine with Compose."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"]):
        try:
            result = subprocess.run(command, capture_output=True, check=False, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return False
        if result.returncode:
            return False
    return True


class ComposeRunner(_OwnRunner):
    """Runs a server as a container, from the compose.yaml in the server's folder."""

    way = "Docker Compose"

    def _compose(self, *arguments: str) -> str:
        ports = {f"BSPUMP_PORT_{name.upper()}": str(port) for name, port in self.ports().items()}
        environment = {**os.environ, **ports, **self.recipe.compose_variables(), "BSPUMP_RUN": str(self.work)}
        project = f"bspump-{self.recipe.name}-{min(self.ports().values(), default=0)}"
        command = ["docker", "compose", "--project-name", project, "--file", str(self.recipe.folder / "compose.yaml")]
        result = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ServiceError(f"`docker compose {' '.join(arguments)}` failed for {self.recipe.name}: {result.stderr}")
        return result.stdout

    def state(self) -> State:
        if not self.ports():
            return State.STOPPED
        states = {line.strip() for line in self._compose("ps", "--format", "{{.State}}").splitlines()}
        if "paused" in states:
            return State.PAUSED
        return State.RUNNING if "running" in states else State.STOPPED

    def start(self) -> None:
        if self.state() is not State.STOPPED:
            return
        with locked(self.run / "lock"):
            ports = self.prepare()
            self.save(ports=ports)
        inside = self.recipe.container
        config = PurePosixPath("/bspump/config")
        self.write_files(Layout("0.0.0.0", config, inside / "data", inside / "logs", ports))
        self._compose("up", "--detach", "--quiet-pull")

    def stop(self, timeout: float) -> None:
        if self.ports():
            self.signal("resume")
            self._compose("stop", "--timeout", f"{timeout:.0f}")

    def signal(self, action: str) -> None:
        if action == "resume" and self.state() is not State.PAUSED:
            return
        self._compose({"resume": "unpause"}.get(action, action))

    def clean(self) -> None:
        if self.ports():
            self._compose("down", "--volumes")
        super().clean()

    def log(self) -> str:
        return self._compose("logs", "--no-log-prefix", "--tail", "15") if self.ports() else ""


class ExternalRunner(Runner):
    """Stands for a server that somebody else runs and an environment variable names."""

    way = "an address from the environment"

    def __init__(self, recipe: Recipe, variable: str, value: str) -> None:
        self.recipe = recipe
        self.variable = variable
        self._addresses: dict[str, str] = {}
        for part in value.split(","):
            name, separator, address = part.strip().rpartition("=")
            self._addresses[name if separator else recipe.ports[0]] = address

    def _refuse(self, action: str) -> None:
        raise UnavailableError(
            f"{self.recipe.name} cannot be {action}: {self.variable} names a server of somebody else."
        )

    def state(self) -> State:
        return State.ELSEWHERE

    def start(self) -> None:
        """Do nothing: it runs or it does not."""

    def stop(self, timeout: float) -> None:
        """Do nothing: it is not ours."""

    def signal(self, action: str) -> None:
        self._refuse({"kill": "killed", "pause": "paused", "resume": "resumed"}[action])

    def addresses(self) -> Mapping[str, str]:
        return self._addresses

    def clean(self) -> None:
        self._refuse("cleaned")


def choose(recipe: Recipe, run: Path) -> Runner:
    """Return the runner for a server: an address in the environment wins, then Docker, then local processes.

    BSPUMP_SERVICES=docker or =local decides between the last two.

    Raises:
        UnavailableError: BSPUMP_SERVICES asks for something else.
    """
    variable = f"BSPUMP_TEST_{recipe.name.upper().replace('-', '_')}"
    if value := os.environ.get(variable):
        return ExternalRunner(recipe, variable, value)
    wanted = os.environ.get("BSPUMP_SERVICES", "")
    if wanted not in ("", "docker", "local"):
        raise UnavailableError(f"BSPUMP_SERVICES={wanted}: it must be docker or local.")
    if wanted == "docker" and not docker_answers():
        raise UnavailableError("BSPUMP_SERVICES=docker, but no Docker engine with Compose answers.")
    if wanted != "local" and docker_answers():
        return ComposeRunner(recipe, run)
    return LocalRunner(recipe, run)
