"""The analyzers record what they promise, and what they say is right."""

from __future__ import annotations

import datetime
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mongoquery  # type: ignore[import-untyped]
import pytest

import bspump
import bspump.analyzer
import bspump.matrix
import bspump.trigger
from bspump.analyzer import (
    GeoAnalyzer,
    LatchAnalyzer,
    SessionAnalyzer,
    ThresholdAnalyzer,
    TimeDriftAnalyzer,
    TimeWindowAnalyzer,
)
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class P(bspump.Pipeline):
    pass


def analyze(pump: PumpRunner, pipeline: bspump.Pipeline, analyzer: bspump.Analyzer, events: Iterable[Any]) -> None:
    """Let events pass an analyzer, and then analyse; they have to come out as they went in."""
    events = list(events)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline, events), analyzer, sink)

    async def scenario() -> None:
        await sink.wait_for(len(events))
        analyzer.analyze()

    pump.run(scenario, pipeline)
    assert sink.events == events


class Counts(TimeWindowAnalyzer):
    """Counts events by user and time."""

    def evaluate(self, context: bspump.Context, event: dict[str, Any]) -> None:
        self.TimeWindow.advance(event["time"])
        row = self.TimeWindow.add_row(event["user"])
        column = self.TimeWindow.get_column(event["time"])
        if column is not None:
            self.TimeWindow.Array[row, column] += 1


EVENTS = [{"user": "a", "time": 1000.0 + number} for number in range(25)] + [{"user": "b", "time": 1003.0}]


