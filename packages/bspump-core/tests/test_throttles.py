"""Back-pressure: who holds a pipeline, how that spreads, and that it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Messages:
    """Records which of the messages of a pipeline came."""

    def __init__(self, pipeline: bspump.Pipeline, *messages: str) -> None:
        self.seen: list[str] = []
        for message in messages:
            pipeline.PubSub.subscribe(message, self.hear)

    def hear(self, message_type: str, **arguments: Any) -> None:
        self.seen.append(message_type)


class To(bspump.common.RouterSink):
    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, target: str) -> None:
        super().__init__(app, pipeline)
        self.target = target

    def process(self, context: bspump.Context, event: Any) -> None:
        self.route(context, event, self.target)


def build(pump: PumpRunner, id: str, events: Any = ()) -> bspump.Pipeline:
    pipeline = bspump.Pipeline(pump.app, id)
    pipeline.build(MemorySource(pump.app, pipeline, events), MemorySink(pump.app, pipeline))
    return pipeline


def test_a_pipeline_is_ready_when_nobody_holds_it(pump: PumpRunner) -> None:
    pipeline = build(pump, "P")
    messages = Messages(pipeline, "bspump.pipeline.ready!", "bspump.pipeline.not_ready!")

    async def scenario() -> None:
        assert pipeline.is_ready()
        pipeline.throttle("a")
        pipeline.throttle("a")
        pipeline.throttle(("b", 1))
        assert pipeline.get_throttles() == {"a", ("b", 1)}
        pipeline.throttle("a", False)
        assert not pipeline.is_ready()
        pipeline.throttle("nobody", False)
        pipeline.throttle(("b", 1), False)
        assert pipeline.is_ready()
        assert await pipeline.ready() is True

    pump.run(scenario, pipeline)
    assert messages.seen == ["bspump.pipeline.ready!", "bspump.pipeline.not_ready!"] * 2


def test_what_get_throttles_returns_is_a_copy(pump: PumpRunner) -> None:
    pipeline = build(pump, "P")
    pipeline.get_throttles().add("me")
    assert pipeline.get_throttles() == set()


def test_ready_waits_for_the_last_holder(pump: PumpRunner) -> None:
    pipeline = build(pump, "P")

    async def scenario() -> None:
        pipeline.throttle("a")
        waiting = asyncio.ensure_future(pipeline.ready())
        await asyncio.sleep(0)
        pipeline.throttle("b")
        pipeline.throttle("a", False)
        await asyncio.sleep(0)
        assert not waiting.done()
        pipeline.throttle("b", False)
        assert await waiting

    pump.run(scenario, pipeline)


# Linked pipelines


def test_a_throttle_reaches_every_ancestor(pump: PumpRunner) -> None:
    grandparent, parent, child = (build(pump, id) for id in "GPC")
    parent.link(grandparent)
    child.link(parent)

    async def scenario() -> None:
        child.throttle("x")
        assert [pipeline.get_throttles() for pipeline in (grandparent, parent)] == [{"x"}, {"x"}]
        parent.throttle("x")
        child.throttle("x", False)
        assert not grandparent.is_ready()
        parent.throttle("x", False)
        assert grandparent.is_ready()

    pump.run(scenario, grandparent, parent, child)


def test_a_link_to_a_pipeline_that_is_held_already_holds_at_once_and_unlink_lets_go(pump: PumpRunner) -> None:
    parent, child = build(pump, "P"), build(pump, "C")
    pump.service.add_pipelines(parent, child)
    child.throttle("x")
    child.link("P")
    assert parent.get_throttles() == {"x"}
    child.link(parent)
    child.unlink("P")
    assert parent.get_throttles() == set()
    child.throttle("y")
    child.throttle("x", False)
    assert parent.get_throttles() == set()
    child.unlink(parent)
    with pytest.raises(KeyError, match="Cannot find pipeline 'Q'"):
        child.link("Q")


def test_unlink_leaves_what_holds_the_ancestor_itself(pump: PumpRunner) -> None:
    parent, child = build(pump, "P"), build(pump, "C")
    child.link(parent)
    child.throttle("x")
    parent.throttle("x")
    child.unlink(parent)
    assert parent.get_throttles() == {"x"}


def test_two_children_with_the_same_holder_both_have_to_let_go(pump: PumpRunner) -> None:
    parent, first, second = (build(pump, id) for id in "PAB")
    first.link(parent)
    second.link(parent)

    async def scenario() -> None:
        first.throttle("shared")
        second.throttle("shared")
        first.throttle("shared", False)
        assert not parent.is_ready()
        second.throttle("shared", False)
        assert parent.is_ready()

    pump.run(scenario, parent, first, second)


def test_links_cannot_form_a_circle(pump: PumpRunner) -> None:
    a, b, c = (build(pump, id) for id in "ABC")
    a.link(b)
    b.link(c)
    for ancestor in (a, c):
        with pytest.raises(ValueError, match="would throttle each other for ever"):
            ancestor.link(a)


def test_the_back_pressure_of_a_source_reaches_linked_pipelines_and_leaves_nothing_behind(pump: PumpRunner) -> None:
    parent, late, child = build(pump, "P"), build(pump, "L"), bspump.Pipeline(pump.app, "C")
    source = bspump.common.InternalSource(pump.app, child)
    child.build(source, MemorySink(pump.app, child))
    child.link(parent)
    for number in range(8):
        source.put(None, number)
    assert parent.get_throttles() == {source}
    child.link(late)
    assert late.get_throttles() == {source}
    child.unlink(parent)
    assert parent.get_throttles() == set()

    async def scenario() -> None:
        await until(lambda: not late.get_throttles())

    pump.run(scenario, late, child)


# From other threads


def test_a_throttle_may_be_set_and_lifted_by_another_thread(pump: PumpRunner) -> None:
    pipeline = build(pump, "P")

    async def scenario() -> None:
        await asyncio.to_thread(pipeline.throttle, "thread")
        await until(lambda: not pipeline.is_ready())
        waiting = asyncio.ensure_future(pipeline.ready())
        await asyncio.to_thread(pipeline.throttle, "thread", False)
        assert await waiting

    pump.run(scenario, pipeline)


def test_a_subscriber_that_throttles_within_the_message_does_not_confuse_those_who_feed(pump: PumpRunner) -> None:
    feeder, fed = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, sink = MemorySource(pump.app, feeder, range(100)), MemorySink(pump.app, fed)
    feeder.build(source, To(pump.app, feeder, "B"))
    fed.build(bspump.common.InternalSource(pump.app, fed), sink)

    class Releaser:
        def hear(self, message_type: str, pipeline: bspump.Pipeline) -> None:
            pipeline.throttle("test", False)

    releaser = Releaser()
    fed.PubSub.subscribe("bspump.pipeline.not_ready!", releaser.hear)

    async def scenario() -> None:
        await sink.wait_for(100)
        fed.throttle("test")
        assert fed.is_ready()
        assert feeder.is_ready()

    pump.run(scenario, feeder, fed)


# Sources that others feed


def test_a_route_holds_its_feeder_while_the_target_is_not_ready(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, sink = MemorySource(pump.app, a, range(10)), MemorySink(pump.app, b)
    router = To(pump.app, a, "B.*InternalSource")
    a.build(source, router)
    b.build(bspump.common.InternalSource(pump.app, b), sink)

    async def scenario() -> None:
        await sink.wait_for(10)
        b.throttle("test")
        assert a.get_throttles() == {b}
        b.throttle("test", False)
        b.set_error(None, None, ValueError("stop"))
        assert a.get_throttles() == {b}
        b.set_error(None, None, None)
        assert a.is_ready()
        b.throttle("test")
        router.unlocate("B.*InternalSource")
        assert a.is_ready()
        router.unlocate("B.*InternalSource")
        assert router.locate("B.*InternalSource") is b.Sources[0]
        assert not a.is_ready()
        b.throttle("test", False)

    pump.run(scenario, a, b)


def test_two_routes_into_one_pipeline_are_given_up_one_by_one(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    router = To(pump.app, a, "B.*One")
    a.build(MemorySource(pump.app, a), router)
    b.build([bspump.common.InternalSource(pump.app, b, id=id) for id in ("One", "Two")], MemorySink(pump.app, b))

    async def scenario() -> None:
        router.locate("B.*One")
        router.locate("B.*Two")
        b.throttle("test")
        router.unlocate("B.*One")
        assert a.get_throttles() == {b}
        router.unlocate("B.*Two")
        assert a.get_throttles() == set()
        b.throttle("test", False)

    pump.run(scenario, a, b)


def test_a_full_queue_holds_the_feeder_with_hysteresis(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    sink = MemorySink(pump.app, b)
    internal = bspump.common.InternalSource(pump.app, b, config={"queue_max_size": "10", "backpressure": "0.8"})
    events = range(10_000)
    a.build(MemorySource(pump.app, a, events, one_by_one=True), To(pump.app, a, "B"))
    b.build(internal, sink)
    not_ready = Messages(a, "bspump.pipeline.not_ready!")
    back_pressure = Messages(b, "bspump.InternalSource.backpressure_on!", "bspump.InternalSource.backpressure_off!")

    async def scenario() -> None:
        await sink.wait_for(len(events))
        assert internal.rest_get() == {
            "Id": "InternalSource",
            "Class": "InternalSource",
            "Queue": 0,
            "BackPressure": False,
        }

    pump.run(scenario, a, b)
    assert sink.events == list(events)
    pairs = ["bspump.InternalSource.backpressure_on!", "bspump.InternalSource.backpressure_off!"]
    assert back_pressure.seen == pairs * (len(back_pressure.seen) // 2)
    # One pause per filling of the queue; the last one of all is the stop.
    assert len(not_ready.seen) <= len(events) / 8 + 2


def test_a_big_batch_into_a_small_queue_does_not_flap(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    sink = MemorySink(pump.app, b)
    a.build(MemorySource(pump.app, a, range(30_000)), To(pump.app, a, "B"))
    b.build(bspump.common.InternalSource(pump.app, b), sink)
    not_ready = Messages(a, "bspump.pipeline.not_ready!")

    async def scenario() -> None:
        await sink.wait_for(30_000)

    pump.run(scenario, a, b)
    assert sink.events == list(range(30_000))
    assert len(not_ready.seen) < 30_000 / 64 + 2


def test_a_generator_that_awaits_its_injections_is_held_by_a_full_queue(pump: PumpRunner) -> None:
    most = 0

    class Watching(To):
        def process(self, context: bspump.Context, event: Any) -> None:
            nonlocal most
            super().process(context, event)
            most = max(most, internal.Queue.qsize())

    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    internal, sink = bspump.common.InternalSource(pump.app, b), MemorySink(pump.app, b)
    a.build(
        MemorySource(pump.app, a, [range(20000)]),
        bspump.common.IteratorGenerator(pump.app, a),
        Watching(pump.app, a, "B"),
    )
    b.build(internal, sink)

    async def scenario() -> None:
        await sink.wait_for(20000)

    pump.run(scenario, a, b)
    assert sink.events == list(range(20000))
    assert most <= 500 + 64  # the mark of a route, and how many injections pass before the generator waits


def test_put_raises_when_the_queue_is_full_and_put_async_waits(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = bspump.common.InternalSource(pump.app, pipeline, config={"queue_max_size": 3})
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        pipeline.throttle("test")
        for number in range(3):
            source.put(None, number)
        with pytest.raises(asyncio.QueueFull, match=r"The queue of P\.\*InternalSource is full \(3 events\)"):
            source.put(None, 3)
        waiting = [asyncio.ensure_future(source.put_async(None, number)) for number in range(3, 10)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        pipeline.throttle("test", False)
        await asyncio.gather(*waiting)
        await sink.wait_for(10)

    pump.run(scenario, pipeline)
    assert sorted(sink.events) == list(range(10))


def test_who_waits_for_room_in_a_pipeline_that_ends_is_told(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P", config={"stop_timeout": 0.01})
    source = bspump.common.InternalSource(pump.app, pipeline, config={"queue_max_size": 2})
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        pipeline.throttle("test")
        source.put(None, 1)
        source.put(None, 2)
        waiting = asyncio.ensure_future(source.put_async(None, 3))
        await asyncio.sleep(0)
        await pipeline.stop()
        with pytest.raises(bspump.PipelineError, match="was stopped"):
            await asyncio.wait_for(waiting, 5)

    pump.run(scenario, pipeline)


@pytest.mark.parametrize(("size", "maxsize"), [(0, 0), (1, 2), (5, 5)])
def test_the_size_of_a_queue(pump: PumpRunner, size: int, maxsize: int) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = bspump.common.InternalSource(pump.app, pipeline, config={"queue_max_size": size})
    assert source.Queue.maxsize == maxsize
    for number in range(maxsize or 1000):
        source.put(None, number)
    assert source.Queue.full() is (maxsize > 0)
    assert source.BackPressure is (maxsize > 0)
