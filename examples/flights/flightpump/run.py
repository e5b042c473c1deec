"""What stays on disk of a run: its output, and what lets an interrupted run go on."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shutil
from pathlib import Path
from typing import IO

from .files import count_lines, sha256, write_atomically


class FolderInUseError(Exception):
    """Another run is writing into the folder. The message is a sentence for the user."""


class Outputs:
    """The files in the output folder.

    The folder may hold other things too; nothing but these files is ever touched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flights = folder / "flights.jsonl"
        self.cancelled = folder / "cancelled.jsonl"
        self.dead_letter = folder / "dead-letter.jsonl"
        self.carriers = folder / "carriers.csv"
        self.state_folder = folder / ".run"
        self.run = self.state_folder / "run.json"
        self.statistics = self.state_folder / "statistics.json"
        self.positions = self.state_folder / "positions"
        self.lock = self.state_folder / "lock"

    def clean(self) -> None:
        """Remove what an earlier run has left. Its description goes first: without it, nothing is gone on with."""
        self.run.unlink(missing_ok=True)
        if self.positions.exists():
            shutil.rmtree(self.positions)
        for path in (self.statistics, self.flights, self.cancelled, self.dead_letter, self.carriers):
            path.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Description:
    """What a run is about."""

    input: str
    sha256: str
    lines: int
    finished: bool = False


class Run:
    """One run, or the continuation of an interrupted one.

    Attributes:
        input: the file with the flights.
        lines: how many lines it has after the header.
        outputs: where everything goes.
        is_continued: whether an interrupted run is gone on with.
        announcement: one sentence for the user, which of the two it is and why.
    """

    def __init__(self, input: Path, folder: Path, *, fresh: bool = False) -> None:
        """Take hold of the folder and decide where to begin.

        Raises:
            FolderInUseError: another run has the folder.
            OSError: the folder cannot be written to.
        """
        self.input = input
        self.outputs = Outputs(folder)
        self.outputs.state_folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        digest = sha256(input)
        earlier = self._earlier()
        self.is_continued, reason = _decide(earlier, digest, fresh=fresh)
        if self.is_continued and earlier is not None:
            self._description = earlier
        else:
            self.outputs.clean()
            self._description = Description(str(input), digest, count_lines(input))
            self._save()
        self.lines = self._description.lines
        self.announcement = f"{reason}: {'going on with it.' if self.is_continued else 'starting from the beginning.'}"

    def _take_lock(self) -> IO[str]:
        lock = self.outputs.lock.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FolderInUseError(
                f"Another run is writing into {self.outputs.folder}; wait for it or take another --out."
            ) from None
        return lock

    def _earlier(self) -> Description | None:
        try:
            return Description(**json.loads(self.outputs.run.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):  # none, or none of ours
            return None

    def _save(self) -> None:
        write_atomically(self.outputs.run, json.dumps(dataclasses.asdict(self._description)))

    def finish(self) -> None:
        """Note that nothing is left to do, so that the next run starts from the beginning."""
        self._description = dataclasses.replace(self._description, finished=True)
        self._save()

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.close()


def _decide(earlier: Description | None, digest: str, *, fresh: bool) -> tuple[bool, str]:
    """Return whether an earlier run is gone on with, and why."""
    if earlier is None:
        return False, "There is no earlier run in this folder"
    if fresh:
        return False, "A fresh start is wanted"
    if earlier.finished:
        return False, "The last run has finished"
    if earlier.sha256 != digest:
        return False, "The last run was interrupted, but its input was another one"
    return True, "The last run was interrupted"
