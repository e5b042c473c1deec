"""The buffered sink: batches, retries, rejections, bounded memory, and the delivery contract."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySource, PumpRunner, until

NEVER = "1h"


class Remote(bspump.BufferedSink):
    """Writes what `behave` lets it.

    Attributes:
        batches: what each call of `write` got, whatever became of it.
        written: what is durable.
    """

    ConfigDefaults = {"linger": NEVER, "retry_backoff": 0.0001, "retry_backoff_max": 0.001}

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, **config: Any) -> None:
        super().__init__(app, pipeline, config=config)
        self.behave: Callable[[bspump.Batch], None] = lambda batch: None
        self.open_to_writes = asyncio.Event()
        self.open_to_writes.set()
        self.batches: list[list[Any]] = []
        self.attempts: list[int] = []
        self.written: list[Any] = []
        self.most_buffered = 0
        self.writing = 0
        self.most_writing = 0

    async def write(self, batch: bspump.Batch) -> None:
        self.most_buffered = max(self.most_buffered, self.rest_get()["Buffered"])
        self.batches.append(list(batch))
        self.attempts.append(batch.attempt)
        self.writing += 1
        self.most_writing = max(self.most_writing, self.writing)
        try:
            await self.open_to_writes.wait()
            self.behave(batch)
        finally:
            self.writing -= 1
        self.written.extend(
            event for index, event in enumerate(batch) if index not in batch._rejected and index not in batch._again
        )


class Judge(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, **config: Any) -> None:
        super().__init__(app, "P", config=config)
        self.asked: list[tuple[str, Any, Any]] = []

    def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
        self.asked.append((f"{type(exception).__name__}: {exception}", context, event))
        return False


class Setup:
    def __init__(self, pump: PumpRunner, events: Any = (), on_error: str = "stop", **config: Any) -> None:
        self.pipeline = Judge(pump.app, on_error=on_error)
        self.source = MemorySource(pump.app, self.pipeline, events)
        self.internal = bspump.common.InternalSource(pump.app, self.pipeline, config={"queue_max_size": 0})
        self.sink = Remote(pump.app, self.pipeline, **config)
        self.pipeline.build([self.source, self.internal], self.sink)

    def put(self, *events: Any) -> None:
        for event in events:
            self.internal.put(None, event)


async def has_written(sink: Remote, event: Any) -> None:
    await until(lambda: event in sink.written)


# Batching


def test_a_batch_goes_out_when_it_has_batch_size_events(pump: PumpRunner) -> None:
    setup = Setup(pump, batch_size="3")

    async def scenario() -> None:
        setup.put(*range(7))
        await until(lambda: len(setup.sink.written) == 6)
        assert setup.sink.batches == [[0, 1, 2], [3, 4, 5]]
        assert setup.sink.rest_get()["Buffered"] == 1

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_batch_goes_out_when_it_has_batch_bytes(pump: PumpRunner) -> None:
    setup = Setup(pump, batch_bytes="10")

    async def scenario() -> None:
        setup.put("12345", b"12345", "1234567890123", "1", "2")
        await until(lambda: len(setup.sink.batches) == 2)
        assert setup.sink.batches == [["12345", b"12345"], ["1234567890123"]]

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches[2:] == [["1", "2"]]


def test_a_batch_goes_out_when_its_first_event_has_waited_for_linger(pump: PumpRunner) -> None:
    setup = Setup(pump, linger=0.001)

    async def scenario() -> None:
        for number in range(3):
            setup.put(number)
            await has_written(setup.sink, number)

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0], [1], [2]]


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"batch_bytes": 40}, {"batch_size": 3, "batch_bytes": 25}])
@pytest.mark.parametrize("batch_bytes_zero", [False, True])
def test_events_that_come_together_make_the_same_batches(
    pump: PumpRunner, options: dict[str, Any], batch_bytes_zero: bool
) -> None:
    numbers = random.Random(7)
    pieces = [["x" * numbers.randrange(20) for _ in range(numbers.randrange(12))] for _ in range(30)]
    if batch_bytes_zero:
        options = {**options, "batch_bytes": 0}

    def batches(take: Callable[[Remote, list[str]], None], name: str) -> list[list[str]]:
        pipeline = bspump.Pipeline(pump.app, name)
        sink = Remote(pump.app, pipeline, **options)
        pipeline.build(MemorySource(pump.app, pipeline, []), sink)

        async def scenario() -> None:
            for piece in pieces:
                take(sink, piece)

        pump.run(scenario, pipeline)
        pump.service.del_pipeline(pipeline)
        return sink.batches

    def one_by_one(sink: Remote, events: list[str]) -> None:
        for event in events:
            sink.process({}, event)

    together = batches(lambda sink, events: sink.process_batch([{} for _ in events], events), "Together")
    assert together == batches(one_by_one, "Alone")
    assert [event for batch in together for event in batch] == [event for piece in pieces for event in piece]


def test_contexts_come_with_the_events(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    seen: list[tuple[Any, Any]] = []

    class Sink(bspump.BufferedSink):
        async def write(self, batch: bspump.Batch) -> None:
            seen.extend(zip(batch.contexts, batch, strict=True))
            assert (len(batch), batch[0], batch[-1], batch[0:2]) == (3, "a", "c", ["a", "b"])

    source = MemorySource(pump.app, pipeline, "abc", contexts=[{"n": n} for n in range(3)])
    pipeline.build(source, Sink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    assert seen == [({"n": 0}, "a"), ({"n": 1}, "b"), ({"n": 2}, "c")]


def test_order_is_kept_with_one_writer_also_over_retries(pump: PumpRunner) -> None:
    setup = Setup(pump, range(500), batch_size=7)
    calls = 0

    def behave(batch: bspump.Batch) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise bspump.ConnectionLostError("gone")

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: len(setup.sink.written) >= 497)

    pump.run(scenario, setup.pipeline)
    assert setup.sink.written == list(range(500))
    assert setup.sink.most_writing == 1


def test_concurrency_writes_several_batches_at_once(pump: PumpRunner) -> None:
    setup = Setup(pump, range(100), batch_size=10, concurrency="3")
    setup.sink.open_to_writes.clear()

    async def scenario() -> None:
        await until(lambda: setup.sink.writing == 3)
        setup.sink.open_to_writes.set()
        await until(lambda: len(setup.sink.written) == 100)

    pump.run(scenario, setup.pipeline)
    assert setup.sink.most_writing == 3
    assert sorted(setup.sink.written) == list(range(100))


def test_a_batch_that_is_cut_at_the_moment_when_a_writer_ends_is_written(pump: PumpRunner) -> None:
    setup = Setup(pump, batch_size=1)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for number in range(200):
            # Somewhere among these turns the writer of the event before ends.
            setup.sink.process({}, number)
            for _ in range(number % 5):
                loop.call_soon(lambda: None)
                await asyncio.sleep(0)
        await until(lambda: len(setup.sink.written) == 200, limit=5)

    pump.run(scenario, setup.pipeline)


# Retries and rejections


@pytest.mark.parametrize("error", [bspump.ConnectionLostError("x"), ConnectionResetError("x"), TimeoutError("x")])
def test_transient_errors_write_the_same_batch_again(pump: PumpRunner, error: Exception) -> None:
    setup = Setup(pump, range(3), batch_size=3)

    def behave(batch: bspump.Batch) -> None:
        if batch.attempt < 4:
            raise error

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.sink.written)

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1, 2]] * 4
    assert setup.sink.attempts == [1, 2, 3, 4]
    assert setup.pipeline.asked == []
    assert "tries again" in " ".join(record.getMessage() for record in setup.pipeline.L.Deque)


def test_a_cancellation_out_of_write_is_a_transient_error(pump: PumpRunner) -> None:
    setup = Setup(pump, range(3), batch_size=3)

    def behave(batch: bspump.Batch) -> None:
        if batch.attempt == 1:
            raise asyncio.CancelledError

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.sink.written == [0, 1, 2])
        await setup.pipeline.checkpoint()

    pump.run(scenario, setup.pipeline)


def test_a_poisoned_batch_is_written_one_by_one_and_only_the_poison_fails(pump: PumpRunner) -> None:
    setup = Setup(pump, range(6), on_error="skip", batch_size=6)

    def behave(batch: bspump.Batch) -> None:
        if 4 in batch:
            raise ValueError("four")

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.source.commits == [6] or setup.pipeline._counts.errors)

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1, 2, 3, 4, 5], [0], [1], [2], [3], [4], [5]]
    assert setup.sink.written == [0, 1, 2, 3, 5]
    assert setup.pipeline.asked == [("ValueError: four", {}, 4)]
    assert setup.pipeline._counts.errors == 1


def test_a_rejected_item_goes_the_way_of_a_failed_event_and_the_others_are_written(pump: PumpRunner) -> None:
    setup = Setup(pump, range(4), on_error="skip", batch_size=4)

    def behave(batch: bspump.Batch) -> None:
        batch.reject(1, "400 mapper_parsing_exception")
        batch.reject(2, OverflowError("too big"))

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.source.commits == [4])

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1, 2, 3]]
    assert setup.sink.written == [0, 3]
    assert setup.pipeline.asked == [
        ("RejectedError: 400 mapper_parsing_exception", {}, 1),
        ("OverflowError: too big", {}, 2),
    ]


def test_items_to_be_retried_are_written_again_without_the_others(pump: PumpRunner) -> None:
    setup = Setup(pump, range(5), batch_size=5)

    def behave(batch: bspump.Batch) -> None:
        for index, event in enumerate(batch):
            if event > batch.attempt:
                batch.retry(index)

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.source.commits == [5])

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1, 2, 3, 4], [2, 3, 4], [3, 4], [4]]
    assert setup.sink.written == [0, 1, 2, 3, 4]


def test_an_item_that_is_both_retried_and_rejected_is_rejected(pump: PumpRunner) -> None:
    setup = Setup(pump, range(2), on_error="skip", batch_size=2)

    def behave(batch: bspump.Batch) -> None:
        batch.retry(1)
        batch.reject(1, "no")

    setup.sink.behave = behave

    async def scenario() -> None:
        await until(lambda: setup.source.commits == [2])

    pump.run(scenario, setup.pipeline)
    assert setup.sink.batches == [[0, 1]]
    assert [event for _, _, event in setup.pipeline.asked] == [1]


@pytest.mark.parametrize("by_reject", [False, True])
def test_with_stop_an_item_stays_in_the_buffer_and_is_written_once_cleared(pump: PumpRunner, by_reject: bool) -> None:
    setup = Setup(pump, batch_size=3)
    is_broken = True

    def behave(batch: bspump.Batch) -> None:
        if is_broken and 1 in batch:
            if by_reject:
                batch.reject(list(batch).index(1), "no")
            else:
                raise bspump.RejectedError("no")

    setup.sink.behave = behave

    async def scenario() -> None:
        nonlocal is_broken
        setup.put(0, 1, 2, 3, 4, 5)
        await until(setup.pipeline.is_error)
        assert "stopped at P.Remote: RejectedError: no, event 1" in setup.pipeline.rest_get()["Error"]
        with pytest.raises(bspump.PipelineError):
            await setup.pipeline.checkpoint()
        assert 1 not in setup.sink.written
        # Cleared too early, it stops again.
        setup.pipeline.set_error(None, None, None)
        await until(setup.pipeline.is_error)
        is_broken = False
        setup.pipeline.set_error(None, None, None)
        await setup.pipeline.checkpoint()
        assert sorted(setup.sink.written) == [0, 1, 2, 3, 4, 5]

    pump.run(scenario, setup.pipeline)


def test_dead_letters_of_a_sink_say_how_many_attempts_there_were(pump: PumpRunner) -> None:
    letters = bspump.Pipeline(pump.app, "Letters")
    end = Remote(pump.app, letters)
    letters.build(bspump.common.InternalSource(pump.app, letters), end)
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "dead_letter", "dead_letter": "Letters"})
    source, sink = MemorySource(pump.app, pipeline, range(3)), Remote(pump.app, pipeline, batch_size=3)
    pipeline.build(source, sink)

    def behave(batch: bspump.Batch) -> None:
        if batch.attempt < 3:
            raise ConnectionResetError("gone")
        batch.reject(1, "no")

    sink.behave = behave

    async def scenario() -> None:
        await until(lambda: source.commits == [3])
        [letter] = end.written
        assert (letter["event"], letter["attempts"], letter["stage"]) == (1, 3, "P.Remote")
        assert letter["exception"]["type"] == "bspump.errors.RejectedError"
        assert letter["origin"] == {"source": None, "position": None}

    pump.run(scenario, pipeline, letters)


# Bounded memory


class Transitions:
    """Counts how often a pipeline becomes not ready."""

    def __init__(self, pipeline: bspump.Pipeline) -> None:
        self.count = 0
        pipeline.PubSub.subscribe("bspump.pipeline.not_ready!", self.on_not_ready)

    def on_not_ready(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        self.count += 1


def test_a_full_buffer_holds_the_pipeline_until_it_is_half_empty(pump: PumpRunner) -> None:
    setup = Setup(pump, batch_size=10, buffer_size="100")
    setup.sink.open_to_writes.clear()

    async def scenario() -> None:
        setup.put(*range(99))
        await until(lambda: setup.sink.rest_get()["Buffered"] == 99)
        assert setup.pipeline.is_ready()
        setup.put(99)
        await until(lambda: not setup.pipeline.is_ready())
        assert setup.pipeline.get_throttles() == {setup.sink}
        setup.sink.open_to_writes.set()
        await until(setup.pipeline.is_ready)
        assert setup.sink.rest_get()["Buffered"] <= 50

    pump.run(scenario, setup.pipeline)


def test_the_buffer_is_bounded_and_does_not_flap(pump: PumpRunner) -> None:
    setup = Setup(pump, range(20_000), batch_size=10, buffer_size=100)
    transitions = Transitions(setup.pipeline)

    async def scenario() -> None:
        await until(lambda: len(setup.sink.written) == 20_000)
        # One pause per half a buffer at the most
        assert transitions.count <= 20_000 / 50

    pump.run(scenario, setup.pipeline)
    assert setup.sink.written == list(range(20_000))
    assert setup.sink.most_buffered < 100 + 1000


# The delivery contract


def test_a_checkpoint_writes_at_once_what_lingers(pump: PumpRunner) -> None:
    setup = Setup(pump)

    async def scenario() -> None:
        setup.put("a", "b")
        await until(lambda: setup.sink.rest_get()["Buffered"] == 2)
        assert setup.sink.batches == []
        await setup.pipeline.checkpoint()
        assert setup.sink.written == ["a", "b"]

    pump.run(scenario, setup.pipeline)


def test_a_checkpoint_does_not_wait_for_what_comes_after_it(pump: PumpRunner) -> None:
    setup = Setup(pump, concurrency=2)

    async def scenario() -> None:
        setup.sink.process({}, "before")
        checkpoint = asyncio.ensure_future(setup.pipeline.checkpoint())
        await until(lambda: setup.sink.written == ["before"])
        setup.sink.process({}, "after")
        await checkpoint
        assert setup.sink.written == ["before"]

    pump.run(scenario, setup.pipeline)
    assert setup.sink.written == ["before", "after"]


def test_nothing_is_committed_while_the_destination_is_away(pump: PumpRunner) -> None:
    setup = Setup(pump, range(10))
    is_away = True

    def behave(batch: bspump.Batch) -> None:
        if is_away:
            raise ConnectionRefusedError("away")

    setup.sink.behave = behave

    async def scenario() -> None:
        nonlocal is_away
        await until(lambda: len(setup.sink.batches) > 3)
        assert setup.source.commits == []
        is_away = False
        await until(lambda: setup.source.commits == [10])

    pump.run(scenario, setup.pipeline)


def test_after_an_unfinished_stop_the_sink_starts_empty_and_the_events_come_again(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pump.configure("pipeline:P", stop_timeout="0.01")
    setup = Setup(pump, range(200), buffer_size=100, batch_size=10)
    setup.sink.open_to_writes.clear()

    async def scenario() -> None:
        await until(lambda: setup.sink in setup.pipeline.get_throttles())
        await setup.pipeline.stop()
        assert "event(s) not written" in caplog.text
        assert setup.source.commits == []
        assert setup.pipeline.get_throttles() == set()
        setup.sink.open_to_writes.set()
        setup.pipeline.start()
        await until(lambda: setup.source.commits and setup.source.commits[-1] == 200)

    pump.run(scenario, setup.pipeline)
    assert set(setup.sink.written) == set(range(200))


def test_wrong_options_are_all_reported(pump: PumpRunner) -> None:
    pump.configure("pipeline:P:Remote", batch_size="many", batch_bytes="heavy", linger="-1", concurrency="0")
    Remote(pump.app, bspump.Pipeline(pump.app, "P"))
    assert pump.service.configuration_problems == [
        "[pipeline:P:Remote] batch_size: 'many' is not a whole number",
        "[pipeline:P:Remote] batch_bytes: 'heavy' is not a size in bytes (such as 100, 64k, 16MB, 1G)",
        "[pipeline:P:Remote] linger: '-1' is below 0 seconds",
        "[pipeline:P:Remote] concurrency: '0' is below 1",
    ]


def test_events_linger_again_after_the_sink_was_closed(pump: PumpRunner) -> None:
    pipeline = Judge(pump.app)
    sink = Remote(pump.app, pipeline, linger=0.01)
    pipeline.build(MemorySource(pump.app, pipeline), sink)

    async def scenario() -> None:
        sink.process({}, "comes again from its source")
        await sink.close()
        sink.process({}, "a")
        await until(lambda: sink.written == ["a"])

    pump.run(scenario, pipeline)


def test_a_batch_of_one_needs_no_timer(pump: PumpRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Judge(pump.app)
    sink = Remote(pump.app, pipeline, batch_size=1)
    source = MemorySource(pump.app, pipeline, range(100))
    pipeline.build(source, sink)
    timers: list[Any] = []

    async def scenario() -> None:
        await until(lambda: len(sink.written) == 100)

    call_later = pump.app.Loop.call_later

    def count(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        timers.append(callback)
        return call_later(delay, callback, *args)

    with monkeypatch.context() as patch:
        patch.setattr(pump.app.Loop, "call_later", count)
        pump.run(scenario, pipeline)
    assert timers
    assert sink._cut not in timers
