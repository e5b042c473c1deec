"""Which method of a processor a batch goes through."""

from __future__ import annotations

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner


class Doubling(bspump.common.StdJsonToDictParser):
    """Overrides `process` of a class that has `process_batch` as well."""

    def process(self, context: bspump.Context, event: bytes) -> int:
        return 2 * int(event)


class CountingNull(bspump.common.NullSink):
    count = 0

    def process(self, context: bspump.Context, event: int) -> None:
        self.count += 1


class Upper(bspump.Processor):
    def process(self, context: bspump.Context, event: str) -> str:
        raise AssertionError("the batch method is the one to call")

    def process_batch(
        self, contexts: list[bspump.Context], events: list[str]
    ) -> tuple[list[bspump.Context], list[str]]:
        return contexts, [event.upper() for event in events]


def test_an_overridden_process_is_called_although_the_base_takes_batches(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, [b"1", b"2"]), MemorySink(pump.app, pipeline)
    pipeline.build(source, Doubling(pump.app, pipeline), sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == [2, 4]


def test_a_null_sink_that_does_something_is_called(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, range(1, 101)), CountingNull(pump.app, pipeline)
    pipeline.build(source, sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.count == 100


def test_a_batch_method_is_preferred_to_the_process_beside_it(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, ["a", "b"]), MemorySink(pump.app, pipeline)
    pipeline.build(source, Upper(pump.app, pipeline), sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == ["A", "B"]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_events_that_only_a_null_sink_takes_are_counted_out(pump: PumpRunner, one_by_one: bool) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, range(1, 1001), one_by_one=one_by_one)
    pipeline.build(source, bspump.common.NullSink(pump.app, pipeline))
    pump.run(source.finished.wait, pipeline)
    pipeline.rest_get()
    assert pipeline.MetricsCounter._actuals["event.out"] == 1000