def test_a_time_window_counts_by_name_and_time(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Counts(pump.app, pipeline, columns=3, resolution=10, start_time=1000.0)
    analyze(pump, pipeline, analyzer, EVENTS)
    assert analyzer.TimeWindow.Array.tolist() == [[10, 10, 5], [1, 0, 0]]
    assert pump.service.locate_matrix("CountsMatrix") is analyzer.TimeWindow


@pytest.mark.parametrize(
    ("make", "attribute", "kind"),
    [
        (TimeWindowAnalyzer, "TimeWindow", "TimeWindowMatrix"),
        (SessionAnalyzer, "Sessions", "SessionMatrix"),
        (GeoAnalyzer, "GeoMatrix", "GeoMatrix"),
    ],
)
def test_an_analyzer_makes_its_matrix_or_uses_one_that_is_there(
    pump: PumpRunner, make: Any, attribute: str, kind: str
) -> None:
    pipeline = P(pump.app, "P")
    own = getattr(make(pump.app, pipeline), attribute)
    assert type(own) is getattr(bspump.matrix, kind)
    assert own.DType == "f8"
    assert pump.service.Matrixes == {f"{make.__name__}Matrix": own}
    for matrix_id in (own, own.Id):
        assert getattr(make(pump.app, pipeline, matrix_id, id="Other"), attribute) is own
    pump.service.add_matrix(bspump.Matrix(pump.app, id="Plain"))
    with pytest.raises(
        bspump.ConfigurationError, match=rf"\[pipeline:P:X\] matrix_id: 'Plain' is a Matrix, not a {kind}"
    ):
        make(pump.app, pipeline, "Plain", id="X")
    with pytest.raises(bspump.ConfigurationError, match=r"\[pipeline:P:X\] matrix_id: Cannot find matrix 'Nowhere'"):
        make(pump.app, pipeline, "Nowhere", id="X")


@pytest.mark.parametrize("make", [bspump.Analyzer, TimeWindowAnalyzer, SessionAnalyzer, GeoAnalyzer])
def test_an_analyzer_that_overrides_nothing_lets_everything_pass(pump: PumpRunner, make: Any) -> None:
    pipeline = P(pump.app)
    analyze(pump, pipeline, make(pump.app, pipeline), [{"lat": 70, "lon": 10}, "anything"])


def test_the_defaults_of_the_arguments_are_those_of_the_manual(pump: PumpRunner) -> None:
    window = TimeWindowAnalyzer(pump.app, P(pump.app)).TimeWindow
    assert (window.Columns, window.Resolution, window.ClockDriven, window.Persistent) == (15, 60, False, False)
    chart = GeoAnalyzer(pump.app, P(pump.app)).GeoMatrix
    assert chart.Resolution == 5
    assert chart.Bbox == {"max_lat": 71.26, "min_lat": 23.33, "min_lon": -10.10, "max_lon": 40.6}


def test_options_of_the_matrix_are_handed_on(pump: PumpRunner, tmp_path: Path) -> None:
    analyzer = SessionAnalyzer(
        pump.app,
        P(pump.app),
        dtype=[("bytes", "i8")],
        persistent=True,
        config={"path": str(tmp_path), "primary_name": "user", "analyze_period": 5},
    )
    assert analyzer.Sessions.PrimaryName == "user"
    assert (tmp_path / "array.dat").exists()
    analyzer.Sessions.close()


class Places(GeoAnalyzer):
    def predicate(self, context: bspump.Context, event: dict[str, float]) -> bool:
        return self.GeoMatrix.is_in_boundaries(event["lat"], event["lon"])

    def evaluate(self, context: bspump.Context, event: dict[str, float]) -> None:
        self.GeoMatrix.Array[self.GeoMatrix.project_equirectangular(event["lat"], event["lon"])] += 1


def test_a_map_counts_by_place(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Places(pump.app, pipeline, dtype="i4", resolution=100)
    analyze(pump, pipeline, analyzer, [{"lat": 50, "lon": 14}, {"lat": 50.1, "lon": 14.1}, {"lat": -50, "lon": 14}])
    [cell] = analyzer.GeoMatrix.iter_rows()
    assert cell["value"] == 2
    assert abs(cell["lat"] - 50) < 1


@pytest.mark.parametrize(
    ("query", "inclusive", "kept"),
    [
        (True, False, [{"a": 1}, {"b": [5, 6]}]),
        (False, False, []),
        (True, True, []),
        (False, True, [{"a": 1}, {"b": [5, 6]}]),
        ({"a": 1}, False, [{"a": 1}]),
        ({"a": 1}, True, [{"b": [5, 6]}]),
        ({"$or": [{"a": {"$gt": 3}}, {"b": {"$in": [6]}}]}, False, [{"b": [5, 6]}]),
    ],
)
def test_a_latch_keeps_what_its_query_says(pump: PumpRunner, query: Any, inclusive: bool, kept: list[Any]) -> None:
    pipeline = P(pump.app)
    analyzer = LatchAnalyzer(pump.app, pipeline, query, inclusive=inclusive)
    analyze(pump, pipeline, analyzer, [{"a": 1}, {"b": [5, 6]}])
    assert list(analyzer.Latch) == kept


@pytest.mark.parametrize(("size", "maxlen", "kept"), [("2", 2, [8, 9]), (0, None, list(range(10)))])
def test_a_latch_keeps_the_latest(pump: PumpRunner, size: Any, maxlen: int | None, kept: list[int]) -> None:
    pipeline = P(pump.app)
    analyzer = LatchAnalyzer(pump.app, pipeline, config={"latch_max_size": size})
    analyze(pump, pipeline, analyzer, range(10))
    assert list(analyzer.Latch) == kept
    assert analyzer.Latch.maxlen == maxlen


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"$foo": 2}, "'$foo' is no operator of a query"),
        ({"a": 1, "b": {"$foo": 2}}, "'$foo' is no operator of a query"),
        ({"$or": [{"a": 1}, {"b": {"$match": 2}}]}, "'$match' is no operator of a query"),
        ({"a": {"$in": 5}}, "'$in' needs a list, but has 5"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_at_once(pump: PumpRunner, query: Any, problem: str) -> None:
    with pytest.raises(mongoquery.QueryError) as raised:
        LatchAnalyzer(pump.app, P(pump.app, "P"), query)
    assert isinstance(raised.value, bspump.ConfigurationError)
    assert str(raised.value) == f"[pipeline:P:LatchAnalyzer] query: {problem}"


def test_the_drift_is_measured_in_milliseconds(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = TimeDriftAnalyzer(pump.app, pipeline, config={"timestamp_attr": "t"})
    assert analyzer.AnalyzePeriod == 300
    now = time.time()
    moment = datetime.datetime.fromtimestamp(now - 100, datetime.UTC)
    times = [now * 1000 - 30_000, now * 1000 + 10_000, moment, moment.replace(tzinfo=None)]
    analyze(pump, pipeline, analyzer, [*({"t": t} for t in times), {"other": 1}])
    assert [round(drift / 10_000) for drift in analyzer.History] == [3, -1, 10, 10]
    assert analyzer.Gauge.Storage["name"] == "bspump.timedrift"
    values = analyzer.Gauge.Storage["fieldset"][0]["values"]
    assert {name: round(value / 10_000, 1) for name, value in values.items()} == pytest.approx(
        {"avg": 5.5, "median": 6.5, "min": -1.0, "max": 10.0, "stddev": 4.7}, abs=0.1
    )


def test_the_history_of_the_drift_is_sparse_and_bounded(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = TimeDriftAnalyzer(pump.app, pipeline, config={"sparse_count": "10", "history_size": "3"})
    now = time.time() * 1000
    analyze(pump, pipeline, analyzer, [{"@timestamp": now - number * 100_000} for number in range(100)])
    assert [round(drift / 100_000) for drift in analyzer.History] == [70, 80, 90]


def test_a_drift_of_nothing_leaves_the_metric_alone(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = TimeDriftAnalyzer(pump.app, pipeline)
    analyze(pump, pipeline, analyzer, [])
    assert analyzer.Gauge.Storage["fieldset"][0]["values"]["avg"] == 0.0


def test_a_time_that_is_none_fails_its_event_alone(pump: PumpRunner) -> None:
    pipeline = P(pump.app, "P", config={"on_error": "skip"})
    analyzer = TimeDriftAnalyzer(pump.app, pipeline)
    sink = MemorySink(pump.app, pipeline)
    good = {"@timestamp": time.time() * 1000}
    pipeline.build(MemorySource(pump.app, pipeline, [{"@timestamp": "today"}, good]), analyzer, sink)
    pump.run(lambda: sink.wait_for(1), pipeline)
    assert sink.events == [good]
    with pytest.raises(
        bspump.ProcessingError, match=r"TimeDriftAnalyzer\('P.TimeDriftAnalyzer'\) got 'today' as '@time"
    ):
        analyzer.process({}, {"@timestamp": "today"})
    with pytest.raises(bspump.ProcessingError, match="got nan as '@timestamp', but expects milliseconds"):
        analyzer.process({}, {"@timestamp": math.nan})
    with pytest.raises(
        bspump.ProcessingError, match=r"^TimeDriftAnalyzer\('P.TimeDriftAnalyzer'\) got str, but expects a d"
    ):
        analyzer.process({}, "@timestamp")


class Alarms(ThresholdAnalyzer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alarms: list[tuple[Any, list[float]]] = []

    def alarm(self, name: Any, values: list[float]) -> None:
        self.alarms.append((name, values))


def counted(**numbers: list[int]) -> list[dict[str, Any]]:
    """Return events of hosts: so many in each interval, the first of which is one before the window warms up."""
    events = [{"host": host, "@timestamp": 970.0} for host in numbers]
    for interval in range(3):
        for host, counts in numbers.items():
            events += [{"host": host, "@timestamp": 980.0 + 10 * interval}] * counts[interval]
    return [*events, {"nobody": 1}]


def thresholds(pump: PumpRunner, pipeline: bspump.Pipeline, **options: Any) -> Alarms:
    return Alarms(
        pump.app,
        pipeline,
        columns=3,
        resolution=10,
        start_time=970.0,
        config={"event_attribute": "host", **options},
    )


@pytest.mark.parametrize(
    ("options", "alarms"),
    [
        ({"upper_bound": "4"}, [("busy", [5.0, 9.0])]),
        ({"upper_bound": 4, "anomaly_occurrence": 2}, [("busy", [5.0, 9.0])]),
        ({"upper_bound": 4, "anomaly_occurrence": 3}, []),
        ({"upper_bound": 4, "symptom_occurrence": "3"}, []),
        # The newest interval of `quiet` is not complete.
        ({"lower_bound": 1}, [("quiet", [0.0])]),
        ({"lower_bound": 1, "upper_bound": 8}, [("busy", [9.0]), ("quiet", [0.0])]),
    ],
)
def test_a_threshold_raises_an_alarm(pump: PumpRunner, options: dict[str, Any], alarms: list[Any]) -> None:
    pipeline = P(pump.app)
    analyzer = thresholds(pump, pipeline, **options)
    analyze(pump, pipeline, analyzer, counted(busy=[5, 1, 9], quiet=[1, 0, 0]))
    assert analyzer.alarms == alarms


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (
            {"host": "a", "@timestamp": "2024-01-01T00:00:00Z"},
            "got '2024-01-01T00:00:00Z' as '@timestamp', but expects s",
        ),
        ({"host": "a", "@timestamp": math.nan}, "got nan as '@timestamp', but expects seconds since the epoch"),
        ({"host": "a", "@timestamp": 985.0, "bytes": math.nan}, "got nan as 'bytes', but expects a number"),
        ({"host": "a", "@timestamp": 985.0, "bytes": "7"}, "got '7' as 'bytes', but expects a number"),
        ({"host": "a", "@timestamp": 985.0}, "got None as 'bytes', but expects a number"),
        ({"host": ["a"], "@timestamp": 985.0, "bytes": 1}, r"got \['a'\] as 'host', but expects a name"),
        ({"host": None, "@timestamp": 985.0, "bytes": 1}, "got None as 'host', but expects a name"),
        ({"host": math.nan, "@timestamp": 985.0, "bytes": 1}, "got nan as 'host', but expects a name"),
        ("host", "got str, but expects a dictionary"),
    ],
)
def test_what_has_no_number_is_refused_in_one_sentence_and_changes_nothing(
    pump: PumpRunner, event: Any, complaint: str
) -> None:
    analyzer = thresholds(pump, P(pump.app, "P"), upper_bound=1, value_attribute="bytes")
    start = analyzer.TimeWindow.TimeConfig.get_start()
    with pytest.raises(bspump.ProcessingError, match=rf"^Alarms\('P.Alarms'\) {complaint}"):
        analyzer.process({}, event)
    assert analyzer.TimeWindow.TimeConfig.get_start() == start
    assert not analyzer.TimeWindow.Index.N2IMap


def test_rows_that_warm_up_raise_no_alarm(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = thresholds(pump, pipeline, lower_bound=1)
    analyze(pump, pipeline, analyzer, counted(busy=[1, 1, 1])[1:])
    assert analyzer.alarms == []


def test_a_threshold_may_add_up_values(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = thresholds(pump, pipeline, upper_bound=100, value_attribute="bytes")
    events = [{"host": "a", "@timestamp": 970.0 + 10 * number, "bytes": 60.0} for number in range(4)]
    analyze(pump, pipeline, analyzer, [*events, events[2]])
    assert analyzer.alarms == [("a", [120.0])]


def test_names_that_no_longer_occur_are_forgotten_without_a_lower_bound(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = thresholds(pump, pipeline, upper_bound=100)
    analyze(pump, pipeline, analyzer, [{"host": str(number), "@timestamp": 900.0 + number} for number in range(200)])
    analyzer.TimeWindow.flush()
    # The window begins at 1080; 178 and 179 came when it had moved on early, and are still warming up.
    assert set(analyzer.TimeWindow.Index.N2IMap) == {str(number) for number in range(178, 200)}


def test_an_event_from_the_future_does_not_move_the_window_beyond_the_clock(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = thresholds(pump, pipeline, upper_bound=1)
    analyze(pump, pipeline, analyzer, [{"host": "a", "@timestamp": 1e12}, {"host": "a"}])
    assert analyzer.TimeWindow.TimeConfig.get_start() < time.time() + 20
    assert analyzer.TimeWindow.Array.sum() == 1


def test_without_an_override_an_alarm_is_logged(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = P(pump.app, "P")
    options = {"event_attribute": "host", "upper_bound": 4}
    analyzer = ThresholdAnalyzer(pump.app, pipeline, columns=3, resolution=10, start_time=970.0, config=options)
    with caplog.at_level(logging.WARNING, "bspump.analyzer"):
        analyze(pump, pipeline, analyzer, counted(busy=[5, 1, 9]))
    assert "P.ThresholdAnalyzer: 'busy' is out of bounds: 5, 9" in caplog.messages


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"event_attribute": "", "upper_bound": 1},
            "event_attribute: '' names no key of an event, but rows need names",
        ),
        ({"lower_bound": 2, "upper_bound": 1}, "lower_bound: 2 is above upper_bound, which is 1"),
        ({}, "upper_bound: 'inf' bounds nothing, nor does lower_bound; set one of them"),
    ],
)
def test_thresholds_that_cannot_work_are_refused(pump: PumpRunner, options: dict[str, Any], problem: str) -> None:
    thresholds(pump, P(pump.app, "P"), **options)
    assert pump.service.configuration_problems == [f"[pipeline:P:Alarms] {problem}"]


def test_a_threshold_needs_plain_numbers(pump: PumpRunner) -> None:
    options = {"event_attribute": "host", "upper_bound": 1}
    ThresholdAnalyzer(pump.app, P(pump.app, "P"), dtype=[("a", "i8")], config=options)
    assert pump.service.configuration_problems == [
        "[pipeline:P:ThresholdAnalyzer] dtype: a threshold needs plain numbers, not fields"
    ]


def test_what_was_committed_is_in_the_files_of_the_matrix(pump: PumpRunner, tmp_path: Path) -> None:
    pipeline = P(pump.app)
    analyzer = Counts(
        pump.app, pipeline, columns=3, resolution=10, start_time=1000.0, persistent=True, config={"path": str(tmp_path)}
    )
    source = MemorySource(pump.app, pipeline, EVENTS)
    pipeline.build(source, analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: source.commits)

    pump.run(scenario, pipeline)
    assert source.commits[-1] == len(EVENTS)
    analyzer.TimeWindow.close()
    again = bspump.matrix.PersistentTimeWindowMatrix(pump.app, columns=3, resolution=10, config={"path": str(tmp_path)})
    assert again.Array.tolist() == [[10, 10, 5], [1, 0, 0]]


class Summary(bspump.matrix.TimeWindowMatrix):
    async def analyze(self) -> Any:
        return {"total": float(self.Array.sum())}


def test_an_analyzing_source_sends_what_a_matrix_says(pump: PumpRunner) -> None:
    matrix = Summary(pump.app, id="S")
    matrix.add_row("a")
    matrix.Array[0, 3] = 5
    pump.service.add_matrix(matrix)
    pipeline = P(pump.app)
    sink = MemorySink(pump.app, pipeline)
    source = bspump.analyzer.AnalyzingSource(pump.app, pipeline, "S")
    pipeline.build(source.on(bspump.trigger.PubSubTrigger(pump.app, "Report!")), sink)

    async def scenario() -> None:
        pump.app.PubSub.publish("Report!")
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [{"total": 5.0}]
