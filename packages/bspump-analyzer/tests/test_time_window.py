"""The window moves forward with time, and says what is too early and too late for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bspump.matrix import TimeWindowMatrix
from bspump.testing import PumpRunner, until


def window(pump: PumpRunner, **arguments: Any) -> TimeWindowMatrix:
    arguments = {"start_time": 1000.0, "resolution": 10, "columns": 3, **arguments}
    return TimeWindowMatrix(pump.app, id="W", **arguments)


def test_the_window_ends_behind_the_column_of_its_time(pump: PumpRunner) -> None:
    matrix = window(pump, start_time=1005.0)
    assert matrix.Array.shape == (1, 3)
    assert matrix.TimeConfig.get_start() == 1010.0
    assert matrix.TimeConfig.get_end() == 980.0
    assert matrix.TimeConfig.get_resolution() == 10


def test_without_a_time_it_begins_now_with_fifteen_minutes(pump: PumpRunner) -> None:
    now = pump.app.time()
    matrix = TimeWindowMatrix(pump.app)
    assert matrix.Array.shape == (1, 15)
    assert now < matrix.TimeConfig.get_start() <= pump.app.time() + 60
    assert matrix.get_column(now) == 14


@pytest.mark.parametrize("start_time", [0.3, 1.0, 1.1, 1_700_000_000.5, 1_700_000_000.7])
def test_the_time_at_which_it_begins_is_in_it_also_where_columns_are_fractions(
    pump: PumpRunner, start_time: float
) -> None:
    matrix = window(pump, resolution=0.1, start_time=start_time)
    assert matrix.get_column(start_time) is not None
    assert matrix.TimeConfig.get_start() <= start_time + 0.1 + 1e-6


@pytest.mark.parametrize(
    ("timestamp", "column"),
    [(979.9, None), (980.0, 0), (989.9, 0), (990.0, 1), (1009.9, 2), (1010.0, None), (np.float32(1000), 2)],
)
def test_a_column_has_the_times_from_its_beginning_to_before_its_end(
    pump: PumpRunner, timestamp: float, column: int | None
) -> None:
    assert window(pump).get_column(timestamp) == column


def test_early_and_late_events_are_counted(pump: PumpRunner) -> None:
    matrix = window(pump)
    for timestamp in (979, 0, -math.inf, 1010, math.inf, 1000):
        matrix.get_column(timestamp)

    async def scenario() -> None:
        metrics: Any = pump.app.get_service("asab.MetricsService")
        await metrics.flush()

    pump.run(scenario)
    counter = matrix.EarlyLateEventCounter.Storage
    assert counter["name"] == "EarlyLateEventCounter"
    assert counter["fieldset"][0]["tags"]["matrix"] == "W"
    assert counter["fieldset"][0]["values"] == {"events.early": 2, "events.late": 3}


def test_what_is_no_time_is_refused_and_changes_nothing(pump: PumpRunner) -> None:
    matrix = window(pump)
    with pytest.raises(ValueError, match="Matrix 'W' has no column for the time nan"):
        matrix.get_column(math.nan)
    for timestamp in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"{timestamp} is no time in seconds since the epoch"):
            matrix.advance(timestamp)
    assert matrix.TimeConfig.get_start() == 1010


def test_a_column_is_added_at_the_end_and_one_leaves_at_the_beginning(pump: PumpRunner) -> None:
    matrix = window(pump)
    row = matrix.add_row("a")
    matrix.Array[row] = [4, 5, 6]
    seen = []
    for _ in range(5):
        matrix.add_column()
        matrix.Array[row, 2] = 7
        seen.append((matrix.Array[row].tolist(), matrix.TimeConfig.get_start(), matrix.WarmingUpCount[row]))
    assert seen == [
        ([5, 6, 7], 1020, 2),
        ([6, 7, 7], 1030, 1),
        ([7, 7, 7], 1040, 0),
        ([7, 7, 7], 1050, 0),
        ([7, 7, 7], 1060, 0),
    ]


@pytest.mark.parametrize("count", range(1, 9))
def test_moving_several_columns_at_once_is_moving_one_by_one(pump: PumpRunner, count: int) -> None:
    at_once, one_by_one = window(pump), window(pump)
    for already in range(4):
        for matrix in (at_once, one_by_one):
            row = matrix.add_row(f"{already}")
            matrix.Array[row] = [1, 2, 3]
        target = at_once.TimeConfig.get_start() + 10 * (count - 1)
        assert at_once.advance(target) == count
        for _ in range(count):
            one_by_one.add_column()
        assert at_once.Array.tolist() == one_by_one.Array.tolist()
        assert at_once.WarmingUpCount.tolist() == one_by_one.WarmingUpCount.WUC.tolist()
        assert at_once.TimeConfig.get_start() == one_by_one.TimeConfig.get_start()


@pytest.mark.parametrize(
    ("target", "added"),
    [(0, 0), (1000, 0), (1007.4, 0), (1007.5, 1), (1010, 1), (1017.4, 1), (1020, 2), (1e9, 99_999_900)],
)
def test_the_window_moves_before_the_time_reaches_its_edge_and_never_back(
    pump: PumpRunner, target: float, added: int
) -> None:
    matrix = window(pump)
    row = matrix.add_row("a")
    matrix.Array[row] = 1
    assert matrix.advance(target) == added
    assert matrix.TimeConfig.get_start() == 1010 + 10 * added
    assert matrix.Array.sum() == max(0, 3 - added)
    assert matrix.get_column(max(target, 1000)) is not None


def test_a_row_warms_up_column_by_column(pump: PumpRunner) -> None:
    matrix = window(pump)
    matrix.add_row("old")
    matrix.add_column()
    matrix.add_column()
    matrix.add_row("new")
    assert matrix.WarmingUpCount.tolist() == [1, 3]
    matrix.close_row("old")
    assert matrix.add_row("third") == 0
    assert matrix.WarmingUpCount.tolist() == [3, 3]
    assert len(matrix.WarmingUpCount) == matrix.Array.shape[0]


def test_warming_up_survives_growing_and_moving_rows(pump: PumpRunner) -> None:
    matrix = window(pump)
    for number in range(40):
        matrix.add_row(number)
        if number == 10:
            matrix.add_column()
    matrix.close_rows(range(5))
    matrix.flush()
    assert matrix.WarmingUpCount.tolist() == [2] * 6 + [3] * 29


def test_cells_may_have_fields(pump: PumpRunner) -> None:
    matrix = window(pump, dtype=[("count", "i8"), ("bytes", "f8")])
    row = matrix.add_row("a")
    matrix.Array["count"][row, 2] += 1
    matrix.Array["bytes"][row, 2] += 0.5
    matrix.add_column()
    matrix.Array["count"][row, 2] = 9
    assert list(matrix.iter_rows()) == [
        {"name": "a", "count.0": 0, "count.1": 1, "count.2": 9, "bytes.0": 0.0, "bytes.1": 0.5, "bytes.2": 0.0}
    ]


def test_zeros_keeps_the_time(pump: PumpRunner) -> None:
    matrix = window(pump)
    matrix.add_row("a")
    for _ in range(5):
        matrix.add_column()
    matrix.zeros()
    assert matrix.Array.tolist() == [[0, 0, 0]]
    assert matrix.TimeConfig.get_start() == 1060
    assert matrix.add_row("b") == 0
    assert matrix.WarmingUpCount.tolist() == [3]


def test_an_empty_window_moves_on(pump: PumpRunner) -> None:
    matrix = window(pump)
    matrix.flush()
    assert matrix.Array.shape == (0, 3)
    for count in (1, 2, 5):
        matrix.advance(matrix.TimeConfig.get_start() + 10 * (count - 1))
    assert matrix.TimeConfig.get_start() == 1090
    assert len(matrix.WarmingUpCount) == 0


def test_the_clock_moves_the_window(pump: PumpRunner) -> None:
    matrix = window(pump, start_time=None, resolution=0.01, clock_driven=True)
    start = matrix.TimeConfig.get_start()

    async def scenario() -> None:
        await until(lambda: matrix.TimeConfig.get_start() > start + 0.05)
        assert matrix.TimeConfig.get_start() <= pump.app.time() + 2 * 0.01

    pump.run(scenario)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 0}, "A time window needs a resolution above 0 seconds, not 0"),
        ({"resolution": math.nan}, "A time window needs a resolution above 0 seconds, not nan"),
        ({"columns": 0}, "A time window needs at least one column, not 0"),
        ({"start_time": math.inf}, "inf is no time in seconds since the epoch"),
    ],
)
def test_a_window_of_nothing_is_refused(pump: PumpRunner, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window(pump, **arguments)
