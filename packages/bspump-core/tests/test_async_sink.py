"""A sink whose author writes one coroutine: how many run at once, what a failure does, what a checkpoint waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bspump
from bspump.abc.async_sink import AsyncSink
from bspump.testing import MemorySource, PumpRunner, until


class Recording(AsyncSink):
    """Delivers into a list; each delivery may be held up or fail."""

    def __init__(self, app: Any, pipeline: bspump.Pipeline, config: dict[str, Any] | None = None) -> None:
        super().__init__(app, pipeline, config={"retry_backoff": 0.0001, **(config or {})})
        self.delivered: list[Any] = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: dict[Any, list[Exception]] = {}

    async def deliver(self, context: bspump.Context, event: Any) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.failures.get(event):
                raise self.failures[event].pop(0)
            self.delivered.append(event)
        finally:
            self.under_way -= 1


def build(
    pump: PumpRunner, events: Any, on_error: str = "stop", **config: Any
) -> tuple[bspump.Pipeline, MemorySource, Recording]:
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": on_error})
    source, sink = MemorySource(pump.app, pipeline, events), Recording(pump.app, pipeline, config)
    pipeline.build(source, sink)
    return pipeline, source, sink


def test_so_many_are_delivered_at_once_and_no_more(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, range(100), concurrency=7)
    pump.run(lambda: until(lambda: len(sink.delivered) == 100), pipeline)
    assert sorted(sink.delivered) == list(range(100))
    assert sink.most_under_way == 7


def test_in_order_means_one_after_the_other_also_after_a_failure(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, range(50), concurrency=7, ordered="yes")
    sink.failures[20] = [ConnectionError("away")] * 3
    pump.run(lambda: until(lambda: len(sink.delivered) == 50), pipeline)
    assert sink.delivered == list(range(50))
    assert sink.most_under_way == 1


def test_a_source_commits_what_is_delivered_and_not_before(pump: PumpRunner) -> None:
    pipeline, source, sink = build(pump, range(5))
    sink.gate.clear()

    async def scenario() -> None:
        await until(lambda: sink.under_way == 5)
        assert source.commits == []
        sink.gate.set()
        await until(lambda: source.commits == [5])

    pump.run(scenario, pipeline)


def test_a_stop_waits_for_what_is_under_way(pump: PumpRunner) -> None:
    pipeline, source, sink = build(pump, range(30), concurrency=2)
    pump.run(source.finished.wait, pipeline)
    assert sorted(sink.delivered) == list(range(30))
    assert source.commits[-1] == 30


def test_the_pipeline_waits_when_the_sink_has_enough(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, range(3000), buffer_size=1000)
    sink.gate.clear()

    async def scenario() -> None:
        await until(lambda: sink in pipeline.get_throttles())
        assert sink.rest_get()["Buffered"] < 2000
        sink.gate.set()
        await until(lambda: len(sink.delivered) == 3000)
        assert not pipeline.get_throttles()

    pump.run(scenario, pipeline)


def test_an_outage_is_waited_for_and_said_a_few_times(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline, _, sink = build(pump, range(100), concurrency=100)
    for event in range(100):
        sink.failures[event] = [OSError("no route")] * 3
    pump.run(lambda: until(lambda: len(sink.delivered) == 100), pipeline)
    assert sorted(sink.delivered) == list(range(100))
    said = [record.getMessage() for record in caplog.records if "tries again" in record.getMessage()]
    assert 1 <= len(said) <= 12
    assert said[0] == "Recording('P.Recording') could not deliver 1 time(s) in a row and tries again: OSError: no route"


@pytest.mark.parametrize("error", [bspump.RejectedError("not here"), ValueError("broken")])
def test_what_cannot_be_delivered_goes_the_way_of_a_failed_event(pump: PumpRunner, error: Exception) -> None:
    pipeline, source, sink = build(pump, range(10), on_error="skip")
    sink.failures[4] = [error]
    pump.run(lambda: until(lambda: source.commits == [10]), pipeline)
    assert sorted(sink.delivered) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert pipeline._counts.errors == 1


def test_a_stop_on_error_keeps_the_event_until_it_is_cleared(pump: PumpRunner) -> None:
    pipeline, source, sink = build(pump, range(10))
    sink.failures[4] = [ValueError("broken")]

    async def scenario() -> None:
        await until(pipeline.is_error)
        await until(lambda: len(sink.delivered) == 9)
        assert source.commits == []
        pipeline.set_error(None, None, None)
        await until(lambda: source.commits == [10])

    pump.run(scenario, pipeline)
    assert sorted(sink.delivered) == list(range(10))


def test_wrong_options_are_refused_all_together(pump: PumpRunner) -> None:
    build(pump, [], concurrency=0, ordered="perhaps", batch_size=5, buffer_size="many")
    assert pump.service.configuration_problems == [
        "[pipeline:P:Recording] buffer_size: 'many' is not a whole number",
        "[pipeline:P:Recording] concurrency: 0 is below 1",
        "[pipeline:P:Recording] ordered: 'perhaps' is not yes or no (true/false, on/off, 1/0)",
        "[pipeline:P:Recording] batch_size: 5 cannot be set for a sink that delivers events one by one",
    ]


def test_a_plain_function_is_refused(pump: PumpRunner) -> None:
    class Plain(AsyncSink):
        def deliver(self, context: bspump.Context, event: Any) -> None:  # type: ignore[override]
            return

    with pytest.raises(TypeError, match=r"deliver\(\) has to be a coroutine function"):
        Plain(pump.app, bspump.Pipeline(pump.app, "P"))
