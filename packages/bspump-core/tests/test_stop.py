"""A pipeline stops gracefully: what it accepted is finished and committed, within a time limit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Endless(bspump.Source):
    """Brings numbers for as long as it is let; the position is the number of events."""

    ConfigDefaults = {"commit_interval": "1h"}

    def __init__(
        self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, *, is_slow: bool = False, id: str | None = None
    ) -> None:
        super().__init__(app, pipeline, id=id)
        self.is_slow = is_slow
        self.committed: list[int] = []

    async def main(self) -> None:
        number = self.committed_position or 0
        while True:
            await self.process_batch([number], position=number.__add__)
            number += 1
            if self.is_slow:
                await asyncio.sleep(0)

    async def commit(self, position: int) -> None:
        self.committed.append(position)


class Slow(bspump.Generator):
    """Takes some turns of the loop for each event, many more than the source."""

    async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        await self.Pipeline.inject(context, event, depth)


class To(bspump.common.RouterSink):
    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, target: str) -> None:
        super().__init__(app, pipeline)
        self.target = target

    def process(self, context: bspump.Context, event: Any) -> None:
        self.route(context, event, self.target)


class Hanging(bspump.BufferedSink):
    """Never writes, until it is let."""

    ConfigDefaults = {"linger": 0, "batch_size": 10, "buffer_size": 100}

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.may_write = asyncio.Event()
        self.writing = asyncio.Event()
        self.written: list[Any] = []

    async def write(self, batch: bspump.Batch) -> None:
        self.writing.set()
        await self.may_write.wait()
        self.written.extend(batch)


def test_a_generator_slower_than_its_source_is_drained(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P", config={"async_concurency_limit": 20})
    source, sink = Endless(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, Slow(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(100)

    pump.run(scenario, pipeline)
    [position] = source.committed
    assert sorted(sink.events) == list(range(position))
    assert pipeline.AsyncFutures == []
    assert not pipeline.is_ready()


@pytest.mark.parametrize("config", [{"completion_size": 7}, {"completion_size": 0, "completion_timeout": "1h"}])
def test_what_an_aggregator_holds_goes_out(pump: PumpRunner, config: dict[str, Any]) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline, is_slow=True), MemorySink(pump.app, pipeline)
    pipeline.build(source, bspump.common.Aggregator(pump.app, pipeline, config=config), sink)

    async def scenario() -> None:
        await until(lambda: source.position and source.position > 30)

    pump.run(scenario, pipeline)
    events = [event for aggregate in sink.events for _, event in aggregate]
    assert events == list(range(source.committed[-1]))


def test_an_internal_queue_is_drained(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = bspump.common.InternalSource(pump.app, pipeline, config={"queue_max_size": 0})
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        for number in range(50_000):
            source.put(None, number)

    pump.run(scenario, pipeline)
    assert sink.events == list(range(50_000))


def test_linked_pipelines_stop_in_the_direction_of_the_flow_whatever_their_order(pump: PumpRunner) -> None:
    a, b, c = (bspump.Pipeline(pump.app, id) for id in "ABC")
    source, sink = Endless(pump.app, a), MemorySink(pump.app, c)
    a.build(source, To(pump.app, a, "B"))
    b.build(bspump.common.InternalSource(pump.app, b), Slow(pump.app, b), To(pump.app, b, "C"))
    c.build(bspump.common.InternalSource(pump.app, c), bspump.common.Aggregator(pump.app, c), sink)

    async def scenario() -> None:
        await sink.wait_for(20)

    pump.run(scenario, c, a, b)
    events = [event for aggregate in sink.events for _, event in aggregate]
    assert sorted(events) == list(range(source.committed[-1]))


def test_connections_close_after_the_last_pipeline(pump: PumpRunner) -> None:
    diary: list[str] = []

    class Wire(bspump.Connection):
        async def close(self) -> None:
            diary.append("connection")

    class Sink(MemorySink):
        async def close(self) -> None:
            diary.append("sink")

    pump.service.add_connection(Wire(pump.app))
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(3))
    pipeline.build(source, Sink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert diary == ["sink", "connection"]


def test_the_sources_say_what_they_have_to_when_they_are_stopped(pump: PumpRunner) -> None:
    class Polite(bspump.Source):
        said_goodbye = False

        async def main(self) -> None:
            await self.process("hello")
            await self.stopped()
            await self.process("goodbye")
            await asyncio.sleep(0)
            self.said_goodbye = True

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Polite(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert source.said_goodbye
    assert sink.events == ["hello", "goodbye"]


def test_a_sink_that_hangs_is_given_up_after_the_time_limit_and_nothing_is_committed(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pump.configure("pipeline:P", stop_timeout="20ms")
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline), Hanging(pump.app, pipeline)
    pipeline.build(source, sink)
    pump.run(sink.writing.wait, pipeline)
    assert source.committed == []
    assert "Pipeline 'P' ends before everything is durable: it was not finished within 0.02 seconds" in caplog.text
    assert "Hanging('P.Hanging') ends with" in caplog.text


def test_the_one_that_hangs_does_not_keep_another_from_finishing(pump: PumpRunner) -> None:
    pump.configure("pipeline:Bad", stop_timeout="20ms")
    bad, good = bspump.Pipeline(pump.app, "Bad"), bspump.Pipeline(pump.app, "Good")
    hanging = Hanging(pump.app, bad)
    bad.build(Endless(pump.app, bad), hanging)
    source, sink = Endless(pump.app, good, is_slow=True), MemorySink(pump.app, good)
    good.build(source, sink)

    async def scenario() -> None:
        await hanging.writing.wait()
        await sink.wait_for(10)

    pump.run(scenario, bad, good)
    assert sink.events == list(range(source.committed[-1]))


def test_a_source_that_ignores_the_stop_is_named(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(bspump.Source):
        may_end = False

        async def main(self) -> None:
            await self.process("started")
            while not self.may_end:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue

    pump.configure("pipeline:P", stop_timeout="20ms")
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Stubborn(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await sink.wait_for(1)
        task = source.Task
        assert task is not None
        await pipeline.stop()
        source.may_end = True
        task.cancel()
        await asyncio.wait({task})

    pump.run(scenario, pipeline)
    assert "Stubborn('P.*Stubborn') does not end" in caplog.text


def test_a_component_that_cannot_be_closed_is_named_and_the_others_are_closed(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    class Broken(MemorySink):
        async def close(self) -> None:
            raise OSError("stuck")

    class Closing(bspump.Processor):
        def process(self, context: bspump.Context, event: Any) -> Any:
            return event

        async def close(self) -> None:
            closed.append(self.Id)

    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(3))
    pipeline.build(source, Closing(pump.app, pipeline), Broken(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert "Broken('P.Broken') could not be closed: OSError: stuck" in caplog.text
    assert closed == ["Closing"]
    assert source.commits[-1] == 3


def test_a_close_that_hangs_does_not_hold_the_stop_for_ever(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump._life_cycle._SHORTEST_CLOSING", 0.01)
    monkeypatch.setattr("bspump._life_cycle._SHORTEST_LIMIT", 0.01)

    class Hung(MemorySink):
        async def close(self) -> None:
            await asyncio.sleep(3600)

    pump.configure("pipeline:P", stop_timeout="20ms")
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(3))
    pipeline.build(source, Hung(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert "Hung('P.Hung') could not be closed" in caplog.text


def test_stopping_while_components_are_still_being_opened_ends_the_opening(pump: PumpRunner) -> None:
    class Opening(MemorySink):
        begun = asyncio.Event()

        async def open(self) -> None:
            self.begun.set()
            await asyncio.sleep(3600)

    Opening.begun = asyncio.Event()
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, range(3)), Opening(pump.app, pipeline)
    pipeline.build(source, sink)
    pump.run(sink.begun.wait, pipeline)
    assert source.Task is None
    assert not pipeline.is_ready()


def test_a_pipeline_with_an_error_stops_at_once_and_commits_what_is_good(pump: PumpRunner) -> None:
    class Picky(MemorySink):
        def process(self, context: bspump.Context, event: Any) -> None:
            if event == 5:
                raise ValueError("five")
            super().process(context, event)

    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(10), config={"commit_interval": "1h"})
    pipeline.build(source, Picky(pump.app, pipeline))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert source.commits == [5]


def test_a_stop_without_a_start_is_nothing(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))
    pump.run(pipeline.stop)


def test_start_and_stop_as_often_as_one_likes(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline, is_slow=True), MemorySink(pump.app, pipeline)
    pipeline.build(source, Slow(pump.app, pipeline), bspump.common.Aggregator(pump.app, pipeline), sink)
    messages: list[str] = []

    class Listener:
        def hear(self, message_type: str, pipeline: bspump.Pipeline) -> None:
            messages.append(message_type.rpartition(".")[2])

    listener = Listener()
    for message in ("start!", "ready!", "not_ready!", "stop!"):
        pipeline.PubSub.subscribe(f"bspump.pipeline.{message}", listener.hear)

    async def scenario() -> None:
        for round_number in range(1, 4):
            await sink.wait_for(round_number * 5)
            await pipeline.stop()
            assert not pipeline.is_ready()
            pipeline.start()
            pipeline.start()
            assert pipeline.is_ready()

    pump.run(scenario, pipeline)
    assert messages == ["start!", "ready!", "stop!", "not_ready!"] * 4
    events = [event for aggregate in sink.events for _, event in aggregate]
    assert sorted(events) == list(range(source.committed[-1]))


def test_an_interrupted_pipeline_goes_on_from_its_last_commit_after_a_start(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", stop_timeout="10ms")
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline), Hanging(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await sink.writing.wait()
        await pipeline.stop()
        assert source.position is None
        sink.may_write.set()
        pipeline.start()
        await until(lambda: len(sink.written) > 500)
        pipeline._life_cycle._stop_timeout = 30.0

    pump.run(scenario, pipeline)
    assert sorted(sink.written) == list(range(source.committed[-1]))


def test_a_deleted_pipeline_is_stopped_gracefully(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = Endless(pump.app, pipeline, is_slow=True), MemorySink(pump.app, pipeline)
    pipeline.build(source, Slow(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(10)
        pump.service.del_pipeline(pipeline)
        assert pump.service.locate("P") is None

    pump.run(scenario, pipeline)
    # The application has ended: so the pipeline has.
    assert sorted(sink.events) == list(range(source.committed[-1]))
    with pytest.raises(KeyError, match="'P' is not registered"):
        pump.service.del_pipeline("P")


def test_what_feeds_a_stopped_pipeline_is_refused_and_not_lost(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, sink = MemorySource(pump.app, a, range(10), one_by_one=True), MemorySink(pump.app, b)
    internal = bspump.common.InternalSource(pump.app, b)
    a.build(source, To(pump.app, a, "B"))
    b.build(internal, sink)

    async def scenario() -> None:
        await source.finished.wait()
        await b.stop()
        assert b in a.get_throttles()
        with pytest.raises(bspump.PipelineError, match="its pipeline was stopped"):
            internal.put(None, "too late")
        b.start()
        await until(a.is_ready)
        internal.put(None, "in time")
        await sink.wait_for(11)

    pump.run(scenario, a, b)
    assert sink.events == [*range(10), "in time"]
