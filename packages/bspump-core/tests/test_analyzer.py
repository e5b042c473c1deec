"""Analyzers, the sources that emit what they found, and anomalies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

import bspump
import bspump.trigger
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Sums(bspump.Analyzer):
    """Sums up the even numbers, and takes note of the sum at each analysis."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sum = 0
        self.found: list[int] = []

    def predicate(self, context: bspump.Context, event: int) -> bool:
        return event % 2 == 0

    def evaluate(self, context: bspump.Context, event: int) -> None:
        self.sum += event

    def analyze(self) -> Awaitable[None] | None:
        self.found.append(self.sum)
        return None


class P(bspump.Pipeline):
    failures = 0

    def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
        self.failures += 1
        return False


@pytest.mark.parametrize("one_by_one", [True, False])
def test_events_pass_unchanged_and_those_of_the_predicate_are_evaluated(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = P(pump.app)
    source = MemorySource(pump.app, pipeline, range(10), one_by_one=one_by_one)
    analyzer = Sums(pump.app, pipeline)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, analyzer, sink)
    pump.run(lambda: sink.wait_for(10), pipeline)
    assert sink.events == list(range(10))
    assert analyzer.sum == 20
    assert analyzer.found == []
    assert analyzer.Timer is None


def test_the_clock_runs_the_analysis_for_as_long_as_the_pipeline_runs(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Sums(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": "0.01"})
    pipeline.build(MemorySource(pump.app, pipeline, [1, 2, 4]), analyzer, MemorySink(pump.app, pipeline))
    assert analyzer.AnalyzePeriod == 0.01
    assert analyzer.Timer is not None

    async def scenario() -> None:
        await until(lambda: analyzer.found[-3:] == [6, 6, 6])
        assert analyzer.Timer is not None
        assert analyzer.Timer.is_started()

    pump.run(scenario, pipeline)
    assert not analyzer.Timer.is_started()
    profile = pipeline.ProfilerCounter["analyzer_Sums"].Storage["fieldset"][0]["actuals"]
    assert profile["run"] == len(analyzer.found)
    assert profile["duration"] > 0


def test_a_pipeline_that_is_started_again_is_analysed_again(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Sums(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": 0.01})
    pipeline.build(MemorySource(pump.app, pipeline, []), analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: analyzer.found)
        await pipeline.stop()
        analyzer.found.clear()
        pipeline.start()
        await until(lambda: analyzer.found)

    pump.run(scenario, pipeline)


class Failing(Sums):
    def analyze(self) -> None:
        super().analyze()
        raise ValueError("nothing makes sense")


@pytest.mark.parametrize("ends", [True, False])
def test_an_analysis_that_is_under_way_ends_before_the_pipeline_does(pump: PumpRunner, ends: bool) -> None:
    class Slow(Sums):
        state = "new"

        async def analyze(self) -> None:
            self.state = "begun"
            try:
                await (asyncio.sleep(0.02) if ends else asyncio.Event().wait())
                self.state = "ended"
            except asyncio.CancelledError:
                self.state = "cancelled"
                raise

    pipeline = P(pump.app, config={"stop_timeout": 10.0 if ends else 0.01})
    analyzer = Slow(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": 0.01})
    pipeline.build(MemorySource(pump.app, pipeline, [2]), analyzer, MemorySink(pump.app, pipeline))
    pump.run(lambda: until(lambda: analyzer.state == "begun"), pipeline)
    assert analyzer.state == ("ended" if ends else "cancelled")


def test_an_analyzer_that_is_removed_analyses_no_more(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Sums(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": 0.01})
    pipeline.build(MemorySource(pump.app, pipeline, [2]), analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        timer = analyzer.Timer
        assert timer is not None
        await until(lambda: bool(analyzer.found))
        pipeline.remove_processor("Sums")
        await until(lambda: not timer.is_started())
        assert pipeline.is_ready()

    pump.run(scenario, pipeline)


def test_an_analysis_that_fails_stops_the_pipeline_and_is_not_repeated_until_that_is_cleared(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Failing(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": 0.005})
    observer = Sums(pump.app, pipeline, analyze_on_clock=True, id="Observer", config={"analyze_period": 0.005})
    pipeline.build(MemorySource(pump.app, pipeline, []), observer, analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(pipeline.is_error)
        seen = len(observer.found)
        for _ in range(3):
            assert analyzer.Timer is not None
            assert analyzer.Timer.Task is not None
            await asyncio.wait({analyzer.Timer.Task})
        assert len(analyzer.found) == pipeline.failures == 1
        assert len(observer.found) == seen
        pipeline.set_error(None, None, None)
        await until(lambda: len(analyzer.found) == 2)

    pump.run(scenario, pipeline)


class Slow(Sums):
    """Takes longer for an analysis than its period."""

    at_once = most_at_once = 0

    async def analyze(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.02)
        self.at_once -= 1
        self.found.append(self.sum)


def test_an_analysis_may_be_a_coroutine_and_never_runs_twice_at_once(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Slow(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": 0.002})
    pipeline.build(MemorySource(pump.app, pipeline, []), analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: len(analyzer.found) == 3)

    pump.run(scenario, pipeline)
    assert analyzer.most_at_once == 1


def test_a_period_of_no_time_is_refused(pump: PumpRunner) -> None:
    pipeline = P(pump.app, "P")
    Sums(pump.app, pipeline, analyze_on_clock=True, config={"analyze_period": "0s"})
    assert pump.service.configuration_problems == [
        "[pipeline:P:Sums] analyze_period: '0s' is no time that can pass between two analyses"
    ]


class Tally:
    """The least that a matrix is: an id, and something to say."""

    Id = "Tally"

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    async def analyze(self) -> Any:
        return self.outcomes.pop(0)


def test_an_analyzing_source_emits_what_the_analysis_returns(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    source = bspump.AnalyzingSource(pump.app, pipeline, "Tally")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source.on(bspump.trigger.OpportunisticTrigger(pump.app, chilldown_period=0.001)), sink)
    tally = pump.service.add_matrix(Tally({"total": 1}, None, {"total": 2}, *[None] * 10_000))
    pump.run(lambda: sink.wait_for(2), pipeline)
    assert source.Matrix is tally
    assert sink.events == [{"total": 1}, {"total": 2}]


@pytest.mark.parametrize(
    ("matrix_id", "problem"),
    [
        ("Tilly", "Cannot find matrix 'Tilly'; registered: 'Tally'"),
        (3, "'3' is of the type int, which has no analyze()"),
    ],
)
def test_an_analyzing_source_without_a_matrix_is_a_configuration_problem(
    pump: PumpRunner, matrix_id: Any, problem: str
) -> None:
    pump.service.add_matrix(Tally())
    pipeline = P(pump.app, "P")
    source = bspump.AnalyzingSource(pump.app, pipeline, matrix_id)
    with pytest.raises(bspump.ConfigurationError) as raised:
        source.prepare()
    assert str(raised.value) == f"[pipeline:P:AnalyzingSource] matrix_id: {problem}"


class Outage(bspump.Anomaly):
    TYPE = "outage"

    async def on_tick(self, current_time: float) -> None:
        self.close(current_time)


def test_an_anomaly_ends_once() -> None:
    outage = Outage(ts_start=100.0, host="a")
    assert not outage.is_closed()
    asyncio.run(outage.on_tick(130.0))
    outage.close(200.0)
    assert outage.is_closed()
    assert outage == {"ts_start": 100.0, "host": "a", "ts_end": 130.0, "D": 30.0, "status": "closed"}


def test_an_anomaly_has_to_say_how_it_ends() -> None:
    with pytest.raises(NotImplementedError, match=r"Anomaly does not override on_tick\(\)"):
        asyncio.run(bspump.Anomaly().on_tick(1.0))


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["Matrix", "NamedMatrix", "PersistentMatrix", "PersistentNamedMatrix", "Model"])
def test_a_name_of_a_missing_distribution_says_what_to_install(name: str) -> None:
    hidden = "import sys; sys.modules['bspump.matrix'] = sys.modules['bspump.model'] = None\n"
    told = run(f"{hidden}try:\n from bspump import {name}\nexcept Exception as error:\n print(repr(error))")
    assert told == (
        f"PluginError('bspump.{name} needs a package that is not installed: pip install bspump-analyzer')\n"
    )


def test_the_core_does_without_numpy() -> None:
    assert run("import sys\nfrom bspump import *\nprint('numpy' in sys.modules)") == "False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bspump' has no attribute 'Matrx'"):
        getattr(bspump, "Matrx")  # noqa: B009 - mypy knows that it is not there
