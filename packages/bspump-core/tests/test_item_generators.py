"""Generators that make an event of each item: in batches, in order, and with the errors of each event for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import bspump
from bspump.common import IteratorGenerator, MappingItemsGenerator
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Fragile(bspump.Processor):
    """Fails at some events."""

    bad: frozenset[Any] = frozenset()

    def process(self, context: bspump.Context, event: Any) -> Any:
        if event in self.bad:
            raise ValueError(event)
        return event


def build(
    pump: PumpRunner, events: list[Any], generator: type[bspump.Generator] = IteratorGenerator, **config: Any
) -> tuple[bspump.Pipeline, MemorySource, Fragile, MemorySink]:
    pipeline = bspump.Pipeline(pump.app, "P", config=config)
    contexts: list[bspump.Context] = [{"n": number} for number in range(len(events))]
    source = MemorySource(pump.app, pipeline, events, contexts=contexts)
    fragile, sink = Fragile(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, generator(pump.app, pipeline), fragile, sink)
    return pipeline, source, fragile, sink


def test_the_items_keep_their_order_and_get_contexts_of_their_own(pump: PumpRunner) -> None:
    pipeline, _, _, sink = build(pump, [range(300 * n, 300 * n + 300) for n in range(200)])
    pump.run(lambda: sink.wait_for(60_000), pipeline)
    assert sorted(sink.events) == list(range(60_000))
    assert all(context["n"] == event // 300 for context, event in zip(sink.contexts, sink.events, strict=True))
    assert len({id(context) for context in sink.contexts}) == 60_000
    for n in range(200):
        assert [event for event in sink.events if event // 300 == n] == list(range(300 * n, 300 * n + 300))


def test_a_checkpoint_waits_for_all_items(pump: PumpRunner) -> None:
    pipeline, source, _, sink = build(pump, [range(1000) for _ in range(100)])
    seen_at_commit: list[int] = []
    commit = source.commit

    async def note(position: int) -> None:
        seen_at_commit.append(len(sink.events) - 1000 * position)
        await commit(position)

    source.commit = note  # type: ignore[method-assign]
    pump.run(lambda: until(lambda: source.commits[-1:] == [100]), pipeline)
    assert min(seen_at_commit) >= 0


def test_a_bad_item_fails_alone(pump: PumpRunner) -> None:
    pipeline, source, fragile, sink = build(pump, [range(10), range(10, 20), 5, range(20, 30)], on_error="skip")
    fragile.bad = frozenset({3, 15})
    pump.run(lambda: until(lambda: source.commits == [4]), pipeline)
    assert sorted(sink.events) == [n for n in range(30) if n not in (3, 15)]
    assert pipeline._counts.errors == 3


def test_after_a_stop_everything_comes_again(pump: PumpRunner) -> None:
    pipeline, source, fragile, sink = build(pump, [range(10 * n, 10 * n + 10) for n in range(50)])
    fragile.bad = frozenset({333})

    async def scenario() -> None:
        await until(pipeline.is_error)
        fragile.bad = frozenset()
        pipeline.set_error(None, None, None)
        await until(lambda: source.commits[-1:] == [50])

    pump.run(scenario, pipeline)
    assert set(sink.events) == set(range(500))


def test_an_item_none_counts_as_dropped(pump: PumpRunner) -> None:
    pipeline, _, _, sink = build(pump, [[1, None, 2], [None]])
    pump.run(lambda: sink.wait_for(2), pipeline)
    assert sink.events == [1, 2]
    assert (pipeline._counts.out, pipeline._counts.dropped) == (2, 2)


def test_an_iterator_that_fails_half_way_is_an_error_of_its_event(pump: PumpRunner) -> None:
    def broken() -> Iterable[int]:
        yield 1
        raise OSError("torn")

    pipeline, _, _, sink = build(pump, [[0], broken(), [2]], on_error="skip")
    pump.run(lambda: sink.wait_for(2), pipeline)
    assert sorted(sink.events)[-1] == 2
    assert pipeline._counts.errors == 1


def test_nothing_more_is_generated_while_the_pipeline_is_throttled(pump: PumpRunner) -> None:
    class Full(MemorySink):
        def process(self, context: bspump.Context, event: Any) -> None:
            super().process(context, event)
            if len(self.events) == 100:
                self.Pipeline.throttle("full")

    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, [range(1000), range(1000)])
    sink = Full(pump.app, pipeline)
    pipeline.build(source, IteratorGenerator(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(100)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(sink.events) < 200
        pipeline.throttle("full", False)
        await sink.wait_for(2000)

    pump.run(scenario, pipeline)


def test_the_loop_gets_its_turns(pump: PumpRunner) -> None:
    pipeline, _, _, sink = build(pump, [range(20_000)])
    turns = 0

    async def scenario() -> None:
        nonlocal turns
        while len(sink.events) < 20_000:
            await asyncio.sleep(0)
            turns += 1

    pump.run(scenario, pipeline)
    assert turns > 100


def test_a_derived_class_may_wait_for_all_events_at_once(pump: PumpRunner) -> None:
    class Waiting(MappingItemsGenerator):
        under_way = 0
        most = 0

        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            Waiting.under_way += 1
            Waiting.most = max(Waiting.most, Waiting.under_way)
            await asyncio.sleep(0.001)
            Waiting.under_way -= 1
            await super().generate(context, event, depth)

    pipeline, _, _, sink = build(pump, [{"a": n} for n in range(50)], Waiting)
    pump.run(lambda: sink.wait_for(50), pipeline)
    assert sorted(sink.events) == [("a", n) for n in range(50)]
    assert Waiting.most > 10


def test_the_processors_behind_are_profiled(pump: PumpRunner) -> None:
    pipeline, _, _, sink = build(pump, [range(1000)])
    pump.run(lambda: sink.wait_for(1000), pipeline)
    assert pipeline._profile.runs["Fragile"] > 0
