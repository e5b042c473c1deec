"""Iterators, printing, tees, routers and direct sources."""

from __future__ import annotations

import io
from typing import Any

import pytest

import bspump
from bspump._copying import copy_event
from bspump.common import (
    DirectSource,
    InternalSource,
    IteratorGenerator,
    IteratorSource,
    NullSink,
    PPrintContextProcessor,
    PPrintProcessor,
    PPrintSink,
    PrintContextProcessor,
    PrintProcessor,
    PrintSink,
    RouterProcessor,
    RouterSink,
    TeeProcessor,
    TeeSource,
)
from bspump.testing import MemorySink, MemorySource, PumpRunner, until
from bspump.trigger import OpportunisticTrigger, PubSubTrigger

# Iterators


def test_one_cycle_brings_everything_that_an_iterator_has(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = IteratorSource(pump.app, pipeline, (number * 2 for number in range(5000)))
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source.on(PubSubTrigger(pump.app, "go!")), sink)

    async def scenario() -> None:
        pump.app.PubSub.publish("go!")
        await sink.wait_for(5000)

    pump.run(scenario, pipeline)
    assert sink.events == list(range(0, 10_000, 2))


def test_an_iterator_goes_on_after_an_error_without_leaving_anything_out(pump: PumpRunner) -> None:
    class Fragile(bspump.Processor):
        bad = 70

        def process(self, context: bspump.Context, event: int) -> int:
            if event == self.bad:
                raise ValueError(event)
            return event

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = IteratorSource(pump.app, pipeline, iter(range(3000))), MemorySink(pump.app, pipeline)
    fragile = Fragile(pump.app, pipeline)
    pipeline.build(source.on(OpportunisticTrigger(pump.app)), fragile, sink)

    async def scenario() -> None:
        await until(pipeline.is_error)
        fragile.bad = -1
        pipeline.set_error(None, None, None)
        await sink.wait_for(3000)

    pump.run(scenario, pipeline)
    assert sink.events == list(range(3000))


def test_an_iterator_that_fails_stops_the_pipeline_after_what_it_gave(pump: PumpRunner) -> None:
    def broken() -> Any:
        yield 1
        raise OSError("end of the world")

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = IteratorSource(pump.app, pipeline, broken()), MemorySink(pump.app, pipeline)
    pipeline.build(source.on(OpportunisticTrigger(pump.app)), sink)
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert sink.events == [1]
    assert "P.*IteratorSource: OSError: end of the world" in pipeline.rest_get()["Error"]


def test_an_iterator_generator_gives_each_item_the_context_of_the_whole(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, [[1, 2], (), {"a": 1}], contexts=[{"n": 1}, {"n": 2}, {"n": 3}])
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, IteratorGenerator(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(3)

    pump.run(scenario, pipeline)
    pairs = sorted(zip(map(str, sink.events), (context["n"] for context in sink.contexts), strict=True))
    assert pairs == [("1", 1), ("2", 1), ("a", 3)]


# Printing


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PrintSink, "{'event': 'x'}\n"),
        (PPrintSink, "{'event': 'x'}\n"),
        (PrintProcessor, "{'event': 'x'}\n"),
        (PPrintProcessor, "{'event': 'x'}\n"),
        (PrintContextProcessor, "{'n': 1}\n"),
        (PPrintContextProcessor, "{'n': 1}\n"),
    ],
)
def test_printing(pump: PumpRunner, kind: Any, expected: str) -> None:
    stream = io.StringIO()
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, [{"event": "x"}], contexts=[{"n": 1}])
    printer = kind(pump.app, pipeline, stream=stream)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, printer, *([] if isinstance(printer, bspump.Sink) else [sink]))
    pump.run(source.finished.wait, pipeline)
    assert printer.Stream is stream
    assert stream.getvalue() == expected
    assert sink.events == ([] if isinstance(printer, bspump.Sink) else [{"event": "x"}])


