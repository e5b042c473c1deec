"""Runs tutorials as a reader does: copied into a folder, started from there, ended by a signal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

TUTORIALS = Path(__file__).parents[1]
LOCAL_API = "127.0.0.1:8090"
_LIMIT = 30.0
_GREETING = re.compile(r"^(BitSwan BSPump version .*|\d+ pipeline\(s\) ready\.)\n", re.MULTILINE)
_COMPLAINT = re.compile(r"^Traceback|\b(WARNING|ERROR|CRITICAL)\b")


def free_port() -> int:
    """Return a TCP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connect(port: int) -> socket.socket:
    """Return a connection to a port of this machine, as soon as somebody listens there."""
    deadline = time.monotonic() + _LIMIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_LIMIT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Program:
    """A program that runs, and what it has printed so far."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.output = ""
        self.log = ""
        self._news = threading.Condition()
        self._open_streams = 2
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name))
            for stream, name in ((self._process.stdout, "output"), (self._process.stderr, "log"))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], name: str) -> None:
        for line in stream:
            with self._news:
                setattr(self, name, getattr(self, name) + line)
                self._news.notify_all()
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()

    def wait_for(self, condition: str | Callable[[], object]) -> None:
        """Return when the text is printed, or the condition holds."""

        def is_there() -> object:
            return condition in self.output if isinstance(condition, str) else condition()

        with self._news:
            came = self._news.wait_for(lambda: is_there() or not self._open_streams, timeout=_LIMIT)
            assert came, f"{condition!r} did not come to hold.\n{self.output}\n{self.log}"
            assert is_there(), f"The program has ended before {condition!r} came to hold.\n{self.output}\n{self.log}"

    def stop(self) -> int:
        """Ask the program to end, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> int:
        """Wait for the end of the program, and return its exit code."""
        try:
            return self._process.wait(_LIMIT)
        finally:
            self.close()

    def close(self) -> None:
        """Make sure that nothing is left of it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    @property
    def printed(self) -> str:
        """What is printed, without the greeting of the application."""
        return _GREETING.sub("", self.output)

    @property
    def complaints(self) -> list[str]:
        """The lines of the log that are more than a notice."""
        return [line for line in self.log.splitlines() if _COMPLAINT.search(line)]


class Tutorial:
    """A copy of one tutorial's folder, in which some texts are replaced, as its reader may do it.

    Args:
        name: the folder of the tutorial.
        folder: where the copy goes.
        api: where the local API listens.
        replaced: texts, each of which the tutorial must have, and what stands in their place.
    """

    def __init__(self, name: str, folder: Path, api: str, replaced: Mapping[str, str]) -> None:
        self.folder = folder / name
        self._programs = contextlib.ExitStack()
        shutil.copytree(TUTORIALS / name, self.folder, ignore=shutil.ignore_patterns("__pycache__", "Data", "data.csv"))
        missing = set(replaced)
        for path in self.folder.rglob("*"):
            if path.suffix in {".py", ".conf"}:
                text = path.read_text(encoding="utf-8")
                missing -= {old for old in replaced if old in text}
                for old, new in {LOCAL_API: api, **replaced}.items():
                    text = text.replace(old, new)
                path.write_text(text, encoding="utf-8")
        assert not missing, f"The tutorial does not contain {missing}"

    def start(self, *command: str) -> Program:
        """Start a script of the tutorial with arguments; what it prints is seen at once."""
        program = Program([sys.executable, *command], self.folder, environment())
        self._programs.callback(program.close)
        return program

    def close(self) -> None:
        """End what still runs."""
        self._programs.close()


MakeTutorial = Callable[..., Tutorial]
"""`make(name, {text: other text})` copies a tutorial."""


def environment() -> dict[str, str]:
    """Return the environment for a program whose output is looked at while it runs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASAB_")}
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
