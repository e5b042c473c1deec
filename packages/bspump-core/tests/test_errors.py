"""What happens to an event, its pipeline and the pipelines before it when something fails."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Fragile(bspump.Processor):
    """Fails at the events in `bad`."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, *bad: Any, id: str = "Fragile"):
        super().__init__(app, pipeline, id=id)
        self.bad = set(bad)

    def process(self, context: bspump.Context, event: Any) -> Any:
        if event in self.bad:
            raise ValueError(f"bad {event}")
        return event


class FragileBatch(Fragile):
    def process_batch(
        self, contexts: list[bspump.Context], events: list[Any]
    ) -> tuple[list[bspump.Context], list[Any]]:
        if self.bad.intersection(events):
            raise ValueError("bad batch")
        return contexts, events


class Pass(bspump.Processor):
    def process(self, context: bspump.Context, event: Any) -> Any:
        return event


class PassBatch(Pass):
    def process_batch(
        self, contexts: list[bspump.Context], events: list[Any]
    ) -> tuple[list[bspump.Context], list[Any]]:
        return contexts, events


class NewContexts(Pass):
    """Replaces the contexts, as a batch-native processor may."""

    def process_batch(
        self, contexts: list[bspump.Context], events: list[Any]
    ) -> tuple[list[bspump.Context], list[Any]]:
        return [{**context, "new": True} for context in contexts], events


class FragileSink(MemorySink):
    bad: Any = None

    def process(self, context: bspump.Context, event: Any) -> None:
        if event == self.bad:
            raise ValueError(f"bad {event}")
        super().process(context, event)


class Judge(bspump.Pipeline):
    """Remembers what it was asked, and calls errors soft if told so."""

    def __init__(self, app: bspump.BSPumpApplication, id: str = "P", soft: bool = False, **config: Any) -> None:
        super().__init__(app, id, config=config)
        self.soft = soft
        self.asked: list[tuple[BaseException, bspump.Context | None, Any]] = []

    def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
        self.asked.append((exception, context, event))
        return self.soft


