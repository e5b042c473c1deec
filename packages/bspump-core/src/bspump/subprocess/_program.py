"""A program that runs, its lines, and its end."""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from .._types import Event

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_CHUNK = 2**18
# Of what a program says on its standard error, so much of a line, so many lines one by one, and so many for the end.
_LINE_OF_STDERR = 1000
_LOGGED_ONE_BY_ONE = 100
_LAST_LINES = 3
# After the end of a program, others that it started may still hold its pipes.
_PATIENCE = 1.0


class Refused(NamedTuple):
    """A line that cannot be an event."""

    beginning: bytes
    reason: str


class LineSplitter:
    """Makes lines of what is read.

    Args:
        encoding: of the text; lines are bytes if it is empty.
        longest: the most bytes of a line.
    """

    def __init__(self, encoding: str, longest: int) -> None:
        self._encoding = encoding
        self._longest = longest
        self._partial = bytearray()

    def split(self, chunk: bytes) -> list[Event | Refused]:
        """Return the lines that are complete, in order."""
        *complete, rest = chunk.split(b"\n")
        lines: list[Event | Refused] = []
        if complete:
            self._extend(complete[0])
            lines.append(self._take())
            lines.extend(map(self._line, complete[1:]))
        self._extend(rest)
        return lines

    def rest(self) -> Event | Refused | None:
        """Return what is left behind the last line break, if there is anything."""
        return self._take() if self._partial else None

    def _extend(self, part: bytes) -> None:
        # Of a line that is too long no more is kept than tells it.
        self._partial += part[: self._longest + 1 - len(self._partial)]

    def _take(self) -> Event | Refused:
        line = bytes(self._partial)
        self._partial.clear()
        return self._line(line)

    def _line(self, line: bytes) -> Event | Refused:
        if len(line) > self._longest:
            return Refused(line, f"a line of more than {self._longest} bytes (line_length_max)")
        if not self._encoding:
            return line
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            return Refused(line, f"a line that is no text ({error})")


class Program:
    """One run of a program, in a process group of its own.

    Attributes:
        run: the number of the run.
        pending: lines that were read and not accepted by the pipeline.
        accepted: how many were accepted, of this run or altogether; the number of the last one.
        to_skip: how many of the first lines were accepted in an earlier run.
        stdin: where acknowledgements go, if the program wants them.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, pipeline: Pipeline, name: str, splitter: LineSplitter
    ) -> None:
        self._process = process
        self._pipeline = pipeline
        self._name = name
        self._splitter = splitter
        self._errors: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._errors_logged = 0
        self._has_ended = False
        self.run = 0
        self.pending: list[Event | Refused] = []
        self.accepted = 0
        self.to_skip = 0
        self.stdin = process.stdin
        self._stderr_task = asyncio.get_running_loop().create_task(self._log_stderr(), name=f"bspump stderr {name}")

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        pipeline: Pipeline,
        name: str,
        splitter: LineSplitter,
        *,
        is_acknowledged: bool,
    ) -> Self:
        """Start a program, without a shell.

        Raises:
            OSError: it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if is_acknowledged else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        return cls(process, pipeline, name, splitter)

    async def read(self) -> bool:
        """Wait for output and add its lines to `pending`. False: there is no more of it."""
        assert self._process.stdout is not None
        chunk = await self._process.stdout.read(_CHUNK)
        if chunk:
            self.add(self._splitter.split(chunk))
        return bool(chunk)

    def take_rest(self) -> Event | Refused | None:
        """Return what the program left behind its last line break."""
        return self._splitter.rest()

    def add(self, lines: list[Event | Refused]) -> None:
        """Add lines to `pending`, but for those to be skipped."""
        skipped = min(self.to_skip, len(lines))
        self.to_skip -= skipped
        self.pending.extend(lines[skipped:])

    async def wait(self) -> int:
        """Wait for the end of the program, whose output has ended. Returns its exit code."""
        if self.stdin is not None:
            self.stdin.close()
        code = await self._process.wait()
        await self._finish()
        return code

    def last_words(self) -> str:
        """Return the last lines of the standard error."""
        return " / ".join(self._errors)

    async def _log_stderr(self) -> None:
        assert self._process.stderr is not None
        splitter = LineSplitter("", _LINE_OF_STDERR)
        while chunk := await self._process.stderr.read(_CHUNK):
            for line in splitter.split(chunk):
                self._log_error_line(line)
        if (rest := splitter.rest()) is not None:
            self._log_error_line(rest)

    def _log_error_line(self, line: bytes | Refused) -> None:
        text = (line.beginning if isinstance(line, Refused) else line).decode(errors="replace").rstrip()
        if not text:
            return
        self._errors.append(text)
        self._errors_logged += 1
        count = self._errors_logged
        if count <= _LOGGED_ONE_BY_ONE or count & (count - 1) == 0:
            note = f" (line {count}; not every one is logged)" if count >= _LOGGED_ONE_BY_ONE else ""
            self._pipeline.L.log(logging.WARNING, "%s: %s%s", self._name, text, note)

    async def end(self, grace: float) -> None:
        """End the program and all that it started: by SIGTERM, and by SIGKILL what is still there then."""
        if self._has_ended:
            return
        exited = asyncio.ensure_future(self._exited())
        try:
            if self.stdin is not None:
                # It may have acknowledgements to read.
                self.stdin.close()
                await asyncio.wait({exited}, timeout=grace)
            self._signal(signal.SIGTERM)
            await asyncio.wait({exited}, timeout=grace)
        finally:
            # Also when the closing is cut off: what is left in the group would live on for ever.
            self._signal(signal.SIGKILL)
            try:
                await asyncio.wait({exited}, timeout=_PATIENCE)
            finally:
                exited.cancel()
                await self._finish()

    async def _exited(self) -> None:
        assert self._process.stdout is not None
        # Output that nobody reads would keep the program from ending.
        while await self._process.stdout.read(_CHUNK):
            pass
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # it has ended, and so have those that it started (or they have become somebody else's)

    async def _finish(self) -> None:
        self._has_ended = True
        await asyncio.wait({self._stderr_task}, timeout=_PATIENCE)
        self._stderr_task.cancel()
        # Otherwise pipes that somebody else still holds would stay open here as well.
        self._process._transport.close()  # type: ignore[attr-defined]


def in_words(code: int) -> str:
    """Return how a program ended, as the rest of a sentence."""
    if code >= 0:
        return f"ended with the exit code {code}"
    try:
        return f"was ended by the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by the signal {-code}"
