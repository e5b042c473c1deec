"""Five trivial processors with metrics on, against a plain loop over their five bound methods."""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import bspump
import bspump.common

from . import _pump
from ._harness import Figures, Goal, Plan, Row, in_turns, measure, serve

Event = dict[str, Any]
Method = Callable[[bspump.Context, Event], Event | None]

_SIDES = ("pipeline", "plain", "shared", "unrolled")
# How many events a side is given before it is the other's turn: whatever else the machine does then hits both alike.
_TURN = 25_000


class Trivial(bspump.Processor):
    """Takes an event and returns it."""

    def process(self, context: bspump.Context, event: Event) -> Event:
        return event


class TrivialBatch(Trivial):
    """The same for whoever writes a processor that takes batches."""

    def process_batch(
        self, contexts: list[bspump.Context], events: list[Event]
    ) -> tuple[list[bspump.Context], list[Event]]:
        # Each event is touched, as by a processor that does something.
        return contexts, [event for event in events]  # noqa: C416


def run_plain(methods: list[Method], events: list[Event]) -> None:
    """Call five methods for each event, which has a context of its own: what a pipeline promises."""
    event: Event | None
    for event in events:
        context: bspump.Context = {}
        for method in methods:
            event = method(context, event)
            if event is None:
                break


def run_shared(methods: list[Method], events: list[Event]) -> None:
    """Do the same with one context for all events, which a pipeline does not allow itself."""
    event: Event | None
    context: bspump.Context = {}
    for event in events:
        for method in methods:
            event = method(context, event)
            if event is None:
                break


def run_unrolled(methods: list[Method], events: list[Event]) -> None:
    """Do the same without the inner loop, for these five and no others."""
    first, second, third, fourth, fifth = methods
    event: Event | None
    for event in events:
        context: bspump.Context = {}
        event = first(context, event)
        if event is None:
            continue
        event = second(context, event)
        if event is None:
            continue
        event = third(context, event)
        if event is None:
            continue
        event = fourth(context, event)
        if event is None:
            continue
        fifth(context, event)


OPPONENTS = {"plain": run_plain, "shared": run_shared, "unrolled": run_unrolled}


class Comparison(_pump.MeasuringSource):
    """Measures the pipeline and its opponents in short turns, over the same events and the same five objects."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: Pipeline, rounds: int) -> None:
        super().__init__(app, pipeline)
        self._pipeline = pipeline
        self._rounds = rounds
        # Few objects, many times over: a million of them would measure how far away the main memory is.
        self._events: list[Event] = [{"id": number, "value": "a"} for number in range(1000)] * (_TURN // 1000)

    async def measure(self) -> None:
        for side in _SIDES:
            await self._time(side)
        await _pump.count_out(self._pipeline)
        seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
        for order in in_turns(_SIDES, self._rounds):
            for side in order:
                seconds[side].append(await self._time(side))
        if (out := await _pump.count_out(self._pipeline)) != self._rounds * _TURN:
            raise RuntimeError(f"{out} of {self._rounds * _TURN} events came through")
        self.figures = {side: _TURN / statistics.median(figures) for side, figures in seconds.items()}

    async def _time(self, side: str) -> float:
        gc.collect()
        began = perf_counter()
        if side == "pipeline":
            await self.process_batch(self._events)
        else:
            OPPONENTS[side]([trivial.process for trivial in self._pipeline.trivial], self._events)
        return perf_counter() - began


class Pipeline(bspump.Pipeline):
    """Five processors and a sink."""

    def __init__(self, app: bspump.BSPumpApplication, kind: type[Trivial], rounds: int) -> None:
        super().__init__(app, "FiveProcessors")
        self.trivial = [kind(app, self, id=f"Trivial{number}") for number in range(5)]
        self.source = Comparison(app, self, rounds)
        self.build(self.source, *self.trivial, bspump.common.NullSink(app, self))


def _measure(kind: type[Trivial], rounds: int) -> Figures:
    app = bspump.BSPumpApplication(args=[])
    pipeline = Pipeline(app, kind, rounds)
    _pump.run(app, pipeline)
    return pipeline.source.figures


def measure_events(rounds: int) -> Figures:
    """Measure processors that take one event at a time; events per second of each side."""
    return _measure(Trivial, rounds)


def measure_batches(rounds: int) -> Figures:
    """Measure processors that take batches."""
    return _measure(TrivialBatch, rounds)


def compare(plan: Plan) -> list[Row]:
    """Measure in as many processes as there are runs."""
    rounds = plan.choose(1_000_000, 200_000) // _TURN
    events = [measure(__name__, "events", rounds) for _ in range(plan.runs)]
    batches = [measure(__name__, "batches", rounds) for _ in range(plan.runs)]

    def row(name: str, runs: list[Figures], theirs: str, goal: Goal | None = None) -> Row:
        ours = [figures["pipeline"] for figures in runs]
        return Row("five_processors", name, "events/s", ours, [run[theirs] for run in runs], goal)

    return [
        row("five processors / plain loop", events, "plain", Goal(1.0)),
        row("five processors / loop with one context for all", events, "shared"),
        row("five processors / loop unrolled by hand", events, "unrolled"),
        row("five that take batches / plain loop", batches, "plain"),
    ]


if __name__ == "__main__":
    serve(events=measure_events, batches=measure_batches)
    sys.exit()
