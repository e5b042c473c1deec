"""Whatever goes wrong at random, every event that was brought arrives."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

import bspump
from bspump.common import InternalSource, RouterSink
from bspump.testing import MemorySink, MemorySource, PumpRunner, until

pytestmark = pytest.mark.oracle


class Dice:
    """Decides what fails: each kind of failure happens some times, and then no more."""

    def __init__(self, seed: int, times: int = 8) -> None:
        self.random = random.Random(seed)
        self.times = times
        self.happened: dict[str, int] = {}

    def fails(self, kind: str, odds: float) -> bool:
        happened = self.happened.get(kind, 0)
        if happened >= self.times or self.random.random() >= odds:
            return False
        self.happened[kind] = happened + 1
        return True


class Risky(bspump.Processor):
    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, dice: Dice, id: str) -> None:
        super().__init__(app, pipeline, id=id)
        self.dice = dice

    def process(self, context: bspump.Context, event: Any) -> Any:
        if self.dice.fails("single", 0.01):
            raise ValueError(event)
        return event


class RiskyBatch(Risky):
    def process_batch(
        self, contexts: list[bspump.Context], events: list[Any]
    ) -> tuple[list[bspump.Context], list[Any]]:
        if self.dice.fails("batch", 0.5):
            raise ValueError("whole batch")
        return contexts, events


class RiskyFan(bspump.Generator):
    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, dice: Dice) -> None:
        super().__init__(app, pipeline)
        self.dice = dice

    async def generate(self, context: bspump.Context, event: Any, depth: int) -> None:
        if event % 2:
            await asyncio.sleep(0)
        if self.dice.fails("generator", 0.005):
            raise ValueError(event)
        self.Pipeline.inject(context, event, depth)


class ToB(RouterSink):
    def process(self, context: bspump.Context, event: Any) -> None:
        self.route(context, event, "B")


class RiskyWriter(bspump.BufferedSink):
    ConfigDefaults = {"linger": 0.001, "batch_size": 50, "retry_backoff": 0.0001}

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, dice: Dice) -> None:
        super().__init__(app, pipeline)
        self.dice = dice
        self.written: set[int] = set()

    async def write(self, batch: bspump.Batch) -> None:
        await asyncio.sleep(0)
        if self.dice.fails("gone", 0.2):
            raise ConnectionResetError("gone")
        if self.dice.fails("write", 0.2):
            raise ValueError("something is wrong")
        for index, event in enumerate(batch):
            if self.dice.fails("retry", 0.01):
                batch.retry(index)
            else:
                self.written.add(event)


class Operator:
    """Clears every error of a pipeline, at once or a little later."""

    def __init__(self, pipeline: bspump.Pipeline, dice: Dice) -> None:
        self.dice = dice
        self.cleared = 0
        pipeline.PubSub.subscribe("bspump.pipeline.error!", self.on_error)

    def on_error(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        self.cleared += 1
        if self.dice.random.random() < 0.5:
            pipeline.set_error(None, None, None)
        else:
            pipeline.Loop.call_later(0.002, pipeline.set_error, None, None, None)


@pytest.mark.parametrize("seed", range(3))
def test_failures_everywhere_lose_nothing(pump: PumpRunner, seed: int) -> None:
    dice = Dice(seed)
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, writer = MemorySource(pump.app, a, range(2000)), RiskyWriter(pump.app, b, dice)
    a.build(source, Risky(pump.app, a, dice, "First"), RiskyBatch(pump.app, a, dice, "Second"), ToB(pump.app, a))
    b.build(
        InternalSource(pump.app, b),
        RiskyBatch(pump.app, b, dice, "Third"),
        RiskyFan(pump.app, b, dice),
        Risky(pump.app, b, dice, "Fourth"),
        writer,
    )
    operators = [Operator(pipeline, dice) for pipeline in (a, b)]

    async def scenario() -> None:
        await until(lambda: source.commits and source.commits[-1] == 2000)

    pump.run(scenario, a, b)
    assert writer.written == set(range(2000))
    assert all(operator.cleared for operator in operators)
    assert set(dice.happened) == {"single", "batch", "generator", "gone", "write", "retry"}


def storm(pipelines: list[bspump.Pipeline], name: str, seed: int) -> None:
    """Throttle at random, and let go in the end."""
    dice = random.Random(seed)
    for _ in range(1500):
        dice.choice(pipelines).throttle(dice.choice((name, "shared")), dice.random() < 0.6)
    for pipeline in pipelines:
        for holder in (name, "shared"):
            pipeline.throttle(holder, False)


async def storm_in_the_loop(pipeline: bspump.Pipeline, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(1500):
        pipeline.throttle(f"loop {number % 3}", dice.random() < 0.5)
        if dice.random() < 0.1:
            await asyncio.sleep(0)
    for number in range(3):
        pipeline.throttle(f"loop {number}", False)


def test_a_throttle_storm_ends_ready_and_loses_nothing(pump: PumpRunner) -> None:
    a, b = bspump.Pipeline(pump.app, "A"), bspump.Pipeline(pump.app, "B")
    source, sink = MemorySource(pump.app, a, range(20_000)), MemorySink(pump.app, b)
    a.build(source, ToB(pump.app, a))
    b.build(InternalSource(pump.app, b), sink)
    b.link(a)

    async def scenario() -> None:
        threads = [threading.Thread(target=storm, args=([a, b], f"thread {number}", number)) for number in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(storm_in_the_loop(b, seed) for seed in range(3)))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        # The last word of one thread may come before that of another about the holder that they share.
        for pipeline in (a, b):
            pipeline.throttle("shared", False)
        await sink.wait_for(20_000)
        await until(lambda: a.is_ready() and b.is_ready())
        assert a.get_throttles() == b.get_throttles() == set()

    pump.run(scenario, a, b)
    assert sink.events == list(range(20_000))
