"""The metrics of a pipeline say what happened."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Sieve(bspump.Processor):
    """Drops multiples of three, fails at multiples of five, is content with the rest."""

    def process(self, context: bspump.Context, event: int) -> int | None:
        if event % 5 == 0:
            raise ValueError(event)
        return event if event % 3 else None


class Soft(bspump.Pipeline):
    def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
        return bool(event % 10 == 0)


def build(pump: PumpRunner, events: Any, one_by_one: bool = False, kind: type[bspump.Pipeline] = Soft) -> Soft:
    pipeline = kind(pump.app, "P", config={"on_error": "skip"})
    pipeline.build(
        MemorySource(pump.app, pipeline, events, one_by_one=one_by_one),
        Sieve(pump.app, pipeline),
        MemorySink(pump.app, pipeline),
    )
    assert isinstance(pipeline, Soft)
    return pipeline


async def flush(pipeline: bspump.Pipeline) -> None:
    await pipeline.MetricsService.flush()


def stored(pipeline: bspump.Pipeline, name: str, **tags: str) -> Any:
    """Return the values that asab hands to its targets."""
    for metric in pipeline.MetricsService.Storage.Metrics:
        if metric["name"] == name:
            for field in metric["fieldset"]:
                if {"pipeline": pipeline.Id, **tags}.items() <= field["tags"].items():
                    return field["values"]
    raise AssertionError(f"no metric {name} {tags}")


@pytest.mark.parametrize("one_by_one", [False, True])
def test_counters_have_the_right_numbers_after_a_flush(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = build(pump, range(1, 301), one_by_one)
    source = pipeline.Sources[0]
    assert isinstance(source, MemorySource)
    expected = {"event.in": 300, "event.out": 160, "event.drop": 80, "warning": 30, "error": 30}

    async def scenario() -> None:
        await source.finished.wait()
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline") == expected
        assert stored(pipeline, "bspump.pipeline.gauge") == {"warning.ratio": 0.1, "error.ratio": 0.1}
        assert stored(pipeline, "bspump.pipeline.dutycycle").keys() >= {"ready"}
        eps = stored(pipeline, "bspump.pipeline.eps")
        assert set(eps) == {"eps.in", "eps.out", "eps.drop", "warning", "error"}
        assert eps["eps.in"] > eps["eps.out"] > eps["eps.drop"] > 0
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline") == dict.fromkeys(expected, 0)
        assert stored(pipeline, "bspump.pipeline.gauge") == {"warning.ratio": 0.0, "error.ratio": 0.0}

    pump.run(scenario, pipeline)


def test_looking_at_a_pipeline_does_not_change_its_ratios(pump: PumpRunner) -> None:
    pipeline = build(pump, range(1, 101))
    source = pipeline.Sources[0]
    assert isinstance(source, MemorySource)

    async def scenario() -> None:
        await source.finished.wait()
        pipeline.rest_get()
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline")["event.in"] == 100
        assert stored(pipeline, "bspump.pipeline.gauge") == {"warning.ratio": 0.1, "error.ratio": 0.1}

    pump.run(scenario, pipeline)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_profiler_samples_every_processor(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = build(pump, range(1, 1001), one_by_one)
    source = pipeline.Sources[0]
    assert isinstance(source, MemorySource)

    async def scenario() -> None:
        await source.finished.wait()
        await flush(pipeline)
        sieve = stored(pipeline, "bspump.pipeline.profiler", processor="Sieve")
        sink = stored(pipeline, "bspump.pipeline.profiler", processor="MemorySink")
        assert 0 < sink["run"] < sieve["run"] <= 1000
        assert sieve["duration"] > 0
        assert sink["duration"] > 0
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline.profiler", processor="Sieve") == {"duration": 0.0, "run": 0}

    pump.run(scenario, pipeline)


def test_the_profiler_samples_what_follows_a_generator(pump: PumpRunner) -> None:
    class Fan(bspump.Generator):
        async def generate(self, context: bspump.Context, event: int, depth: int) -> None:
            for _ in range(100):
                await self.Pipeline.inject(context, event, depth)

    pipeline = bspump.Pipeline(pump.app, "P")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline, range(10)), Fan(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(1000)
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline.profiler", processor="MemorySink")["run"] > 0
        assert stored(pipeline, "bspump.pipeline") == {
            "event.in": 10,
            "event.out": 1000,
            "event.drop": 0,
            "warning": 0,
            "error": 0,
        }

    pump.run(scenario, pipeline)


def test_the_profiler_goes_on_counting_if_it_is_not_reset(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", reset_profiler="no")
    pipeline = build(pump, range(1, 101))
    source = pipeline.Sources[0]
    assert isinstance(source, MemorySource)

    async def scenario() -> None:
        await source.finished.wait()
        await flush(pipeline)
        first = stored(pipeline, "bspump.pipeline.profiler", processor="Sieve")["run"]
        await flush(pipeline)
        assert stored(pipeline, "bspump.pipeline.profiler", processor="Sieve")["run"] == first > 0

    assert pipeline.ResetProfiler is False
    pump.run(scenario, pipeline)


def test_what_a_pipeline_logs_is_counted_and_kept(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = build(pump, [])
    pipeline.L.warning("a warning")
    pipeline.L.error("an error")
    pipeline.L.info("news")
    assert (pipeline._counts.warnings, pipeline._counts.errors) == (1, 1)
    assert [record["message"] for record in pipeline.rest_get()["Log"]][:2] == ["a warning", "an error"]
    assert "a warning" in caplog.text
    for number in range(60):
        pipeline.L.warning("number %d", number)
    assert len(pipeline.L.Deque) == 50
    assert pipeline.rest_get()["Log"][-1]["message"] == "number 59"


def test_a_hard_error_is_counted_once(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(
        MemorySource(pump.app, pipeline, [1, 2, 5, 7]), Sieve(pump.app, pipeline), MemorySink(pump.app, pipeline)
    )

    async def scenario() -> None:
        await until(pipeline.is_error)
        await flush(pipeline)
        values = stored(pipeline, "bspump.pipeline")
        assert values == {"event.in": 3, "event.out": 2, "event.drop": 0, "warning": 0, "error": 1}

    pump.run(scenario, pipeline)


def test_a_deleted_pipeline_takes_its_metrics_along_and_its_id_may_be_used_again(pump: PumpRunner) -> None:
    first = build(pump, [])
    pump.service.add_pipeline(first)
    pump.service.del_pipeline("P")
    for name in ("bspump.pipeline", "bspump.pipeline.eps", "bspump.pipeline.gauge", "bspump.pipeline.profiler"):
        with pytest.raises(AssertionError, match="no metric"):
            stored(first, name)
    again = build(pump, range(1, 11))
    source = again.Sources[0]
    assert isinstance(source, MemorySource)

    async def scenario() -> None:
        await source.finished.wait()
        await flush(again)
        assert stored(again, "bspump.pipeline")["event.in"] == 10

    pump.run(scenario, again)