def test_long_values_are_laid_out_over_several_lines(pump: PumpRunner) -> None:
    stream = io.StringIO()
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, [{f"key {number}": "x" * 20 for number in range(5)}])
    pipeline.build(source, PPrintSink(pump.app, pipeline, stream=stream))
    pump.run(source.finished.wait, pipeline)
    assert len(stream.getvalue().splitlines()) == 5


def test_the_standard_output_is_the_default(pump: PumpRunner, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, ["to the console"])
    pipeline.build(source, PrintSink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert "to the console\n" in capsys.readouterr().out


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_null_sink_takes_everything(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(100), one_by_one=one_by_one)
    pipeline.build(source, NullSink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert (pipeline._counts.out, pipeline._counts.dropped) == (100, 0)
    assert source.commits[-1] == 100


# Tees


class Spoil(bspump.Processor):
    """Changes events and contexts in place."""

    def process(self, context: bspump.Context, event: dict[str, Any]) -> dict[str, Any]:
        event["list"].append("spoilt")
        return event


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("bind_at", ["processor", "source"])
def test_a_tee_hands_out_copies(pump: PumpRunner, bind_at: str, one_by_one: bool) -> None:
    main, copy = bspump.Pipeline(pump.app, "Main"), bspump.Pipeline(pump.app, "Copy")
    events = [{"n": number, "list": [1]} for number in range(100)]
    source = MemorySource(pump.app, main, events, one_by_one=one_by_one, contexts=[{"n": n} for n in range(100)])
    tee, tee_source = TeeProcessor(pump.app, main), TeeSource(pump.app, copy)
    if bind_at == "processor":
        assert tee.bind("Copy.*TeeSource") is tee
        tee.bind("Copy.*TeeSource")
    else:
        assert tee_source.bind("Main.TeeProcessor") is tee_source
    sink, copy_sink = MemorySink(pump.app, main), MemorySink(pump.app, copy)
    main.build(source, tee, Spoil(pump.app, main), sink)
    copy.build(tee_source, copy_sink)

    async def scenario() -> None:
        await sink.wait_for(100)
        await copy_sink.wait_for(100)

    pump.run(scenario, main, copy)
    assert [event["n"] for event in sink.events] == list(range(100))
    assert {str(event["list"]) for event in sink.events} == {"[1, 'spoilt']"}
    assert copy_sink.events == [{"n": number, "list": [1]} for number in range(100)]
    assert [context["ancestor"]["n"] for context in copy_sink.contexts] == list(range(100))


def test_a_tee_may_have_several_targets_which_may_be_taken_away(pump: PumpRunner) -> None:
    main, one, two = (bspump.Pipeline(pump.app, id) for id in ("Main", "One", "Two"))
    source = InternalSource(pump.app, main)
    tee = TeeProcessor(pump.app, main).bind("One.*TeeSource").bind("Two.*TeeSource")
    sinks = [MemorySink(pump.app, pipeline) for pipeline in (main, one, two)]
    main.build(source, tee, sinks[0])
    for pipeline, sink in ((one, sinks[1]), (two, sinks[2])):
        pipeline.build(TeeSource(pump.app, pipeline), sink)

    async def scenario() -> None:
        source.put(None, "a")
        for sink in sinks:
            await sink.wait_for(1)
        assert tee.unbind("One.*TeeSource") is tee
        tee.unbind("One.*TeeSource")
        source.put(None, "b")
        await sinks[0].wait_for(2)
        await sinks[2].wait_for(2)

    pump.run(scenario, main, one, two)
    assert [sink.events for sink in sinks] == [["a", "b"], ["a"], ["a", "b"]]


def test_a_tee_source_gives_its_binding_up_when_its_pipeline_stops(pump: PumpRunner) -> None:
    main, copy = bspump.Pipeline(pump.app, "Main"), bspump.Pipeline(pump.app, "Copy")
    source, sink, copy_sink = InternalSource(pump.app, main), MemorySink(pump.app, main), MemorySink(pump.app, copy)
    main.build(source, TeeProcessor(pump.app, main), sink)
    copy.build(TeeSource(pump.app, copy).bind("Main.TeeProcessor"), copy_sink)

    async def scenario() -> None:
        source.put(None, "a")
        await copy_sink.wait_for(1)
        await copy.stop()
        assert main.is_ready()
        source.put(None, "b")
        await sink.wait_for(2)
        copy.start()
        source.put(None, "c")
        await copy_sink.wait_for(2)

    pump.run(scenario, main, copy)
    assert copy_sink.events == ["a", "c"]


def test_a_tee_source_ends_without_a_word_when_its_tee_is_gone(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, copies = bspump.Pipeline(pump.app, "P"), bspump.Pipeline(pump.app, "C")
    source, sink = MemorySource(pump.app, pipeline, [1]), MemorySink(pump.app, copies)
    pipeline.build(source, TeeProcessor(pump.app, pipeline), NullSink(pump.app, pipeline))
    copies.build(TeeSource(pump.app, copies).bind("P.TeeProcessor"), sink)

    async def scenario() -> None:
        await sink.wait_for(1)
        pump.service.del_pipeline("P")
        await until(lambda: not pipeline._life_cycle.is_running)

    pump.run(scenario, pipeline, copies)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_tee_source_bound_to_nothing_is_a_configuration_problem(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(TeeSource(pump.app, pipeline).bind("Q.TeeProcessor"), NullSink(pump.app, pipeline))

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline)
    assert "TeeSource('P.*TeeSource') cannot bind to 'Q.TeeProcessor'" in caplog.text


# Routers


def test_a_router_chooses_the_target_event_by_event(pump: PumpRunner) -> None:
    class BySize(RouterProcessor):
        def process(self, context: bspump.Context, event: int) -> int | None:
            self.route(context, event, "Small" if event < 5 else "Big.*InternalSource")
            if event == 3:
                self.dispatch(context, event, "Big.*InternalSource")
            return event

    main, small, big = (bspump.Pipeline(pump.app, id) for id in ("Main", "Small", "Big"))
    sinks = [MemorySink(pump.app, pipeline) for pipeline in (main, small, big)]
    main.build(
        MemorySource(pump.app, main, range(10), contexts=[{"n": n} for n in range(10)]),
        BySize(pump.app, main),
        sinks[0],
    )
    for pipeline, sink in ((small, sinks[1]), (big, sinks[2])):
        pipeline.build(InternalSource(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sinks[0].wait_for(10)
        await sinks[1].wait_for(5)
        await sinks[2].wait_for(6)

    pump.run(scenario, main, small, big)
    assert [sink.events for sink in sinks] == [list(range(10)), [0, 1, 2, 3, 4], [3, 5, 6, 7, 8, 9]]
    assert sinks[1].contexts == [{"ancestor": {"n": number}} for number in range(5)]


@pytest.mark.parametrize("copy_event", [False, True])
def test_a_router_copies_events_unless_it_is_told_not_to(pump: PumpRunner, copy_event: bool) -> None:
    class Route(RouterSink):
        def process(self, context: bspump.Context, event: Any) -> None:
            self.route(context, event, "Q", copy_event=copy_event)

    main, other = bspump.Pipeline(pump.app, "P"), bspump.Pipeline(pump.app, "Q")
    event: dict[str, Any] = {"nested": [1]}
    sink = MemorySink(pump.app, other)
    main.build(MemorySource(pump.app, main, [event]), Route(pump.app, main))
    other.build(InternalSource(pump.app, other), sink)

    async def scenario() -> None:
        await sink.wait_for(1)

    pump.run(scenario, main, other)
    assert sink.events == [event]
    assert (sink.events[0] is event) is not copy_event
    assert (sink.events[0]["nested"] is event["nested"]) is not copy_event


def test_copies_of_events_are_deep_whatever_they_are() -> None:
    class Point:
        def __init__(self) -> None:
            self.xy = [1, 2]

    event: dict[Any, Any] = {"list": [{"a": [1]}], "tuple": ([1],), "set": {1}, "point": Point(), 1: b"bytes"}
    copied = copy_event(event)
    assert {**copied, "point": None} == {**event, "point": None}
    for path in (lambda e: e["list"][0]["a"], lambda e: e["tuple"][0], lambda e: e["set"], lambda e: e["point"].xy):
        assert path(copied) is not path(event)
    around: list[Any] = [1]
    around.append(around)
    copied = copy_event(around)
    assert copied is not around
    assert copied[1] is copied


def test_a_route_to_nowhere_says_what_was_expected(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    router = TeeProcessor(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline), router, NullSink(pump.app, pipeline))
    pump.service.add_pipeline(pipeline)
    for address in ("Q.*InternalSource", "P.*MemorySource", "P", "P.NullSink"):
        with pytest.raises(bspump.ConfigurationError, match="expected the address of an internal or direct source"):
            router.locate(address)


# Direct sources


def test_a_direct_source_processes_within_the_call(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = DirectSource(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)
    context: bspump.Context = {"nested": [1]}
    event: dict[str, Any] = {"nested": [1]}

    async def scenario() -> None:
        source.put(context, event)
        source.put(context, event, copy_context=True, copy_event=True)
        source.put(None, 0)
        pipeline.throttle("test")
        source.put(None, "throttled")
        pipeline.throttle("test", False)
        assert sink.events == [event, event, 0, "throttled"]

    pump.run(scenario, pipeline)
    assert sink.events[0] is event
    assert sink.events[1]["nested"] is not event["nested"]
    assert sink.contexts[0]["ancestor"] is context
    assert sink.contexts[1] == {"ancestor": context}
    assert sink.contexts[1]["ancestor"]["nested"] is not context["nested"]
    assert sink.contexts[2] == {"ancestor": {}}
    assert pipeline._counts.entered == 4


def test_a_direct_source_raises_what_goes_wrong(pump: PumpRunner) -> None:
    class Broken(bspump.Sink):
        def process(self, context: bspump.Context, event: Any) -> None:
            raise LookupError(event)

    pipeline = bspump.Pipeline(pump.app, "P")
    source = DirectSource(pump.app, pipeline)
    pipeline.build(source, Broken(pump.app, pipeline))

    async def scenario() -> None:
        with pytest.raises(LookupError):
            source.put(None, 1)
        assert pipeline.is_error()
        with pytest.raises(bspump.PipelineError, match="takes no events"):
            source.put(None, 2)
        pipeline.set_error(None, None, None)
        with pytest.raises(LookupError):
            source.put(None, 3)
        pipeline.set_error(None, None, None)

    with pytest.raises(bspump.PipelineError, match="takes no events"):
        source.put(None, 0)
    pump.run(scenario, pipeline)


def test_a_router_into_a_direct_source(pump: PumpRunner) -> None:
    class Route(RouterSink):
        def process(self, context: bspump.Context, event: Any) -> None:
            self.route(context, event, "Q.*DirectSource")

    main, other = bspump.Pipeline(pump.app, "P"), bspump.Pipeline(pump.app, "Q")
    source, sink = MemorySource(pump.app, main, range(100)), MemorySink(pump.app, other)
    router = Route(pump.app, main)
    main.build(source, router)
    other.build(DirectSource(pump.app, other), sink)
    main.throttle("until the route is there")

    async def scenario() -> None:
        router.locate("Q.*DirectSource")
        main.throttle("until the route is there", False)
        await sink.wait_for(100)

    pump.run(scenario, main, other)
    assert sink.events == list(range(100))
    assert source.commits[-1] == 100


def test_an_internal_source_keeps_the_context_as_ancestor(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = InternalSource(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)
    context: bspump.Context = {"nested": [1]}

    async def scenario() -> None:
        source.put(context, [1], copy_context=True, copy_event=True)
        source.put(None, 0)
        await source.put_async(context, 2)
        await sink.wait_for(3)

    pump.run(scenario, pipeline)
    assert sink.events == [[1], 0, 2]
    assert sink.contexts == [{"ancestor": {"nested": [1]}}, {"ancestor": {}}, {"ancestor": {"nested": [1]}}]
    assert sink.contexts[0]["ancestor"]["nested"] is not context["nested"]
    assert sink.contexts[2]["ancestor"] is context
