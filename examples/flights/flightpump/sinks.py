"""The sink that counts."""

from __future__ import annotations

import concurrent.futures
import json
from pathlib import Path
from typing import Any

import asab

import bspump

from .carriers import CarrierTable
from .files import write_atomically


class CarrierStatistics(bspump.Sink):
    """Counts the flights of each carrier, each flight exactly once, also when it comes again after a crash.

    It is a matter of two things. The flights come in the order of their lines, so the number of the last line is all
    there is to know of which were counted; what comes again up to there is left out. And each checkpoint writes that
    number together with the counts, in one file that is replaced at once. The source commits its position after the
    checkpoint, so the counts may be ahead of the position, never behind it.

    Args:
        path: the file with the counts.

    Attributes:
        table: the counts.
        last_line: the number of the last line that is in them.
        repeated: how many flights came again and were left out.
    """

    def __init__(self, app: asab.Application, pipeline: bspump.Pipeline, path: Path) -> None:
        super().__init__(app, pipeline)
        self.table = CarrierTable()
        self.last_line = 0
        self.repeated = 0
        self._path = path
        self._saved_line = 0
        # One thread, so that an older state never replaces a newer one.
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="statistics")

    async def open(self) -> None:
        """Go on from the last checkpoint."""
        if self._path.exists():
            state = json.loads(self._path.read_bytes())
            self.table = CarrierTable.from_json(state["carriers"])
            self.last_line = self._saved_line = state["line"]

    def process(self, context: bspump.Context, event: dict[str, Any]) -> None:
        """Count a flight, unless it was counted before."""
        line = event["line"]
        if line <= self.last_line:
            self.repeated += 1
            return
        self.last_line = line
        self.table.add(event["carrier"], event["carrier_name"], event["dep_delay"])

    async def checkpoint(self) -> None:
        """Make the counts durable."""
        line = self.last_line
        if line == self._saved_line:
            return
        state = json.dumps({"line": line, "carriers": self.table.to_json()})
        await self.Loop.run_in_executor(self._writer, write_atomically, self._path, state)
        self._saved_line = line

    async def close(self) -> None:
        """Let the thread go."""
        self._writer.shutdown()
