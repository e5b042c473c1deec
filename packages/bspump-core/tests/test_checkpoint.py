"""Nothing is committed before it is durable: the checkpoint barrier and the commits of sources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class HeldSink(MemorySink):
    """Is durable when the test says so.

    Attributes:
        asked: how many checkpoints have asked so far.
    """

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, id: str | None = None) -> None:
        super().__init__(app, pipeline, id=id)
        self.durable = asyncio.Event()
        self.asked = 0

    async def checkpoint(self) -> None:
        self.asked += 1
        await self.durable.wait()


class Gate(bspump.Generator):
    """Lets an event through when the test opens its gate."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, id: str | None = None) -> None:
        super().__init__(app, pipeline, id=id)
        self.gates: dict[Any, asyncio.Event] = {}

    def open_gate(self, event: Any) -> None:
        self.gates.setdefault(event, asyncio.Event()).set()

    async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
        await self.gates.setdefault(event, asyncio.Event()).wait()
        self.Pipeline.inject(context, event, depth)


class To(bspump.common.RouterSink):
    """Routes everything to the source of another pipeline, or drops what `keep` does not want."""

    def __init__(
        self,
        app: bspump.BSPumpApplication,
        pipeline: bspump.Pipeline,
        target: str,
        keep: Callable[[Any], bool] = lambda event: True,
    ) -> None:
        super().__init__(app, pipeline)
        self.target = target
        self.keep = keep

    def process(self, context: bspump.Context, event: Any) -> None:
        if self.keep(event):
            self.route(context, event, self.target)


