"""Arguments may be given in the order, and by the names, that programs written for earlier versions use."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
from bspump import NamedMatrix
from bspump.analyzer import (
    GeoAnalyzer,
    LatchAnalyzer,
    SessionAnalyzer,
    ThresholdAnalyzer,
    TimeDriftAnalyzer,
    TimeWindowAnalyzer,
)
from bspump.matrix import GeoMatrix, Matrix, SessionMatrix, TimeWindowMatrix
from bspump.testing import PumpRunner

FIELDS = [("count", "i8")]
SQUARE = {"min_lat": 0.0, "max_lat": 2.0, "min_lon": 0.0, "max_lon": 2.0}
OFTEN = {"analyze_period": 7}


class P(bspump.Pipeline):
    pass


@pytest.fixture
def pipeline(pump: PumpRunner) -> P:
    return P(pump.app, "P")


@pytest.mark.parametrize("make", [bspump.Analyzer, TimeDriftAnalyzer])
@pytest.mark.parametrize("on_clock", [False, True])
def test_a_plain_analyzer_takes_the_clock_its_id_and_options(
    pump: PumpRunner, pipeline: P, make: Any, on_clock: bool
) -> None:
    analyzer = make(pump.app, pipeline, on_clock, "A", OFTEN)
    assert (analyzer.AnalyzeOnClock, analyzer.Id, analyzer.AnalyzePeriod) == (on_clock, "A", 7)


@pytest.mark.parametrize(("on_clock", "inclusive"), [(True, False), (False, True)])
def test_a_latch_takes_the_clock_before_inclusive(
    pump: PumpRunner, pipeline: P, on_clock: bool, inclusive: bool
) -> None:
    analyzer = LatchAnalyzer(pump.app, pipeline, {"a": 1}, on_clock, inclusive, "A", {"latch_max_size": 3})
    assert (analyzer.AnalyzeOnClock, analyzer.Inclusive, analyzer.Id) == (on_clock, inclusive, "A")
    assert analyzer.Latch.maxlen == 3
    assert analyzer.predicate({}, {"a": 1}) is not inclusive


@pytest.mark.parametrize("make", [TimeWindowAnalyzer, ThresholdAnalyzer])
def test_an_analyzer_of_a_time_window_takes_its_arguments_in_order(pump: PumpRunner, pipeline: P, make: Any) -> None:
    options = {**OFTEN, "max_closed_rows_capacity": 0.5}
    analyzer = make(pump.app, pipeline, None, "i4", 3, True, 10, 970.0, True, False, "A", options)
    window = analyzer.TimeWindow
    assert (analyzer.AnalyzeOnClock, analyzer.Id, analyzer.AnalyzePeriod) == (True, "A", 7)
    assert (window.Id, window.DType, window.Columns, window.Resolution) == ("AMatrix", "i4", 3, 10)
    assert (window.ClockDriven, window.Persistent, window.MaxClosedRowsCapacity) == (True, False, 0.5)
    assert window.TimeConfig.get_start() == 980.0


def test_an_analyzer_of_sessions_takes_its_arguments_in_order(pump: PumpRunner, pipeline: P) -> None:
    analyzer = SessionAnalyzer(pump.app, pipeline, None, FIELDS, True, True, "A", {"primary_name": "user"})
    assert (analyzer.AnalyzeOnClock, analyzer.Id) == (True, "A")
    assert (analyzer.Sessions.Persistent, analyzer.Sessions.PrimaryName) == (True, "user")
    assert analyzer.Sessions.DType.names == ("count",)
    analyzer.Sessions.close()


def test_an_analyzer_of_a_map_takes_its_arguments_in_order(pump: PumpRunner, pipeline: P) -> None:
    analyzer = GeoAnalyzer(pump.app, pipeline, None, "i4", True, SQUARE, 50, "A", OFTEN)
    chart = analyzer.GeoMatrix
    assert (analyzer.AnalyzeOnClock, analyzer.Id, analyzer.AnalyzePeriod) == (True, "A", 7)
    assert (chart.Id, chart.Bbox, chart.Resolution, chart.Persistent) == ("AMatrix", SQUARE, 50, False)
    assert chart.DType == "i4"
    kept = GeoAnalyzer(pump.app, pipeline, resolution=50, id="Kept", persistent=True).GeoMatrix
    assert kept.Persistent
    kept.close()


@pytest.mark.parametrize("make", [Matrix, NamedMatrix, SessionMatrix])
def test_a_matrix_takes_its_arguments_in_order(pump: PumpRunner, make: Any) -> None:
    matrix = make(pump.app, "i4", True, "M", {"max_closed_rows_capacity": "0.5"})
    assert (matrix.DType, matrix.Persistent, matrix.Id) == ("i4", True, "M")
    assert matrix.MaxClosedRowsCapacity == 0.5
    matrix.close()


def test_a_time_window_takes_its_arguments_in_order(pump: PumpRunner) -> None:
    matrix = TimeWindowMatrix(pump.app, "i4", 970.0, 10, 3, True, False, "M", {"max_closed_rows_capacity": 0.5})
    assert matrix.DType == "i4"
    assert (matrix.Resolution, matrix.Columns) == (10, 3)
    assert (matrix.ClockDriven, matrix.Persistent, matrix.Id) == (True, False, "M")
    assert matrix.MaxClosedRowsCapacity == 0.5
    assert matrix.TimeConfig.get_start() == 980.0


def test_a_map_takes_its_arguments_in_order(pump: PumpRunner) -> None:
    matrix = GeoMatrix(pump.app, "i4", {"max_lat": 30.0}, 50, "M", {"min_lat": "25", "max_lat": 60})
    assert matrix.DType == "i4"
    assert (matrix.Resolution, matrix.Id, matrix.Persistent) == (50, "M", False)
    assert matrix.Bbox == {"max_lat": 30.0, "min_lat": 25.0, "min_lon": -10.1, "max_lon": 40.6}


def test_a_row_is_closed_by_its_index_or_its_name(pump: PumpRunner) -> None:
    plain = Matrix(pump.app)
    row = plain.add_row()
    plain.Array[row] = 5
    assert plain.close_row(row_index=row, clear=False)
    assert plain.Array[row] == 5
    named = NamedMatrix(pump.app)
    for name in "abc":
        named.add_row(name=name)
    assert named.close_row(row_name="a", clear=True)
    named.close_rows(row_names=["b"])
    assert set(named.N2IMap) == {"c"}
    index = named.get_row_index(row_name="c")
    assert index is not None
    assert named.get_row_name(row_index=index) == "c"
