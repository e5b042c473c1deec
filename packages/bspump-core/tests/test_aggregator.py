"""Aggregators put several events together."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
from bspump.common import (
    AggregationStrategy,
    Aggregator,
    InternalSource,
    ListAggregationStrategy,
    ListEventAggregationStrategy,
    StringAggregationStrategy,
)
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


def build(
    pump: PumpRunner, strategy: AggregationStrategy | None = None, id: str = "P", **config: Any
) -> tuple[bspump.Pipeline, InternalSource, Aggregator, MemorySink]:
    pipeline = bspump.Pipeline(pump.app, id)
    source = InternalSource(pump.app, pipeline, config={"queue_max_size": 0})
    aggregator = Aggregator(pump.app, pipeline, aggregation_strategy=strategy, config=config)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, aggregator, sink)
    return pipeline, source, aggregator, sink


def test_completion_size_makes_the_aggregates_and_the_stop_sends_the_rest(pump: PumpRunner) -> None:
    pipeline, source, _, sink = build(pump, ListEventAggregationStrategy(), completion_size="4")

    async def scenario() -> None:
        for number in range(10):
            source.put(None, number)
        await sink.wait_for(2)
        assert sink.events == [[0, 1, 2, 3], [4, 5, 6, 7]]

    pump.run(scenario, pipeline)
    assert sink.events == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert sink.contexts == [{}, {}, {}]


def test_ten_events_and_a_list_of_pairs_are_the_default(pump: PumpRunner) -> None:
    pipeline, source, _, sink = build(pump)

    async def scenario() -> None:
        for number in range(10):
            source.put({"n": number}, number)
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [[({"ancestor": {"n": number}}, number) for number in range(10)]]


def test_completion_timeout_sends_what_is_there_when_no_more_comes(pump: PumpRunner) -> None:
    pipeline, source, aggregator, sink = build(pump, ListEventAggregationStrategy(), completion_timeout="20ms")

    async def scenario() -> None:
        for number in range(3):
            source.put(None, number)
        await sink.wait_for(1)
        assert aggregator.CurrentSize == 0
        for number in range(10):
            source.put(None, number)
        await sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert sink.events == [[0, 1, 2], list(range(10))]


def test_completion_interval_sends_what_is_there_though_more_comes(pump: PumpRunner) -> None:
    pipeline, source, _, sink = build(
        pump, ListEventAggregationStrategy(), completion_size=0, completion_interval="5ms"
    )

    async def scenario() -> None:
        number = 0

        def put_until_something_has_gone_out() -> bool:
            nonlocal number
            source.put(None, number)
            number += 1
            return len(sink.events) >= 2

        await until(put_until_something_has_gone_out)

    pump.run(scenario, pipeline)
    events = [event for aggregate in sink.events for event in aggregate]
    assert events == list(range(len(events)))


def test_the_timer_starts_anew_with_each_aggregate(pump: PumpRunner) -> None:
    """After an aggregate that went out by its size, the timer is that of the next one."""
    pipeline, source, aggregator, sink = build(
        pump, ListEventAggregationStrategy(), completion_size=2, completion_timeout="1h"
    )

    async def scenario() -> None:
        for number in range(4):
            source.put(None, number)
        await sink.wait_for(2)
        assert aggregator._timer is None
        source.put(None, 4)
        await until(lambda: aggregator.CurrentSize == 1)
        assert aggregator._timer is not None

    pump.run(scenario, pipeline)
    assert sink.events == [[0, 1], [2, 3], [4]]
    assert aggregator._timer is None


def test_two_aggregators_do_not_share_what_they_collect(pump: PumpRunner) -> None:
    built = [build(pump, None, id, completion_size=3) for id in "AB"]

    async def scenario() -> None:
        for _, source, _, _ in built:
            source.put(None, 1)
            source.put(None, 2)
        await until(lambda: all(aggregator.CurrentSize == 2 for _, _, aggregator, _ in built))
        for pipeline, source, _, _ in built:
            source.put(None, pipeline.Id)
        for _, _, _, sink in built:
            await sink.wait_for(1)

    pump.run(scenario, *(pipeline for pipeline, _, _, _ in built))
    assert [[event for _, event in sink.events[0]] for _, _, _, sink in built] == [[1, 2, "A"], [1, 2, "B"]]


def test_a_strategy_belongs_to_one_aggregator(pump: PumpRunner) -> None:
    shared = ListEventAggregationStrategy()
    build(pump, shared, "A", completion_size=3)
    with pytest.raises(bspump.ConfigurationError, match="needs a strategy of its own"):
        build(pump, shared, "B", completion_size=3)


def test_an_aggregate_that_fails_on_the_clock_stops_the_pipeline(pump: PumpRunner) -> None:
    class Broken(ListEventAggregationStrategy):
        def flush(self) -> Any:
            raise ValueError("cannot be put together")

    pipeline, source, _, _ = build(pump, Broken(), "A", completion_size=0, completion_interval=0.001)

    async def scenario() -> None:
        source.put(None, 1)
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)


def test_strategies() -> None:
    pairs = ListAggregationStrategy()
    events = ListEventAggregationStrategy()
    lines = StringAggregationStrategy()
    fields = StringAggregationStrategy(delimiter=";")
    for strategy in (pairs, events, lines, fields):
        assert strategy.is_empty()
        strategy.append({"n": 1}, "a")
        strategy.append({"n": 2}, 0)
        assert not strategy.is_empty()
    assert (lines.AggregatedEvent, events.AggregatedEvent) == ("a\n0", ["a", 0])
    assert pairs.flush() == [({"n": 1}, "a"), ({"n": 2}, 0)]
    assert events.flush() == ["a", 0]
    assert lines.flush() == "a\n0"
    assert fields.flush() == "a;0"
    assert all(strategy.is_empty() for strategy in (pairs, events, lines, fields))


def test_an_aggregated_event_may_be_falsy(pump: PumpRunner) -> None:
    pipeline, source, _, sink = build(pump, StringAggregationStrategy(""), completion_size=2)

    async def scenario() -> None:
        source.put(None, "")
        source.put(None, "")
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [""]


def test_an_own_strategy(pump: PumpRunner) -> None:
    class Sum(AggregationStrategy):
        AggregatedEvent = 0

        def __init__(self) -> None:
            self.count = 0

        def append(self, context: bspump.Context, event: int) -> None:
            if event < 0:
                raise ValueError("negative")
            self.AggregatedEvent += event
            self.count += 1

        def flush(self) -> int:
            result, self.AggregatedEvent, self.count = self.AggregatedEvent, 0, 0
            return result

        def is_empty(self) -> bool:
            return self.count == 0

    pump.configure("pipeline:P", on_error="skip")
    pipeline, source, _, sink = build(pump, Sum(), completion_size=3)

    async def scenario() -> None:
        for number in (1, -5, 2, 3, 10):
            source.put(None, number)
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [6, 10]
    assert pipeline._counts.errors == 1


def test_what_an_aggregator_holds_is_not_committed(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, range(25)), MemorySink(pump.app, pipeline)
    aggregator = Aggregator(pump.app, pipeline, config={"completion_size": 10})
    pipeline.build(source, aggregator, sink)

    async def scenario() -> None:
        await source.finished.wait()
        await sink.wait_for(2)
        assert aggregator.CurrentSize == 5
        assert source.commits == []

    pump.run(scenario, pipeline)
    assert source.commits == [25]


def test_an_aggregator_that_was_interrupted_fires_no_more(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P", config={"stop_timeout": 0.01})
    sink = MemorySink(pump.app, pipeline)
    aggregator = Aggregator(pump.app, pipeline, config={"completion_interval": "1h"})
    pipeline.build(InternalSource(pump.app, pipeline), aggregator, sink)

    async def scenario() -> None:
        aggregator.process({}, 1)
        pipeline.set_error(None, None, ValueError("stop"))
        await pipeline.stop()
        assert aggregator._timer is None

    pump.run(scenario, pipeline)


@pytest.mark.parametrize("size", ["-1", "ten"])
def test_a_wrong_size_is_a_configuration_problem(pump: PumpRunner, size: str) -> None:
    build(pump, completion_size=size)
    assert pump.service.configuration_problems[0].startswith("[pipeline:P:Aggregator] completion_size: ")


def test_a_strategy_that_leaves_events_out_goes_on_being_asked(pump: PumpRunner) -> None:
    class Negative(ListEventAggregationStrategy):
        def append(self, context: bspump.Context, event: int) -> None:
            if event < 0:
                super().append(context, event)

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, [*range(10), *[-1] * 20]), MemorySink(pump.app, pipeline)
    pipeline.build(source, Aggregator(pump.app, pipeline, Negative(), config={"completion_size": 10}), sink)
    pump.run(lambda: sink.wait_for(2), pipeline)
    assert sink.events == [[-1] * 10] * 2