async def turns(count: int = 20) -> None:
    """Let everything that can happen happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def still_waits(awaitable: asyncio.Future[Any]) -> bool:
    await turns()
    return not awaitable.done()


def start(awaitable: Awaitable[None]) -> asyncio.Future[None]:
    return asyncio.ensure_future(awaitable)


def internal(pump: PumpRunner, pipeline: bspump.Pipeline, **config: Any) -> bspump.common.InternalSource:
    return bspump.common.InternalSource(pump.app, pipeline, config=config or None)


# What the barrier waits for


def test_a_checkpoint_waits_for_the_sink(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = HeldSink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline), sink)

    async def scenario() -> None:
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        sink.durable.set()
        await checkpoint

    pump.run(scenario, pipeline)


def test_a_checkpoint_of_an_empty_pipeline_returns(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))
    pump.run(pipeline.checkpoint, pipeline)


def test_a_checkpoint_of_a_pipeline_that_does_not_run_raises(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        with pytest.raises(bspump.PipelineError, match="'P' does not run"):
            await pipeline.checkpoint()

    pump.run(scenario)


def test_a_checkpoint_waits_for_the_generators_of_every_depth(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = internal(pump, pipeline), MemorySink(pump.app, pipeline)
    first, second = Gate(pump.app, pipeline, "First"), Gate(pump.app, pipeline, "Second")
    pipeline.build(source, first, second, sink)

    async def scenario() -> None:
        source.put(None, 1)
        await until(lambda: first.gates)
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        first.open_gate(1)
        assert await still_waits(checkpoint)
        second.open_gate(1)
        await checkpoint
        assert sink.events == [1]

    pump.run(scenario, pipeline)


def test_events_that_come_after_the_barrier_do_not_delay_it(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink, gate = internal(pump, pipeline), MemorySink(pump.app, pipeline), Gate(pump.app, pipeline)
    pipeline.build(source, gate, sink)

    async def scenario() -> None:
        source.put(None, 1)
        await until(lambda: gate.gates)
        checkpoint = start(pipeline.checkpoint())
        await turns()
        source.put(None, 2)
        await until(lambda: len(gate.gates) == 2)
        gate.open_gate(1)
        await checkpoint
        assert sink.events == [1]
        gate.open_gate(2)

    pump.run(scenario, pipeline)


def test_a_source_that_never_pauses_does_not_delay_the_barrier(pump: PumpRunner) -> None:
    class Endless(bspump.Source):
        number = 0

        async def main(self) -> None:
            while True:
                self.number += 1
                await self.process(self.number)
                await asyncio.sleep(0)

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, bspump.common.Aggregator(pump.app, pipeline, config={"completion_size": 3}), sink)

    async def scenario() -> None:
        for _ in range(20):
            number = source.number
            await pipeline.checkpoint()
            assert sum(len(aggregate) for aggregate in sink.events) >= number
            await turns(3)

    pump.run(scenario, pipeline)


def test_a_checkpoint_waits_until_the_aggregate_that_was_begun_has_gone_out_and_no_longer(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = internal(pump, pipeline), MemorySink(pump.app, pipeline)
    aggregator = bspump.common.Aggregator(pump.app, pipeline, config={"completion_size": 3})
    pipeline.build(source, aggregator, sink)

    async def scenario() -> None:
        source.put(None, 1)
        await until(lambda: aggregator.CurrentSize == 1)
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        for event in (2, 3, 4):
            source.put(None, event)
        await checkpoint
        assert [[event for _, event in aggregate] for aggregate in sink.events] == [[1, 2, 3]]
        assert aggregator.CurrentSize == 1

    pump.run(scenario, pipeline)


def test_the_next_aggregate_does_not_delay_a_checkpoint_while_the_first_goes_out(pump: PumpRunner) -> None:
    class Slow(bspump.common.Aggregator):
        may_go_on = asyncio.Event()

        async def generate(self, context: bspump.Context, aggregated_event: Any, depth: int) -> None:
            await self.may_go_on.wait()
            await super().generate(context, aggregated_event, depth)

    Slow.may_go_on = asyncio.Event()
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = internal(pump, pipeline), MemorySink(pump.app, pipeline)
    aggregator = Slow(pump.app, pipeline, config={"completion_size": 2})
    pipeline.build(source, aggregator, sink)

    async def scenario() -> None:
        source.put(None, 1)
        source.put(None, 2)
        await until(lambda: pipeline.AsyncFutures)
        checkpoint = start(pipeline.checkpoint())
        await turns()
        source.put(None, 3)
        await until(lambda: aggregator.CurrentSize == 1)
        aggregator.may_go_on.set()
        await checkpoint
        assert len(sink.events) == 1

    pump.run(scenario, pipeline)


def test_a_checkpoint_waits_for_the_queue_of_an_internal_source(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = internal(pump, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        pipeline.throttle("test")
        source.put(None, 1)
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        source.put(None, 2)
        pipeline.throttle("test", False)
        await checkpoint
        assert sink.events[0] == 1

    pump.run(scenario, pipeline)


def test_a_checkpoint_waits_for_the_pipelines_behind_a_router_and_a_tee(pump: PumpRunner) -> None:
    first, routed, teed = (bspump.Pipeline(pump.app, id) for id in ("First", "Routed", "Teed"))
    source, end = internal(pump, first), HeldSink(pump.app, routed)
    tee_end = HeldSink(pump.app, teed)
    first.build(
        source, bspump.common.TeeProcessor(pump.app, first).bind("Teed.*TeeSource"), To(pump.app, first, "Routed")
    )
    routed.build(internal(pump, routed), end)
    teed.build(bspump.common.TeeSource(pump.app, teed), tee_end)

    async def scenario() -> None:
        source.put(None, 1)
        await end.wait_for(1)
        await tee_end.wait_for(1)
        checkpoint = start(first.checkpoint())
        assert await still_waits(checkpoint)
        end.durable.set()
        assert await still_waits(checkpoint)
        tee_end.durable.set()
        await checkpoint

    pump.run(scenario, first, routed, teed)


def test_a_checkpoint_follows_a_chain_of_pipelines(pump: PumpRunner) -> None:
    pipelines = [bspump.Pipeline(pump.app, id) for id in "ABC"]
    a, b, c = pipelines
    source, end, gate = internal(pump, a), HeldSink(pump.app, c), Gate(pump.app, b)
    a.build(source, To(pump.app, a, "B"))
    b.build(internal(pump, b), gate, To(pump.app, b, "C"))
    c.build(internal(pump, c), end)

    async def scenario() -> None:
        source.put(None, 1)
        await until(lambda: gate.gates)
        checkpoint = start(a.checkpoint())
        assert await still_waits(checkpoint)
        gate.open_gate(1)
        await end.wait_for(1)
        assert await still_waits(checkpoint)
        end.durable.set()
        await checkpoint

    pump.run(scenario, *pipelines)


def test_a_checkpoint_waits_for_what_components_run_on_behalf_of_the_pipeline(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline), sink)

    async def work(done: asyncio.Event) -> None:
        await done.wait()
        pipeline.inject({}, "from a task", 0)

    async def scenario() -> None:
        done = asyncio.Event()
        pipeline.ensure_future(work(done))
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        done.set()
        await checkpoint
        assert sink.events == ["from a task"]

    pump.run(scenario, pipeline)


# When it cannot be had


def test_a_checkpoint_under_way_raises_when_the_pipeline_loses_an_event(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = HeldSink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline), sink)

    async def scenario() -> None:
        checkpoint = start(pipeline.checkpoint())
        assert await still_waits(checkpoint)
        pipeline.set_error(None, None, OSError("lost"))
        with pytest.raises(bspump.PipelineError, match="OSError: lost"):
            await checkpoint
        sink.durable.set()
        pipeline.set_error(None, None, None)
        await pipeline.checkpoint()

    pump.run(scenario, pipeline)


def test_a_checkpoint_raises_when_a_pipeline_behind_fails(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, end = MemorySource(pump.app, a, [1]), HeldSink(pump.app, b)
    a.build(source, To(pump.app, a, "B"))
    b.build(internal(pump, b), end)

    async def scenario() -> None:
        await until(lambda: end.asked)
        checkpoint = start(a.checkpoint())
        b.set_error(None, None, OSError("lost"))
        with pytest.raises(bspump.PipelineError, match="Pipeline 'B' stopped"):
            await checkpoint
        assert source.commits == []

    pump.run(scenario, a, b)


def test_a_checkpoint_raises_when_events_wait_before_a_stopped_pipeline(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = internal(pump, pipeline)
    pipeline.build([MemorySource(pump.app, pipeline, id="M"), source], MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        pipeline._errors.source_failed(pipeline.Sources[0], OSError("gone"))
        assert pipeline.is_error()
        await pipeline.checkpoint()
        source.put(None, 1)
        with pytest.raises(bspump.PipelineError, match="OSError: gone"):
            await pipeline.checkpoint()

    pump.run(scenario, pipeline)


def test_a_checkpoint_raises_when_a_pipeline_behind_is_stopped_under_it(pump: PumpRunner) -> None:
    a = bspump.Pipeline(pump.app, "A")
    b = bspump.Pipeline(pump.app, "B", config={"stop_timeout": 0.01})
    source, end = MemorySource(pump.app, a, [1]), HeldSink(pump.app, b)
    a.build(source, To(pump.app, a, "B"))
    b.build(internal(pump, b), end)

    async def scenario() -> None:
        await until(lambda: end.asked)
        checkpoint = start(a.checkpoint())
        assert await still_waits(checkpoint)
        await b.stop()
        with pytest.raises(bspump.PipelineError, match="Pipeline 'B'"):
            await checkpoint
        assert source.commits == []

    pump.run(scenario, a, b)


def test_a_processor_whose_checkpoint_raises_prevents_the_commit(
    pump: PumpRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump.abc.source._RETRY_COMMIT", 0.001)

    class Full(MemorySink):
        is_full = True

        async def checkpoint(self) -> None:
            if self.is_full:
                raise bspump.ProcessingError("disk full")

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, [1]), Full(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await sink.wait_for(1)
        with pytest.raises(bspump.ProcessingError, match="disk full"):
            await source.commit_now()
        assert source.commits == []
        sink.is_full = False
        # Without a further event
        await until(lambda: source.commits == [1])

    pump.run(scenario, pipeline)


# Circles


def circle(pump: PumpRunner, size: int, rounds: int) -> tuple[list[bspump.Pipeline], MemorySource, list[Any]]:
    """Build pipelines that hand an event on in a circle, `rounds` times."""
    pipelines = [bspump.Pipeline(pump.app, f"P{number}") for number in range(size)]
    seen: list[Any] = []

    class Count(bspump.Processor):
        def process(self, context: bspump.Context, event: tuple[int, int]) -> tuple[int, int]:
            seen.append(event)
            return (event[0], event[1] + 1)

    for number, pipeline in enumerate(pipelines):
        pipeline.build(
            internal(pump, pipeline),
            Count(pump.app, pipeline),
            To(pump.app, pipeline, f"P{(number + 1) % size}", keep=lambda event: event[1] < rounds),
        )
    source = MemorySource(pump.app, pipelines[0], [(number, 0) for number in range(100)], one_by_one=True)
    pipelines[0].set_source(source)
    return pipelines, source, seen


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pipelines_in_a_circle_deadlock_neither_flowing_nor_committing_nor_stopping(
    pump: PumpRunner, size: int
) -> None:
    pipelines, source, seen = circle(pump, size, rounds=12)

    async def scenario() -> None:
        await until(lambda: source.commits)
        await asyncio.gather(*(pipeline.checkpoint() for pipeline in pipelines))
        await source.finished.wait()
        await source.commit_now()
        assert sorted(seen) == [(number, hop) for number in range(100) for hop in range(12)]

    pump.run(scenario, *pipelines)
    assert source.commits[-1] == 100


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_circle_that_is_stopped_under_load_finishes_what_it_has_begun(pump: PumpRunner, size: int) -> None:
    pipelines, source, seen = circle(pump, size, rounds=12)

    async def scenario() -> None:
        await until(lambda: len(seen) > 30)

    pump.run(scenario, *pipelines)
    finished = {number for number, hop in seen if hop == 11}
    assert finished == {number for number, _ in seen}
    assert source.commits[-1] == len(finished)


def test_a_checkpoint_of_a_circle_waits_for_the_events_that_go_around(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, gate = internal(pump, a), Gate(pump.app, b)
    rounds = 0

    class Hop(bspump.Processor):
        def process(self, context: bspump.Context, event: int) -> int:
            nonlocal rounds
            rounds += 1
            return event + 1

    a.build(source, Hop(pump.app, a), To(pump.app, a, "B", keep=lambda event: event < 3))
    b.build(internal(pump, b), gate, To(pump.app, b, "A"))

    async def scenario() -> None:
        source.put(None, 0)
        await until(lambda: gate.gates)
        checkpoint = start(a.checkpoint())
        assert await still_waits(checkpoint)
        gate.open_gate(1)
        await until(lambda: rounds == 2)
        assert await still_waits(checkpoint)
        gate.open_gate(2)
        await checkpoint
        assert rounds == 3

    pump.run(scenario, a, b)


# Commits


def test_nothing_is_committed_before_it_is_durable(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, range(10)), HeldSink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await source.finished.wait()
        await until(lambda: sink.asked)
        assert source.commits == []
        assert source.committed_position is None
        sink.durable.set()
        await until(lambda: source.commits == [10])
        assert source.committed_position == 10

    pump.run(scenario, pipeline)


def test_what_comes_while_a_commit_waits_is_committed_by_the_next(pump: PumpRunner) -> None:
    class Fed(bspump.Source):
        ConfigDefaults = {"commit_interval": 0}

        def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
            super().__init__(app, pipeline)
            self.commits: list[int] = []

        async def feed(self, event: int) -> None:
            await self.process(event)
            self.position = event

        async def main(self) -> None:
            await self.stopped()

        async def commit(self, position: int) -> None:
            self.commits.append(position)

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Fed(pump.app, pipeline), HeldSink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await source.feed(1)
        await until(lambda: sink.asked == 1)
        for event in (2, 3, 4):
            await source.feed(event)
        assert source.commits == []
        sink.durable.set()
        await until(lambda: source.commits == [1, 4])

    pump.run(scenario, pipeline)


def test_commit_interval_is_the_time_between_two_regular_commits(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(10), config={"commit_interval": "1h"})
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await source.finished.wait()
        await turns()
        assert source.commits == []
        await source.commit_now()
        assert source.commits == [10]
        await source.commit_now()
        assert source.commits == [10]

    pump.run(scenario, pipeline)
    assert source.commits == [10]


def test_the_stop_commits_what_was_accepted(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(10), config={"commit_interval": "1h"})
    pipeline.build(source, MemorySink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert source.commits == [10]


def test_an_idle_source_with_commit_interval_0_does_not_keep_the_loop_busy(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(10), config={"commit_interval": 0})
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: source.commits == [10])
        source.position = 10
        await turns()
        assert not source._position_moved.is_set()

    pump.run(scenario, pipeline)


def test_what_is_committed_once_a_pipeline_behind_has_started_needs_no_further_event(
    pump: PumpRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump.abc.source._RETRY_COMMIT", 0.001)
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, sink = MemorySource(pump.app, a, [1]), MemorySink(pump.app, b)
    a.build(source, To(pump.app, a, "B"))
    b.build(internal(pump, b), sink)
    pump.service.add_pipelines(a, b)

    async def scenario() -> None:
        a.start()
        await source.finished.wait()
        with pytest.raises(bspump.PipelineError, match="'B' does not run"):
            await source.commit_now()
        b.start()
        await until(lambda: source.commits == [1])

    pump.service.Pipelines.pop("A")
    pump.service.Pipelines.pop("B")

    async def with_services() -> None:
        pump.service.add_pipelines(a, b)
        await scenario()

    pump.run(with_services)


def test_an_unacknowledged_source_has_no_commits_to_make(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = internal(pump, pipeline)
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        assert not source.is_acknowledged
        await source.commit_now()

    pump.run(scenario, pipeline)


def test_a_commit_that_is_called_from_main_waits_for_the_barrier_too(pump: PumpRunner) -> None:
    class Careful(MemorySource):
        async def main(self) -> None:
            start = self.committed_position or 0
            await self.process_batch(self.events[start:], position=lambda count: start + count)
            await self.commit_now()
            self.finished.set()
            await self.stopped()

    class Sink(bspump.BufferedSink):
        ConfigDefaults = {"linger": 3600}
        is_broken = True
        may_write = asyncio.Event()
        written: list[int] = []

        async def write(self, batch: bspump.Batch) -> None:
            if self.is_broken:
                raise bspump.RejectedError("refused")
            await self.may_write.wait()
            self.written.extend(batch)

    class Healer:
        def heal(self, message_type: str, pipeline: bspump.Pipeline) -> None:
            sink.is_broken = False
            pipeline.set_error(None, None, None)

    Sink.may_write, Sink.written = asyncio.Event(), []
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink, healer = Careful(pump.app, pipeline, [1, 2]), Sink(pump.app, pipeline), Healer()
    pipeline.build(source, sink)
    pipeline.PubSub.subscribe("bspump.pipeline.error!", healer.heal)

    async def scenario() -> None:
        await until(lambda: not sink.is_broken)
        await until(lambda: pipeline._counts.entered == 2)
        await turns()
        assert source.commits == []
        sink.may_write.set()
        await source.finished.wait()
        assert source.commits == [2]
        assert set(sink.written) == {1, 2}

    pump.run(scenario, pipeline)


# Pipelines behind that go away


def test_what_a_router_has_handed_over_before_it_let_go_of_a_target_is_waited_for(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, router, end = MemorySource(pump.app, a, range(5)), To(pump.app, a, "B"), HeldSink(pump.app, b)
    a.build(source, router)
    b.build(internal(pump, b), end)

    async def scenario() -> None:
        await end.wait_for(5)
        router.unlocate("B")
        b.throttle("test")
        assert a.is_ready()
        b.throttle("test", False)
        assert await still_waits(start(a.checkpoint()))
        assert source.commits == []
        end.durable.set()
        await until(lambda: source.commits == [5])
        end.durable.clear()
        await a.checkpoint()  # nothing is left that would have to be waited for
        end.durable.set()

    pump.run(scenario, a, b)


def test_what_gets_lost_behind_a_route_that_was_given_up_comes_again(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, router, end = MemorySource(pump.app, a, range(5)), To(pump.app, a, "B"), HeldSink(pump.app, b)
    a.build(source, router)
    b.build(internal(pump, b), end)

    async def scenario() -> None:
        await end.wait_for(5)
        router.unlocate("B")
        b.set_error(None, None, OSError("lost"))
        end.durable.set()
        b.set_error(None, None, None)
        await end.wait_for(10)
        await until(lambda: source.commits == [5])

    pump.run(scenario, a, b)
    assert end.events == [*range(5), *range(5)]


def test_targets_may_be_taken_and_given_up_many_times(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    router, sink = To(pump.app, a, "B"), MemorySink(pump.app, b)
    a.build(MemorySource(pump.app, a), router)
    b.build(internal(pump, b), sink)

    async def scenario() -> None:
        for number in range(100):
            router.route({}, number, "B")
            router.unlocate("B")
            if number % 10 == 0:
                await sink.wait_for(number + 1)
        assert len(a._routes) == len(b._feeders._routes) == 1
        await a.checkpoint()
        assert sink.events == list(range(100))
        assert len(a._routes) == len(b._feeders._routes) == 0

    pump.run(scenario, a, b)


def test_what_a_pipeline_loses_when_it_is_stopped_comes_again_from_those_who_feed_it(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B", config={"stop_timeout": 0.01})
    source = MemorySource(pump.app, a, range(50))
    a.build(source, To(pump.app, a, "B"))

    class Hanging(bspump.BufferedSink):
        ConfigDefaults = {"linger": 0.001}
        may_write = asyncio.Event()
        written: set[int] = set()

        async def write(self, batch: bspump.Batch) -> None:
            await self.may_write.wait()
            self.written.update(batch)

    Hanging.may_write, Hanging.written = asyncio.Event(), set()
    sink = Hanging(pump.app, b)
    b.build(internal(pump, b), sink)

    async def scenario() -> None:
        await until(lambda: sink.rest_get()["Buffered"] == 50)
        await b.stop()
        sink.may_write.set()
        b.start()
        await until(lambda: source.commits)

    pump.run(scenario, a, b)
    assert sink.written == set(range(50))
    assert source.commits[-1] == 50


def test_nothing_is_committed_while_a_source_goes_back(pump: PumpRunner) -> None:
    """What comes in from outside meanwhile may stand behind events that the error lost."""

    class Served(MemorySource):
        way_back = asyncio.Event()

        async def rewind(self) -> None:
            await self.way_back.wait()

    pipeline = bspump.Pipeline(pump.app, "P")
    source = Served(pump.app, pipeline, [1, 2])
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: source.commits == [2])
        pipeline.set_error(None, None, RuntimeError("broken"))
        pipeline.set_error(None, None, None)
        source.position = 7
        committing = asyncio.ensure_future(source.commit_now())
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.commits == [2]
        source.way_back.set()
        await committing
        assert source.commits in ([2], [2, 7])

    pump.run(scenario, pipeline)
    assert not pipeline.is_error()


def test_a_source_may_be_stopped_on_its_way_back(pump: PumpRunner) -> None:
    class Lost(MemorySource):
        async def rewind(self) -> None:
            await asyncio.get_running_loop().create_future()

    pipeline = bspump.Pipeline(pump.app, "P")
    source = Lost(pump.app, pipeline, [1, 2])
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: source.commits == [2])
        pipeline.set_error(None, None, RuntimeError("broken"))
        pipeline.set_error(None, None, None)
        source.position = 7
        for _ in range(20):
            await asyncio.sleep(0)

    pump.run(scenario, pipeline)
    assert source.commits == [2]
