from __future__ import annotations

from pathlib import Path
from typing import Any

from flightpump.carriers import Row
from flightpump.sinks import CarrierStatistics

import bspump
from bspump.testing import MemorySource, PumpRunner


class Counting(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, path: Path, flights: list[dict[str, Any]]) -> None:
        super().__init__(app)
        self.source = MemorySource(app, self, flights)
        self.statistics = CarrierStatistics(app, self, path)
        self.build(self.source, self.statistics)


def flight(line: int) -> dict[str, Any]:
    return {"line": line, "carrier": "UA", "carrier_name": "United", "dep_delay": None if line % 10 == 0 else line}


def count(path: Path, lines: range, *, keep_state: bool = True) -> list[Row]:
    """Count some flights in an application of its own, and return the table."""
    before = path.read_bytes() if path.exists() else None
    with PumpRunner() as pump:
        pipeline = Counting(pump.app, path, [flight(line) for line in lines])

        async def scenario() -> None:
            await pipeline.source.finished.wait()

        pump.run(scenario, pipeline)
        rows = pipeline.statistics.table.rows()
    if not keep_state and before is not None:
        path.write_bytes(before)
    return rows


def test_flights_that_come_again_after_a_restart_are_counted_once(tmp_path: Path) -> None:
    at_once = count(tmp_path / "at-once", range(2, 301))
    path = tmp_path / "state"
    count(path, range(2, 150))
    # The source goes on at an earlier line: its last commit was before the last checkpoint.
    assert count(path, range(100, 301)) == at_once


def test_counts_that_were_not_checkpointed_come_again_and_are_not_lost(tmp_path: Path) -> None:
    at_once = count(tmp_path / "at-once", range(2, 301))
    path = tmp_path / "state"
    count(path, range(2, 150))
    count(path, range(150, 250), keep_state=False)
    assert count(path, range(150, 301)) == at_once


def test_the_table_is_there_when_nothing_new_comes(tmp_path: Path) -> None:
    first = count(tmp_path / "state", range(2, 150))
    assert count(tmp_path / "state", range(2, 150)) == first
    assert count(tmp_path / "state", range(0)) == first
    assert first[0].flights == 148
    assert first[0].cancelled == 14
