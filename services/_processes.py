"""Processes of our own: started in a session each, known again by later programs, and signalled by their ids only."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from services._errors import ServiceError

_children: dict[int, subprocess.Popen[bytes]] = {}


class _Stat(NamedTuple):
    state: str
    session: int
    started: str


@dataclass(frozen=True)
class Command:
    """A program to run, with its whole environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program is in parentheses and may contain anything.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[3]), fields[19])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


@dataclass(frozen=True)
class ProcessSession:
    """A process that leads a session, together with everything in that session.

    `started` and `boot` make sure that a process that got the same id later is never taken for ours.
    """

    pid: int
    started: str
    boot: str = field(default_factory=_boot_id)

    def _members(self) -> Iterator[tuple[int, _Stat]]:
        leader = _stat(self.pid)
        if self.boot != _boot_id() or (leader is not None and leader.started != self.started):
            return
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                stat = _stat(int(entry.name))
                if stat is not None and stat.session == self.pid and stat.state not in "ZX":
                    yield int(entry.name), stat

    def is_alive(self) -> bool:
        """Tell whether any of its processes is there, be it stopped."""
        return next(self._members(), None) is not None

    def leads(self) -> bool:
        """Tell whether the process that was started is still there."""
        return any(pid == self.pid for pid, _ in self._members())

    def is_stopped(self) -> bool:
        """Tell whether all its processes are stopped by a signal."""
        states = [stat.state for _, stat in self._members()]
        return bool(states) and all(state in "Tt" for state in states)

    def send(self, number: signal.Signals, *, leader_only: bool = False) -> None:
        """Send a signal to its processes, or to the one that was started."""
        for pid, _ in list(self._members()):
            if pid == self.pid or not leader_only:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue

    def wait(self, timeout: float) -> bool:
        """Wait until none of its processes is left; return False if some are there after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.is_alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def spawn(command: Command) -> ProcessSession:
    """Start a program in a session of its own, with its output appended to its log.

    Raises:
        ServiceError: the program cannot be run.
    """
    with command.log.open("ab") as log:
        try:
            child = subprocess.Popen(
                command.arguments, env=dict(command.environment), cwd=command.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ServiceError(f"{command.arguments[0]} cannot be run: {error.strerror}.") from error
    stat = _stat(child.pid)
    if stat is None:
        raise ServiceError(f"{command.arguments[0]} ended at once; see {command.log}.")
    _children[child.pid] = child
    return ProcessSession(child.pid, stat.started)


def run(command: Command, timeout: float = 120) -> None:
    """Run a program to its end, with its output appended to its log.

    Raises:
        ServiceError: the program cannot be run, fails or takes longer than `timeout` seconds.
    """
    session = spawn(command)
    child = _children[session.pid]
    try:
        status = child.wait(timeout)
    except subprocess.TimeoutExpired as error:
        session.send(signal.SIGKILL)
        raise ServiceError(f"{command.arguments[0]} took longer than {timeout:g} s; see {command.log}.") from error
    if status:
        raise ServiceError(
            f"{command.arguments[0]} failed with status {status}; see {command.log}:\n{tail(command.log)}"
        )


def tail(path: Path, lines: int = 30) -> str:
    """Return the last lines of a log; nothing if there is no log."""
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 16_384))
        return "\n".join(stream.read().decode("utf-8", "replace").splitlines()[-lines:])
