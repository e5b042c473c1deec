"""Events and their contexts go through the processors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Do(bspump.Processor):
    """Applies a function to each event."""

    def __init__(
        self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, function: Callable[[Any], Any], id: str = "Do"
    ) -> None:
        super().__init__(app, pipeline, id=id)
        self.function = function

    def process(self, context: bspump.Context, event: Any) -> Any:
        return self.function(event)


class DoBatch(Do):
    """The same, batch by batch. A failing event fails its whole batch."""

    def process_batch(
        self, contexts: list[bspump.Context], events: list[Any]
    ) -> tuple[list[bspump.Context], list[Any]]:
        pairs = [
            (context, result)
            for context, event in zip(contexts, events, strict=True)
            if (result := self.function(event)) is not None
        ]
        return [context for context, _ in pairs], [result for _, result in pairs]


class Mark(bspump.Processor):
    """Writes into the context."""

    def process(self, context: bspump.Context, event: Any) -> Any:
        context["mark"] = context.get("mark", 0) + 1
        return event


class Script(bspump.Source):
    """Runs a coroutine function as its main."""

    def __init__(
        self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, script: Callable[[bspump.Source], Any]
    ) -> None:
        super().__init__(app, pipeline)
        self.script = script
        self.finished = asyncio.Event()

    async def main(self) -> None:
        await self.script(self)
        self.finished.set()
        await self.stopped()


def build(
    pump: PumpRunner, source: Callable[[bspump.Pipeline], bspump.Source], *makers: Callable[[bspump.Pipeline], Any]
) -> tuple[bspump.Pipeline, MemorySink]:
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source(pipeline), *(make(pipeline) for make in makers), sink)
    return pipeline, sink


def memory(pump: PumpRunner, events: Sequence[Any], **options: Any) -> Callable[[bspump.Pipeline], bspump.Source]:
    return lambda pipeline: MemorySource(pump.app, pipeline, events, **options)


def script(pump: PumpRunner, main: Callable[[bspump.Source], Any]) -> Callable[[bspump.Pipeline], bspump.Source]:
    return lambda pipeline: Script(pump.app, pipeline, main)


def do(pump: PumpRunner, function: Callable[[Any], Any], kind: type[Do] = Do, id: str = "Do") -> Callable[..., Do]:
    return lambda pipeline: kind(pump.app, pipeline, function, id)


def run(pump: PumpRunner, pipeline: bspump.Pipeline) -> None:
    """Run until the source has brought everything."""
    source = pipeline.Sources[0]
    assert isinstance(source, MemorySource | Script)
    pump.run(source.finished.wait, pipeline)


def keep_even(event: int) -> int | None:
    return event if event % 2 == 0 else None


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("kinds", [(Do, Do), (Do, DoBatch), (DoBatch, Do), (DoBatch, DoBatch)])
def test_order_is_kept_and_drops_are_counted(pump: PumpRunner, kinds: tuple[type[Do], ...], one_by_one: bool) -> None:
    pipeline, sink = build(
        pump,
        memory(pump, range(3000), one_by_one=one_by_one),
        do(pump, keep_even, kinds[0], "A"),
        do(pump, lambda event: event + 1, kinds[1], "B"),
    )
    run(pump, pipeline)
    assert sink.events == list(range(1, 3000, 2))
    counts = pipeline._counts
    assert (counts.entered, counts.out, counts.dropped) == (3000, 1500, 1500)


def test_batch_native_and_single_processors_mix_in_one_depth(pump: PumpRunner) -> None:
    kinds = (Do, DoBatch, Do, Do, DoBatch, DoBatch, Do)

    def add(number: int) -> Callable[[list[int]], list[int]]:
        return lambda event: [*event, number]

    makers = [do(pump, add(number), kind) for number, kind in enumerate(kinds)]
    pipeline, sink = build(pump, memory(pump, [[] for _ in range(500)]), *makers)
    run(pump, pipeline)
    assert sink.events == [list(range(len(kinds)))] * 500


def test_a_failing_batch_is_taken_one_by_one_so_that_only_the_bad_event_fails(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", on_error="skip")
    pipeline, sink = build(
        pump, memory(pump, [1, 2, 0, 3]), do(pump, lambda event: 6 / event, DoBatch), do(pump, lambda event: event + 1)
    )
    run(pump, pipeline)
    assert sink.events == [7, 4, 3]
    counts = pipeline._counts
    assert (counts.entered, counts.out, counts.dropped, counts.errors) == (4, 3, 0, 1)


def test_what_is_dropped_one_by_one_is_counted(pump: PumpRunner) -> None:
    class Fussy(Do):
        def process_batch(
            self, contexts: list[bspump.Context], events: list[Any]
        ) -> tuple[list[bspump.Context], list[Any]]:
            raise TypeError("not at once")

    pipeline, sink = build(pump, memory(pump, range(10)), do(pump, keep_even, Fussy))
    run(pump, pipeline)
    assert sink.events == [0, 2, 4, 6, 8]
    counts = pipeline._counts
    assert (counts.entered, counts.out, counts.dropped, counts.errors) == (10, 5, 5, 0)


def test_a_batch_native_sink_may_fall_back_to_one_by_one(pump: PumpRunner) -> None:
    class Picky(bspump.Sink):
        taken: list[int] = []

        def process(self, context: bspump.Context, event: int) -> None:
            if event == 3:
                raise ValueError("three")
            self.taken.append(event)

        def process_batch(self, contexts: list[bspump.Context], events: list[int]) -> None:
            raise OSError("not at once")

    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "skip"})
    pipeline.build(MemorySource(pump.app, pipeline, range(6)), Picky(pump.app, pipeline))
    run(pump, pipeline)
    assert Picky.taken == [0, 1, 2, 4, 5]
    assert (pipeline._counts.out, pipeline._counts.errors) == (5, 1)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_falsy_events_are_events(pump: PumpRunner, one_by_one: bool) -> None:
    falsy = [0, "", b"", [], {}, False, 0.0, ()]
    pipeline, sink = build(
        pump, memory(pump, falsy, one_by_one=one_by_one), do(pump, lambda event: event), do(pump, lambda event: event)
    )
    run(pump, pipeline)
    assert sink.events == falsy
    assert pipeline._counts.dropped == 0


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_event_has_a_context_of_its_own(pump: PumpRunner, one_by_one: bool) -> None:
    contexts = [{"n": number} for number in range(100)]
    pipeline, sink = build(
        pump,
        memory(pump, range(100), contexts=contexts, one_by_one=one_by_one),
        lambda pipeline: Mark(pump.app, pipeline),
    )
    run(pump, pipeline)
    assert sink.contexts == [{"n": number, "mark": 1} for number in range(100)]
    assert contexts == [{"n": number} for number in range(100)]


def test_contexts_of_a_batch_come_in_four_forms(pump: PumpRunner) -> None:
    shared: bspump.Context = {"file": "a"}
    made: list[tuple[int, int]] = []

    def make(start: int, stop: int) -> list[bspump.Context]:
        made.append((start, stop))
        return [{"n": number} for number in range(start, stop)]

    async def main(source: bspump.Source) -> None:
        await source.process_batch([1, 2])
        await source.process_batch([3, 4], shared)
        await source.process_batch([5, 6], [{"n": 5}, {"n": 6}])
        await source.process_batch(range(200), make)
        await source.process(7)

    pipeline, sink = build(pump, script(pump, main), lambda pipeline: Mark(pump.app, pipeline))
    run(pump, pipeline)
    assert sink.contexts[:4] == [{"mark": 1}, {"mark": 1}, {"file": "a", "mark": 1}, {"file": "a", "mark": 1}]
    assert sink.contexts[4:6] == [{"n": 5, "mark": 1}, {"n": 6, "mark": 1}]
    assert sink.contexts[6:-1] == [{"n": number, "mark": 1} for number in range(200)]
    assert sink.contexts[-1] == {"mark": 1}
    assert shared == {"file": "a"}
    assert [start for start, _ in made] == [0, *(stop for _, stop in made[:-1])]
    assert len({id(context) for context in sink.contexts}) == len(sink.contexts)


@pytest.mark.parametrize("contexts", [[{}], [{}, {}, {}], lambda start, stop: [{}]])
def test_contexts_that_do_not_fit_the_events_are_refused_before_an_event_is_lost(
    pump: PumpRunner, contexts: Any
) -> None:
    async def main(source: bspump.Source) -> None:
        with pytest.raises(ValueError, match="context"):
            await source.process_batch([1, 2], contexts)

    pipeline, sink = build(pump, script(pump, main))
    run(pump, pipeline)
    assert sink.events == []
    assert pipeline._counts.entered == 0


def test_an_empty_batch_is_nothing(pump: PumpRunner) -> None:
    async def main(source: bspump.Source) -> None:
        await source.process_batch([])

    pipeline, sink = build(pump, script(pump, main))
    run(pump, pipeline)
    assert (sink.events, pipeline._counts.entered) == ([], 0)


def test_contexts_are_isolated_by_every_injection(pump: PumpRunner) -> None:
    class Fan(bspump.Generator):
        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            for number in range(3):
                await self.Pipeline.inject(context, (event, number), depth)
            self.Pipeline.inject(None, (event, 3), depth)

    pipeline, sink = build(
        pump,
        memory(pump, "ab", contexts=[{"from": "a"}, {"from": "b"}]),
        lambda pipeline: Mark(pump.app, pipeline),
        lambda pipeline: Fan(pump.app, pipeline),
        lambda pipeline: Mark(pump.app, pipeline),
    )

    async def scenario() -> None:
        await sink.wait_for(8)

    pump.run(scenario, pipeline)
    for (letter, number), context in zip(sink.events, sink.contexts, strict=True):
        assert context == ({"from": letter, "mark": 2} if number < 3 else {"mark": 1})


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("kind", [Do, DoBatch])
def test_an_event_that_nobody_takes_is_an_error_which_names_the_last_processor(
    pump: PumpRunner, kind: type[Do], one_by_one: bool
) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, [1, 2], one_by_one=one_by_one)
    pipeline.build(source, do(pump, lambda event: event, kind)(pipeline))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    error = pipeline.rest_get()["Error"]
    assert "Incomplete pipeline: P.Do returned an event" in error
    assert source.commits == []


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_pipeline_of_a_source_alone_is_an_error(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline, [1, 2], one_by_one=one_by_one))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert "Incomplete pipeline: the source returned an event" in pipeline.rest_get()["Error"]


def test_a_sink_that_returns_something_is_an_error(pump: PumpRunner) -> None:
    class Returning(bspump.Sink):
        def process(self, context: bspump.Context, event: Any) -> None:
            return event  # type: ignore[no-any-return]

    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline, [1]), Returning(pump.app, pipeline))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert "P.Returning returned an event" in pipeline.rest_get()["Error"]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_long_batch_lets_the_event_loop_run(pump: PumpRunner, one_by_one: bool) -> None:
    turns = 0
    turns_at_end = 0

    async def other_task() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main(source: bspump.Source) -> None:
        nonlocal turns_at_end
        events = range(100_000)
        if one_by_one:
            for event in events:
                await source.process(event)
        else:
            await source.process_batch(events)
        turns_at_end = turns

    pipeline, sink = build(pump, script(pump, main), do(pump, keep_even))
    source = pipeline.Sources[0]
    assert isinstance(source, Script)

    async def scenario() -> None:
        task = asyncio.ensure_future(other_task())
        await source.finished.wait()
        task.cancel()

    pump.run(scenario, pipeline)
    assert len(sink.events) == 50_000
    assert turns_at_end > 2


def test_an_iterator_lets_the_event_loop_run(pump: PumpRunner) -> None:
    """A generator that awaits its injections gives way too."""
    turns: list[int] = []

    async def other_task() -> None:
        while True:
            turns.append(len(sink.events))
            await asyncio.sleep(0)

    pipeline, sink = build(
        pump, memory(pump, [range(20_000)]), lambda pipeline: bspump.common.IteratorGenerator(pump.app, pipeline)
    )

    async def scenario() -> None:
        task = asyncio.ensure_future(other_task())
        await sink.wait_for(20_000)
        task.cancel()

    pump.run(scenario, pipeline)
    assert any(0 < seen < 20_000 for seen in turns)


def test_process_waits_until_the_pipeline_is_ready(pump: PumpRunner) -> None:
    pipeline, sink = build(pump, memory(pump, []))

    async def scenario() -> None:
        pipeline.throttle("test")
        task = asyncio.ensure_future(pipeline.process("late", {"by": "hand"}))
        await asyncio.sleep(0)
        assert (sink.events, task.done()) == ([], False)
        pipeline.throttle("test", False)
        await task
        assert (sink.events, sink.contexts) == (["late"], [{"by": "hand"}])

    pump.run(scenario, pipeline)


def test_a_throttle_holds_a_batch_between_two_chunks(pump: PumpRunner) -> None:
    def hold_at_ten(event: int) -> int:
        if event == 10:
            pipeline.throttle("test")
        return event

    pipeline, sink = build(pump, memory(pump, range(20_000)), do(pump, hold_at_ten))

    async def scenario() -> None:
        await until(lambda: sink.events)
        assert len(sink.events) < 2000
        pipeline.throttle("test", False)
        await sink.wait_for(20_000)

    pump.run(scenario, pipeline)
    assert sink.events == list(range(20_000))


def test_an_unknown_depth_is_refused(pump: PumpRunner) -> None:
    pipeline, _ = build(pump, memory(pump, []))

    async def scenario() -> None:
        with pytest.raises(ValueError, match="has no depth 1, only 0 to 0"):
            pipeline.inject({}, 1, 1)

    pump.run(scenario, pipeline)


def test_more_generator_tasks_than_the_limit_hold_the_source_and_lose_nothing(pump: PumpRunner) -> None:
    most = 0

    class Slow(bspump.Generator):
        async def generate(self, context: bspump.Context, event: int, depth: int) -> None:
            nonlocal most
            most = max(most, len(pipeline.AsyncFutures))
            await asyncio.sleep(0)
            self.Pipeline.inject(context, event, depth)

    pump.configure("pipeline:P", async_concurency_limit="8")
    pipeline, sink = build(pump, memory(pump, range(1000)), lambda pipeline: Slow(pump.app, pipeline))

    async def scenario() -> None:
        await sink.wait_for(1000)

    pump.run(scenario, pipeline)
    assert sorted(sink.events) == list(range(1000))
    assert pipeline.AsyncConcurencyLimit == 8
    assert most <= 64 + 8
    assert pipeline.get_throttles() == set()


def test_ensure_future_runs_on_behalf_of_the_pipeline(pump: PumpRunner) -> None:
    async def fail() -> None:
        raise RuntimeError("in the background")

    async def inject() -> None:
        pipeline.inject({}, "from a task", 0)

    pipeline, sink = build(pump, memory(pump, []))

    async def scenario() -> None:
        await pipeline.ensure_future(inject())
        own_task = asyncio.ensure_future(inject())
        assert pipeline.ensure_future(own_task) is own_task
        await own_task
        assert sink.events == ["from a task"] * 2
        pipeline.ensure_future(fail())
        await until(pipeline.is_error)
        assert "RuntimeError: in the background" in pipeline.rest_get()["Error"]

    pump.run(scenario, pipeline)