class Listener:
    """Calls a function on each of the messages of a pipeline; asab keeps subscribers by weak references only."""

    def __init__(self, pipeline: bspump.Pipeline, message: str, function: Callable[[], Any]) -> None:
        self.function = function
        self.count = 0
        pipeline.PubSub.subscribe(message, self.call)

    def call(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        self.count += 1
        self.function()


def clear(pipeline: bspump.Pipeline) -> None:
    pipeline.set_error(None, None, None)


# Soft errors


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_soft_error_drops_the_event_and_counts_a_warning(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = Judge(pump.app, soft=True)
    source = MemorySource(pump.app, pipeline, "abc", contexts=[{"n": n} for n in range(3)], one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, Fragile(pump.app, pipeline, "b"), sink)
    warnings = Listener(pipeline, "bspump.pipeline.warning!", lambda: None)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == ["a", "c"]
    [(error, context, event)] = pipeline.asked
    assert (str(error), context, event) == ("bad b", {"n": 1}, "b")
    assert (pipeline._counts.warnings, pipeline._counts.errors, warnings.count) == (1, 0, 1)
    assert source.commits[-1] == 3


def test_the_handler_sees_the_event_as_the_failing_processor_got_it(pump: PumpRunner) -> None:
    class Wrap(bspump.Processor):
        def process(self, context: bspump.Context, event: Any) -> Any:
            context["wrapped"] = True
            return f"<{event}>"

    pipeline = Judge(pump.app, soft=True)
    source = MemorySource(pump.app, pipeline, "ab")
    pipeline.build(source, Wrap(pump.app, pipeline), Fragile(pump.app, pipeline, "<b>"), MemorySink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert [(context, event) for _, context, event in pipeline.asked] == [({"wrapped": True}, "<b>")]


def test_a_handler_that_fails_makes_the_error_hard(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    class Confused(bspump.Pipeline):
        def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
            raise KeyError("severity")

    pipeline = Confused(pump.app, "P")
    pipeline.build(
        MemorySource(pump.app, pipeline, [1]), Fragile(pump.app, pipeline, 1), MemorySink(pump.app, pipeline)
    )
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert "handle_error() itself failed" in caplog.text
    assert "bad 1" in pipeline.rest_get()["Error"]


# Hard errors with on_error = stop


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_hard_error_stops_the_pipeline_and_says_where_and_why(
    pump: PumpRunner, one_by_one: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, "abc", one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, Pass(pump.app, pipeline), Fragile(pump.app, pipeline, "b"), sink)
    stops = Listener(pipeline, "bspump.pipeline.error!", lambda: None)

    async def scenario() -> None:
        await until(pipeline.is_error)
        await until(lambda: source.commits)
        assert not pipeline.is_ready()
        description = pipeline.rest_get()
        assert description["Error"] == "Pipeline 'P' stopped at P.Fragile: ValueError: bad b, event 'b'"
        assert abs(description["ErrorTimestamp"] - pipeline.time()) < 60
        assert description["Error"] in caplog.text

    pump.run(scenario, pipeline)
    assert sink.events == ["a"]
    assert (stops.count, pipeline._counts.errors) == (1, 1)
    assert source.commits == [1]


SEGMENTS: dict[str, list[type[Fragile] | type[Pass]]] = {
    "one": [Fragile],
    "fused": [Pass, Fragile, Pass],
    "native": [FragileBatch],
    "native behind": [Pass, PassBatch, Pass, Fragile],
    "native before": [Fragile, PassBatch, Pass],
    "mixed": [PassBatch, Pass, FragileBatch, Pass, PassBatch],
}


def make(pump: PumpRunner, pipeline: bspump.Pipeline, segments: str, *bad: int) -> list[bspump.Processor]:
    """Make the processors of one of the SEGMENTS."""
    return [
        kind(pump.app, pipeline, *bad, id=f"X{n}")
        if issubclass(kind, Fragile)
        else kind(pump.app, pipeline, id=f"X{n}")
        for n, kind in enumerate(SEGMENTS[segments])
    ]


async def stopped_after(pipeline: bspump.Pipeline, source: MemorySource, position: int) -> None:
    await until(lambda: pipeline.is_error() and source.commits and source.commits[-1] == position)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("segments", SEGMENTS)
def test_a_stop_within_a_batch_commits_exactly_up_to_the_last_good_event_and_goes_on_from_there(
    pump: PumpRunner, segments: str, one_by_one: bool
) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(100), one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    processors = make(pump, pipeline, segments, 17)
    pipeline.build(source, *processors, sink)

    async def scenario() -> None:
        await until(lambda: pipeline.is_error() and source.commits)
        assert sink.events == list(range(17))
        assert source.commits[-1] == 17
        for processor in processors:
            if isinstance(processor, Fragile):
                processor.bad.clear()
        clear(pipeline)
        await source.finished.wait()

    pump.run(scenario, pipeline)
    assert sink.events == list(range(100))
    assert source.commits[-1] == 100
    assert pipeline._counts.entered == 101


def test_two_bad_events_in_different_segments_stop_at_the_first(pump: PumpRunner) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(30))
    sink = MemorySink(pump.app, pipeline)
    early, late = Fragile(pump.app, pipeline, 20), Fragile(pump.app, pipeline, 10, id="Late")
    pipeline.build(source, early, PassBatch(pump.app, pipeline), late, sink)

    async def scenario() -> None:
        for bad, fragile in ((10, late), (20, early)):
            await stopped_after(pipeline, source, bad)
            fragile.bad.clear()
            clear(pipeline)
        await source.finished.wait()

    pump.run(scenario, pipeline)
    assert sink.events == list(range(30))


def test_an_error_behind_a_processor_that_renews_contexts_loses_nothing(pump: PumpRunner) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(30))
    sink = MemorySink(pump.app, pipeline)
    fragile = Fragile(pump.app, pipeline, 10)
    pipeline.build(source, NewContexts(pump.app, pipeline), fragile, sink)

    async def scenario() -> None:
        await until(pipeline.is_error)
        fragile.bad.clear()
        clear(pipeline)
        await source.finished.wait()

    pump.run(scenario, pipeline)
    assert set(sink.events) == set(range(30))
    assert source.commits == [30]


def test_a_failing_sink_stops_the_pipeline_like_a_processor(pump: PumpRunner) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(10))
    sink = FragileSink(pump.app, pipeline)
    sink.bad = 5
    pipeline.build(source, sink)

    async def scenario() -> None:
        await until(lambda: pipeline.is_error() and source.commits)
        assert "stopped at P.FragileSink: ValueError: bad 5, event 5" in pipeline.rest_get()["Error"]
        sink.bad = None
        clear(pipeline)
        await source.finished.wait()

    pump.run(scenario, pipeline)
    assert sink.events == list(range(10))
    assert source.commits == [5, 10]


def test_a_second_error_is_shown_in_place_of_the_first(pump: PumpRunner) -> None:
    pipeline = Judge(pump.app)
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        pipeline.set_error({"n": 1}, "one", ValueError("first"))
        pipeline.set_error(None, None, ValueError("second"))
        assert "second" in pipeline.rest_get()["Error"]
        clear(pipeline)
        assert not pipeline.is_error()
        assert pipeline.is_ready()
        clear(pipeline)

    pump.run(scenario, pipeline)
    assert [(str(error), context, event) for error, context, event in pipeline.asked] == [
        ("first", {"n": 1}, "one"),
        ("second", None, None),
    ]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_clearing_from_within_the_error_message_goes_on_at_once(pump: PumpRunner, one_by_one: bool) -> None:
    """Cleared before the exception has even reached the source."""
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(10), one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    fragile = Fragile(pump.app, pipeline, 3)
    pipeline.build(source, fragile, sink)

    def heal() -> None:
        fragile.bad.clear()
        clear(pipeline)

    listener = Listener(pipeline, "bspump.pipeline.error!", heal)
    pump.run(source.finished.wait, pipeline)
    assert sink.events[-7:] == list(range(3, 10))
    assert set(sink.events) == set(range(10))
    assert (listener.count, pipeline._counts.errors) == (1, 1)


def test_clearing_from_within_the_error_message_of_a_generators_event(pump: PumpRunner) -> None:
    class Fan(bspump.Generator):
        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            try:
                self.Pipeline.inject(context, event, depth)
            finally:
                await asyncio.sleep(0)

    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, range(10))
    sink = FragileSink(pump.app, pipeline)
    sink.bad = 3
    pipeline.build(source, Fan(pump.app, pipeline), sink)

    def heal() -> None:
        sink.bad = None
        clear(pipeline)

    listener = Listener(pipeline, "bspump.pipeline.error!", heal)

    async def scenario() -> None:
        await until(lambda: source.commits and source.commits[-1] == 10)

    pump.run(scenario, pipeline)
    assert set(sink.events) == set(range(10))
    assert (listener.count, pipeline._counts.errors) == (1, 1)


