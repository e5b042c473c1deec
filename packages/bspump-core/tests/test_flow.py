"""Events flow through a pipeline."""

from __future__ import annotations

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner


class Numbers(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, id: str, *processors: type[bspump.Processor]) -> None:
        super().__init__(app, id)
        self.source = MemorySource(app, self, range(1, 1001))
        self.sink = MemorySink(app, self)
        self.build(self.source, *(processor(app, self) for processor in processors), self.sink)


class DropOdd(bspump.Processor):
    def process(self, context: bspump.Context, event: int) -> int | None:
        return event if event % 2 == 0 else None


class Square(bspump.Processor):
    def process(self, context: bspump.Context, event: int) -> int:
        return event * event


def test_processors_transform_and_drop_in_order(pump: PumpRunner) -> None:
    pipeline = Numbers(pump.app, "P", DropOdd, Square)

    async def scenario() -> None:
        await pipeline.source.finished.wait()

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [number * number for number in range(2, 1001, 2)]
    assert pipeline.source.commits[-1] == 1000
