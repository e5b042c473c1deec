"""A source that runs a program and takes the lines of its output."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import random
import shlex
import shutil
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Event
from ..abc.source import TriggerSource
from ..errors import ConfigurationError, ProcessingError
from ._position_file import PositionFile
from ._program import LineSplitter, Program, Refused, in_words

if TYPE_CHECKING:
    from .._options import Options
    from ..pipeline import Pipeline

_VARIABLE = "BSPUMP_POSITION"
_PLACEHOLDER = "{position}"


@dataclasses.dataclass(frozen=True, slots=True)
class SubProcessPosition:
    """A place in the output of a program: the run, the number of lines before it, and what the program calls it."""

    run: int
    lines: int
    token: str = ""


def _read_command(options: Options, key: str) -> list[str]:
    value = options.raw(key)
    try:
        command = shlex.split(value) if isinstance(value, str) else [str(part) for part in value]
    except (TypeError, ValueError) as error:
        options.refuse(key, f"cannot be split into a program and its arguments ({error})")
        return []
    if not command:
        options.refuse(key, "is empty, but has to name a program")
    return command


def _read_codes(options: Options, key: str) -> set[int]:
    value = options.raw(key)
    codes: Iterable[Any] = [value] if isinstance(value, int) else value
    try:
        return {int(code) for code in (value.split(",") if isinstance(value, str) else codes)}
    except (TypeError, ValueError):
        options.refuse(key, "is no list of whole numbers (such as 0, 3)")
        return {0}


class SubProcessSource(TriggerSource):
    """Runs a program and brings each line of its standard output, without the line break.

    With triggers, each one runs the program once; without, it is run when the pipeline starts. Of its standard error,
    lines go to the log. While the pipeline is throttled the output is not read, so the program waits. At a stop the
    program, and all that it started, get SIGTERM, and SIGKILL if they are still there after `stop_grace`. When the pump
    itself is killed, the program finds its pipes closed.

    What was accepted and is not durable yet when the pump is killed comes again only if the program can give it again.
    How it can is for `replay` to say:

    * ``none``: it cannot. What is in the pipeline at that moment is lost. At a stop of the pipeline, what has entered
      it is delivered; what the program has said beyond that is lost, and a warning says so. Nothing is lost at an
      error that keeps an event from entering the pipeline: the program waits for the error to be cleared.
    * ``start``: each run gives the same lines from the first on. Those of an unfinished run that were committed are
      skipped when it is run again.
    * ``position``: it begins behind a position that it is given: in the environment variable ``BSPUMP_POSITION``, and
      in place of ``{position}`` in its arguments. That is the number of lines before, over all runs, or what an
      overridden `position_of` says.
    * ``unacknowledged``: it is told on its standard input how many of its lines, counted in this run, are durable, by
      that number on a line of its own, and in a later run it gives again what is behind the last number. It ends after
      it was told of its last line; or it closes its standard output and ends with its standard input.
    """

    Command = option.custom(
        _read_command,
        "",
        key="command",
        values="command line",
        schema={"type": ["string", "array"], "items": {"type": "string"}},
        help="The program and its arguments: a list, or text that is split as a shell does; there is no shell.",
    )
    Encoding = option.encoding("", key="encoding", help="The text encoding of the lines; they are bytes if empty.")
    line_length_max = option.size(
        "1MB",
        help="The most bytes of a line. A longer one, or one that is no text, goes the way of a failed event.",
    )
    ok_return_codes = option.custom(
        _read_codes,
        "0",
        values="whole numbers, with commas between them",
        schema={"type": ["string", "integer", "array"], "items": {"type": "integer"}},
        help="The exit codes of success. Any other is a hard error.",
    )
    restart_ = option.choice(
        "never",
        ("never", "on_failure", "always"),
        key="restart",
        help="Whether the program is started again after its end.",
    )
    restart_backoff = option.seconds(
        1.0, help="The pause before it is started again; it doubles with each run that brings nothing."
    )
    restart_backoff_max = option.seconds(60.0, help="The longest pause before it is started again.")
    replay = option.choice(
        "none",
        ("none", "start", "position", "unacknowledged"),
        help="How the program can give again what was not durable: see above.",
    )
    start_position = option.text("0", help="What the program is given as its position before there is one.")
    position_dir = option.text(
        help="Where the position file is, for ``start`` and ``position``; ``positions`` in ``[general] var_dir`` if "
        "empty."
    )
    stop_grace = option.seconds(3.0, help="How long the program has to end after SIGTERM.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._position_file: PositionFile | None = None
        if self.replay in ("start", "position"):
            folder = Path(self.position_dir or Path(asab.Config["general"]["var_dir"]) / "positions")
            name = urllib.parse.quote(f"{pipeline.Id}.{self.Id}", safe="")
            self._position_file = PositionFile(folder / f"{name}.subprocess.json", self.section)
        self._durable = SubProcessPosition(0, 0, self.start_position)
        self._accepted = self._durable
        self._program: Program | None = None
        self._runs = 0
        self._was_started = False

    @property
    def needs_trigger(self) -> bool:
        """False: without a trigger, the program is run at the start."""
        return False

    @property
    def is_acknowledged(self) -> bool:
        """Whether the program can give again what is not durable."""
        return self.replay != "none"

    def position_of(self, event: Event, number: int) -> str:
        """Return the position behind a line. Override it for a program that has positions of its own.

        Args:
            event: the line.
            number: how many lines there were up to it, over all runs.
        """
        return str(number)

    # The life of the source

    def prepare(self) -> None:
        """Look whether the program is there."""
        if self.Command and shutil.which(self.Command[0]) is None:
            raise ConfigurationError(f"[{self.section}] command: there is no program '{self.Command[0]}' to be run")

    async def open(self) -> None:
        """Load the position."""
        if self._position_file is not None:
            found = await asyncio.to_thread(self._position_file.open)
            if found is not None:
                self._durable = self._accepted = SubProcessPosition(0, *found)

    async def main(self, *args: Any, **kwags: Any) -> None:
        """Run the program at each trigger; without any, once."""
        if not self.Triggers and not self._was_started:
            self.TriggerEvent.set()
        self._was_started = True
        await super().main(*args, **kwags)

    async def commit(self, position: SubProcessPosition) -> None:
        """Write the position file, or tell the program."""
        if self._position_file is not None:
            await asyncio.to_thread(self._position_file.save, position.lines, position.token)
        elif self.replay == "unacknowledged":
            await self._acknowledge(position)
        self._durable = position

    async def _acknowledge(self, position: SubProcessPosition) -> None:
        program = self._program
        if program is None or program.run != position.run or program.stdin is None or program.stdin.is_closing():
            return  # it has ended, and gives again what it was not told of
        try:
            program.stdin.write(f"{position.lines}\n".encode())
            await program.stdin.drain()
        except ConnectionError as error:
            self.Pipeline.L.report(logging.WARNING, f"{self!r}: the program takes no acknowledgements ({error})")

    async def rewind(self) -> None:
        """End the program; run it again if it has not ended, or not all of its lines are durable."""
        is_unfinished = self._program is not None or self._accepted != self._durable
        await self._end_program()
        if is_unfinished:
            self.TriggerEvent.set()

    async def close(self) -> None:
        """End the program."""
        if self._program is not None and self._program.pending and not self.is_acknowledged:
            self.Pipeline.L.report(
                logging.WARNING,
                f"{self!r} ends with {len(self._program.pending)} line(s), or more, that were not brought: lost, since "
                f"the program cannot give them again (replay = none)",
            )
        try:
            await self._end_program()
        finally:
            self._was_started = False
            self._accepted = self._durable
            if self._position_file is not None:
                self._position_file.close()

    async def _end_program(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            await program.end(self.stop_grace)

    # Running the program

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Run the program to its end, and again if it has to be restarted."""
        pause = self.restart_backoff
        while True:
            lines_before = self.accepted_total
            failure = await self._run_once()
            if self.restart_ == "never" or (self.restart_ == "on_failure" and failure is None):
                if failure is not None:
                    raise ProcessingError(failure)
                return
            if self.accepted_total != lines_before:
                pause = self.restart_backoff
            if failure is not None:
                self.Pipeline.L.report(logging.WARNING, f"{failure}; it is started again")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, self.restart_backoff_max)

    async def _run_once(self) -> str | None:
        """Start the program, unless it runs already, and see it through. Returns what went wrong, in a sentence."""
        if self._program is None:
            try:
                self._program = await self._start()
            except OSError as error:
                return f"{self!r}: '{self.Command[0]}' cannot be started: {error.strerror}"
        program = self._program
        await self._bring(program)
        while await program.read():
            await self._bring(program)
        if self.replay == "unacknowledged":
            await self.commit_now()
        code = await program.wait()
        failure = None
        if code not in self.ok_return_codes:
            words = program.last_words()
            failure = f"{self!r}: '{self.Command[0]}' {in_words(code)}{': ' + words if words else ''}"
        await self._bring_rest(program, failure)
        self._program = None
        if failure is None and self.replay == "start":
            if program.to_skip:
                self.Pipeline.L.report(
                    logging.WARNING,
                    f"{self!r}: the program gave {program.to_skip} line(s) less than were committed of an earlier run",
                )
            self._move(SubProcessPosition(program.run, 0, self.start_position))
        return failure

    async def _start(self) -> Program:
        self._runs += 1
        position = self.position if self.position is not None else self._durable
        command, environment = self.Command, dict(os.environ)
        if self.replay == "position":
            environment[_VARIABLE] = position.token
            command = [part.replace(_PLACEHOLDER, position.token) for part in command]
        program = await Program.start(
            command,
            environment,
            self.Pipeline,
            self.locate_address(),
            LineSplitter(self.Encoding, self.line_length_max),
            is_acknowledged=self.replay == "unacknowledged",
        )
        program.run = self._runs
        if self.replay in ("start", "position"):
            program.accepted = position.lines
        if self.replay == "start":
            program.to_skip = position.lines
        return program

    async def _bring_rest(self, program: Program, failure: str | None) -> None:
        """Bring a last line without a line break; if the program failed, that is no more than a piece of a line."""
        rest = program.take_rest()
        if rest is None:
            return
        if failure is not None:
            if self.is_acknowledged:
                return  # the whole line comes when the program is run again
            rest = rest if isinstance(rest, Refused) else Refused(rest, "a piece of a line, since the program failed")
        program.add([rest])
        await self._bring(program)

    async def _bring(self, program: Program) -> None:
        while program.pending:
            pending = program.pending
            refused = next((number for number, line in enumerate(pending) if isinstance(line, Refused)), len(pending))
            if refused:
                await self._bring_lines(program, pending[:refused])
            else:
                await self._refuse(program, pending[0])

    async def _bring_lines(self, program: Program, lines: list[Event]) -> None:
        accepted = 0
        base = program.accepted

        def position(number: int) -> SubProcessPosition:
            nonlocal accepted
            accepted = number
            total = base + number
            self._accepted = SubProcessPosition(program.run, total, self.position_of(lines[number - 1], total))
            return self._accepted

        try:
            await self.process_batch(lines, position=position)
        finally:
            # The program does not give them again, so what was not accepted stays for later.
            program.accepted += accepted
            del program.pending[:accepted]

    async def _refuse(self, program: Program, line: Refused) -> None:
        error = ProcessingError(f"{self!r} got {line.reason}")
        await self.reject(error, line.beginning)
        program.accepted += 1
        del program.pending[0]
        counts = type(self).position_of is SubProcessSource.position_of
        token = str(program.accepted) if counts else self._accepted.token
        self._move(SubProcessPosition(program.run, program.accepted, token))

    def _move(self, position: SubProcessPosition) -> None:
        self._accepted = position
        self.position = position