def test_the_signal_usr1_clears_every_error(pump: PumpRunner) -> None:
    pipelines = [Judge(pump.app, id) for id in "PQR"]
    for pipeline in pipelines:
        pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        for pipeline in pipelines[:2]:
            pipeline.set_error(None, None, ValueError("stop"))
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: all(pipeline.is_ready() for pipeline in pipelines))

    pump.run(scenario, *pipelines)


# Sources and generators


def test_a_failed_source_starts_again_once_cleared(pump: PumpRunner) -> None:
    class Unlucky(bspump.Source):
        attempts = 0

        async def main(self) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise OSError(f"attempt {self.attempts}")
            await self.process("at last")
            await self.stopped()

    pipeline = Judge(pump.app)
    source, sink = Unlucky(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        for attempt in (1, 2):
            await until(pipeline.is_error)
            assert f"stopped at P.*Unlucky: OSError: attempt {attempt}" in pipeline.rest_get()["Error"]
            clear(pipeline)
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert [(type(error), context, event) for error, context, event in pipeline.asked] == [(OSError, None, None)] * 2


def test_a_source_whose_failure_is_soft_starts_again_by_itself(
    pump: PumpRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump._error_state._RESTART_DELAY", 0.001)

    class Unlucky(bspump.Source):
        attempts = 0

        async def main(self) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise OSError(f"attempt {self.attempts}")
            await self.process("at last")

    pipeline = Judge(pump.app, soft=True)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(Unlucky(pump.app, pipeline), sink)

    async def scenario() -> None:
        await sink.wait_for(1)
        assert not pipeline.is_error()

    pump.run(scenario, pipeline)
    assert pipeline._counts.warnings == 2


def test_a_generators_error_comes_with_its_context_and_event(pump: PumpRunner) -> None:
    class Broken(bspump.Generator):
        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            await asyncio.sleep(0)
            raise LookupError(event)

    pipeline = Judge(pump.app, on_error="skip")
    source = MemorySource(pump.app, pipeline, "ab", contexts=[{"n": 1}, {"n": 2}])
    pipeline.build(source, Broken(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: len(pipeline.asked) == 2)

    pump.run(scenario, pipeline)
    assert [(type(error), context, event) for error, context, event in pipeline.asked] == [
        (LookupError, {"n": 1}, "a"),
        (LookupError, {"n": 2}, "b"),
    ]


@pytest.mark.parametrize("is_native", [False, True])
def test_an_error_behind_a_generator_is_asked_about_once_and_lets_the_source_go_back(
    pump: PumpRunner, is_native: bool
) -> None:
    pipeline = Judge(pump.app)
    source = MemorySource(pump.app, pipeline, [range(5), range(5, 10)], contexts=[{"n": 1}, {"n": 2}])
    sink = MemorySink(pump.app, pipeline)
    fragile = (FragileBatch if is_native else Fragile)(pump.app, pipeline, 7)
    pipeline.build(source, bspump.common.IteratorGenerator(pump.app, pipeline), fragile, sink)

    async def scenario() -> None:
        await until(pipeline.is_error)
        with pytest.raises(bspump.PipelineError, match="bad 7"):
            await pipeline.checkpoint()
        with pytest.raises(bspump.PipelineError, match="bad 7"):
            await source.commit_now()
        fragile.bad.clear()
        clear(pipeline)
        await until(lambda: source.commits and source.commits[-1] == 2)

    pump.run(scenario, pipeline)
    assert [(context, event) for _, context, event in pipeline.asked] == [({"n": 2}, 7)]
    assert set(sink.events) == set(range(10))


def test_a_cancellation_from_within_is_an_error_and_not_the_quiet_end_of_an_event(pump: PumpRunner) -> None:
    """Whatever is awaited may be cancelled by somebody else."""

    async def await_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    class Waiting(bspump.Generator):
        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            await await_cancelled()

    class WaitingSource(bspump.Source):
        async def main(self) -> None:
            await await_cancelled()

    first, second = Judge(pump.app, "P"), Judge(pump.app, "Q")
    first.build(MemorySource(pump.app, first, ["x"]), Waiting(pump.app, first), MemorySink(pump.app, first))
    second.build(WaitingSource(pump.app, second), MemorySink(pump.app, second))

    async def scenario() -> None:
        await until(lambda: first.is_error() and second.is_error())

    pump.run(scenario, first, second)
    assert first.asked[0][2] == "x"
    assert "P.Waiting" in first.rest_get()["Error"]
    assert "Q.*WaitingSource" in second.rest_get()["Error"]


def test_a_commit_that_fails_stops_the_pipeline_and_is_tried_again_once_cleared(
    pump: PumpRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bspump.abc.source._RETRY_COMMIT", 0.001)

    class Forgetful(MemorySource):
        is_broken = True

        async def commit(self, position: int) -> None:
            if self.is_broken:
                raise OSError("disk full")
            await super().commit(position)

    pipeline = Judge(pump.app)
    source = Forgetful(pump.app, pipeline, range(5))
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(pipeline.is_error)
        assert "P.*Forgetful: OSError: disk full" in pipeline.rest_get()["Error"]
        source.is_broken = False
        clear(pipeline)
        await until(lambda: source.commits == [5])

    pump.run(scenario, pipeline)


def test_what_a_source_raises_while_it_is_being_sent_back_is_no_new_error(pump: PumpRunner) -> None:
    class Clumsy(MemorySource):
        clean_ups = 0

        async def main(self) -> None:
            try:
                await super().main()
            finally:
                self.clean_ups += 1
                raise ConnectionResetError("cannot say goodbye")

    pipeline = Judge(pump.app)
    source = Clumsy(pump.app, pipeline, range(5))
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await source.finished.wait()
        source.finished.clear()
        pipeline.set_error(None, None, ValueError("an event was lost"))
        clear(pipeline)
        await source.finished.wait()
        assert source.clean_ups == 1
        assert not pipeline.is_error()

    pump.run(scenario, pipeline)
    assert str(pipeline.asked[0][0]) == "an event was lost"


@pytest.mark.parametrize("soft", [False, True])
def test_what_cannot_be_opened_stops_the_pipeline_until_it_can(pump: PumpRunner, soft: bool) -> None:
    class Locked(MemorySink):
        is_locked = True
        opened = 0

        async def open(self) -> None:
            if self.is_locked:
                raise PermissionError("locked")
            self.opened += 1

    pipeline = Judge(pump.app, soft=soft)
    source, sink = MemorySource(pump.app, pipeline, range(5)), Locked(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await until(pipeline.is_error)
        assert "stopped at P.Locked: PermissionError: locked" in pipeline.rest_get()["Error"]
        assert source.Task is None
        sink.is_locked = False
        clear(pipeline)
        await sink.wait_for(5)

    pump.run(scenario, pipeline)
    assert sink.opened == 1


def test_malformed_input_goes_the_way_of_a_failed_event(pump: PumpRunner) -> None:
    class Lines(bspump.Source):
        async def main(self) -> None:
            await self.reject(ValueError("no comma"), b"xyz", {"line": 7})
            await self.process("after it")

    skipping, stopping = Judge(pump.app, "P", on_error="skip"), Judge(pump.app, "Q")
    sink = MemorySink(pump.app, skipping)
    skipping.build(Lines(pump.app, skipping), sink)
    stopping.build(Lines(pump.app, stopping), MemorySink(pump.app, stopping))

    async def scenario() -> None:
        await sink.wait_for(1)
        await until(stopping.is_error)

    pump.run(scenario, skipping, stopping)
    for pipeline in (skipping, stopping):
        assert [(str(error), context, event) for error, context, event in pipeline.asked] == [
            ("no comma", {"line": 7}, b"xyz")
        ]
    assert "stopped at Q.*Lines: ValueError: no comma, event b'xyz'" in stopping.rest_get()["Error"]


# on_error = skip and dead_letter


@pytest.mark.parametrize("segments", SEGMENTS)
def test_skip_goes_on_without_the_bad_events_only(pump: PumpRunner, segments: str) -> None:
    pipeline = Judge(pump.app, on_error="skip")
    source = MemorySource(pump.app, pipeline, range(100))
    sink = MemorySink(pump.app, pipeline)
    processors = make(pump, pipeline, segments, 17, 56)
    pipeline.build(source, *processors, sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == [event for event in range(100) if event not in (17, 56)]
    assert (pipeline._counts.errors, pipeline._counts.out) == (2, 98)
    assert source.commits[-1] == 100


def test_many_skipped_events_are_not_logged_one_by_one(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Judge(pump.app, on_error="skip")
    source = MemorySource(pump.app, pipeline, range(1000))
    pipeline.build(source, Fragile(pump.app, pipeline, *range(1000)), MemorySink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    lines = [line for line in caplog.text.splitlines() if "event skipped at P.Fragile: ValueError: bad" in line]
    assert len(lines) < 20
    assert "bad 0, event 0 (1 so far)" in lines[0]
    assert "(512 so far)" in lines[-1]
    assert pipeline._counts.errors == 1000


class HeldSink(MemorySink):
    """Is durable when the test says so."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.durable = asyncio.Event()
        self.asked = asyncio.Event()

    async def checkpoint(self) -> None:
        self.asked.set()
        await self.durable.wait()


def with_dead_letters(
    pump: PumpRunner, **options: Any
) -> tuple[Judge, MemorySource, MemorySink, bspump.Pipeline, HeldSink]:
    letters = bspump.Pipeline(pump.app, "Letters")
    held = HeldSink(pump.app, letters)
    letters.build(bspump.common.InternalSource(pump.app, letters), held)
    pipeline = Judge(pump.app, on_error="dead_letter", dead_letter="Letters")
    source = MemorySource(pump.app, pipeline, range(10), contexts=[{"n": n} for n in range(10)], **options)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, Fragile(pump.app, pipeline, 4), sink)
    return pipeline, source, sink, letters, held


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_dead_letter_says_all_that_is_known(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline, _, sink, letters, held = with_dead_letters(pump, one_by_one=one_by_one)
    held.durable.set()

    async def scenario() -> None:
        await held.wait_for(1)
        await sink.wait_for(9)

    pump.run(scenario, pipeline, letters)
    [letter] = held.events
    assert abs(letter.pop("time") - pump.app.time()) < 60
    assert "ValueError: bad 4" in letter["exception"].pop("traceback")
    assert letter == {
        "event": 4,
        "context": {"n": 4},
        "pipeline": "P",
        "stage": "P.Fragile",
        "exception": {"type": "ValueError", "message": "bad 4"},
        "attempts": 1,
        "origin": {"source": "P.*MemorySource", "position": 4 if one_by_one else None},
    }
    assert sink.events == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_dead_letter_from_behind_a_generator_claims_no_origin(pump: PumpRunner) -> None:
    class Late(bspump.Generator):
        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            await asyncio.sleep(0)
            raise LookupError(event)

    pipeline, _, _, letters, held = with_dead_letters(pump)
    held.durable.set()
    pipeline.remove_processor("Fragile")
    pipeline.insert_before("MemorySink", Late(pump.app, pipeline))

    async def scenario() -> None:
        await held.wait_for(10)

    pump.run(scenario, pipeline, letters)
    assert {letter["stage"] for letter in held.events} == {"P.Late"}
    assert [letter["origin"] for letter in held.events] == [{"source": None, "position": None}] * 10


def test_nothing_is_committed_before_the_dead_letters_are_durable(pump: PumpRunner) -> None:
    pipeline, source, _, letters, held = with_dead_letters(pump)

    async def scenario() -> None:
        await source.finished.wait()
        await held.asked.wait()
        assert source.commits == []
        held.durable.set()
        await until(lambda: source.commits == [10])

    pump.run(scenario, pipeline, letters)


def test_dead_letters_that_cannot_be_put_stop_the_pipeline_with_the_event(pump: PumpRunner) -> None:
    pipeline, source, sink, letters, held = with_dead_letters(pump)
    held.durable.set()
    pipeline.throttle("until the letters have stopped")

    async def scenario() -> None:
        await until(letters.is_ready)
        await letters.stop()
        pipeline.throttle(letters, False)
        pipeline.throttle("until the letters have stopped", False)
        await until(pipeline.is_error)
        await until(lambda: source.commits == [4])
        assert "takes no events: its pipeline was stopped, event 4" in pipeline.rest_get()["Error"]
        letters.start()
        await until(letters.is_ready)
        clear(pipeline)
        await source.finished.wait()

    pump.run(scenario, pipeline, letters)
    assert sink.events == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [letter["event"] for letter in held.events] == [4]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("Nowhere", "is no pipeline with an internal source, and no such source"),
        ("P", "is in this very pipeline"),
        ("Q", "is no pipeline with an internal source, and no such source"),
    ],
)
def test_a_useless_address_for_dead_letters_is_a_configuration_problem(
    pump: PumpRunner, address: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    pump.configure("pipeline:P", on_error="dead_letter", dead_letter=address)
    pipeline, other = Judge(pump.app, "P"), Judge(pump.app, "Q")
    pipeline.build(bspump.common.InternalSource(pump.app, pipeline), MemorySink(pump.app, pipeline))
    other.build(MemorySource(pump.app, other), MemorySink(pump.app, other))

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline, other)
    assert f"[pipeline:P] dead_letter: '{address}' {problem}" in caplog.text


def test_dead_letter_without_a_destination_is_a_configuration_problem(pump: PumpRunner) -> None:
    Judge(pump.app, "P", on_error="dead_letter")
    [problem] = pump.service.configuration_problems
    assert problem.startswith("[pipeline:P] dead_letter: '' is not set")


# Pipelines that feed one another


def test_clearing_an_error_that_lost_an_event_makes_the_upstream_source_go_back(pump: PumpRunner) -> None:
    class Fragile(bspump.Generator):
        is_broken = True

        async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
            if self.is_broken:
                raise ValueError("lost")
            await self.Pipeline.inject(context, event, depth)

    a, b = Judge(pump.app, "A"), Judge(pump.app, "B")
    source, sink, fragile = MemorySource(pump.app, a, range(20)), MemorySink(pump.app, b), Fragile(pump.app, b)
    a.build(source, bspump.common.TeeProcessor(pump.app, a).bind("B"), bspump.common.NullSink(pump.app, a))
    b.build(bspump.common.InternalSource(pump.app, b), fragile, sink)

    async def scenario() -> None:
        await until(b.is_error)
        assert source.commits == []
        fragile.is_broken = False
        clear(b)
        await until(lambda: source.commits and source.commits[-1] == 20)

    pump.run(scenario, a, b)
    assert set(sink.events) == set(range(20))


def test_clearing_an_error_downstream_lets_the_upstream_source_commit(pump: PumpRunner) -> None:
    class ToB(bspump.common.RouterSink):
        def process(self, context: bspump.Context, event: Any) -> None:
            self.route(context, event, "B.*InternalSource")

    class ToC(bspump.common.RouterSink):
        def process(self, context: bspump.Context, event: Any) -> None:
            self.route(context, event, "C")

    a, b, c = (Judge(pump.app, id) for id in "ABC")
    source, sink = MemorySource(pump.app, a, range(20)), FragileBufferedSink(pump.app, c)
    a.build(source, ToB(pump.app, a))
    b.build(bspump.common.InternalSource(pump.app, b), ToC(pump.app, b))
    c.build(bspump.common.InternalSource(pump.app, c), sink)

    async def scenario() -> None:
        await until(c.is_error)
        assert source.commits == []
        with pytest.raises(bspump.PipelineError, match="Pipeline 'C' stopped"):
            await a.checkpoint()
        assert not a.is_error()
        assert c in b.get_throttles()
        sink.is_broken = False
        clear(c)
        await until(lambda: source.commits and source.commits[-1] == 20)

    pump.run(scenario, a, b, c)
    assert set(sink.written) == set(range(20))


class FragileBufferedSink(bspump.BufferedSink):
    ConfigDefaults = {"linger": 0.001, "batch_size": 3}
    is_broken = True

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.written: list[Any] = []

    async def write(self, batch: bspump.Batch) -> None:
        if self.is_broken:
            raise bspump.RejectedError("refused")
        self.written.extend(batch)


def test_dead_letters_go_to_the_pipeline_that_took_the_place_of_another(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "dead_letter", "dead_letter": "D"})
    source = bspump.common.InternalSource(pump.app, pipeline)

    class Refusing(bspump.Sink):
        def process(self, context: bspump.Context, event: Any) -> None:
            raise ValueError(event)

    def build_letters() -> tuple[bspump.Pipeline, MemorySink]:
        letters = bspump.Pipeline(pump.app, "D")
        sink = MemorySink(pump.app, letters)
        letters.build(bspump.common.InternalSource(pump.app, letters), sink)
        return letters, sink

    pipeline.build(source, Refusing(pump.app, pipeline))
    first, first_sink = build_letters()

    async def scenario() -> None:
        source.put({}, 1)
        await first_sink.wait_for(1)
        pump.service.del_pipeline("D")
        await until(lambda: not first._life_cycle.is_running)
        second, second_sink = build_letters()
        pump.service.add_pipeline(second)
        await pump.service.initialize(pump.app)
        source.put({}, 2)
        await second_sink.wait_for(1)
        assert [letter["event"] for letter in second_sink.events] == [2]
        pump.service.del_pipeline("D")
        await until(lambda: not second._life_cycle.is_running)
        source.put({}, 3)
        await until(pipeline.is_error)
        assert "have no destination: 'D' is no pipeline" in pipeline.rest_get()["Error"]

    pump.run(scenario, pipeline, first)
