"""The memory of a process after ten million events through a tee and a router, against that after the first 100,000."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import bspump
import bspump.common

from . import _pump
from ._harness import Figures, Goal, Plan, Row, measure, serve

_BATCH = 1000
_SAMPLES = 100
_TARGETS = ("Even", "Odd")


class Producer(_pump.MeasuringSource):
    """Produces new events in batches and looks at the memory of the process on the way."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, warm_up: int, total: int) -> None:
        super().__init__(app, pipeline)
        self._warm_up = warm_up
        self._total = total

    async def measure(self) -> None:
        await self._produce(0, self._warm_up)
        first = await self._settled()
        samples = []
        step = (self._total - self._warm_up) // _SAMPLES // _BATCH * _BATCH
        for start in range(self._warm_up, self._total, step):
            await self._produce(start, min(start + step, self._total))
            samples.append(resident_megabytes())
        self.figures = {"first": first, "last": await self._settled(), "highest": max(samples)}

    async def _produce(self, start: int, end: int) -> None:
        for number in range(start, end, _BATCH):
            await self.process_batch(
                [{"id": number + index, "carrier": "UA", "delay": index - 500} for index in range(_BATCH)]
            )

    async def _settled(self) -> float:
        await self.Pipeline.checkpoint()
        gc.collect()
        return resident_megabytes()


class Alternating(bspump.common.RouterSink):
    """Sends events with an even and an odd id to different pipelines."""

    def process(self, context: bspump.Context, event: dict[str, Any]) -> None:
        self.route(context, event, f"{_TARGETS[event['id'] % 2]}.*InternalSource")


class Feeding(bspump.Pipeline):
    """A producer, a tee and a router."""

    def __init__(self, app: bspump.BSPumpApplication, warm_up: int, total: int) -> None:
        super().__init__(app, "Feeding")
        self.producer = Producer(app, self, warm_up, total)
        self.build(self.producer, bspump.common.TeeProcessor(app, self).bind("Tee.*TeeSource"), Alternating(app, self))


class Fed(bspump.Pipeline):
    """A source with a queue and a sink."""

    def __init__(self, app: bspump.BSPumpApplication, id: str, source: type[bspump.common.InternalSource]) -> None:
        super().__init__(app, id)
        self.build(source(app, self), bspump.common.NullSink(app, self))


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_memory(warm_up: int, total: int) -> Figures:
    """Return the memory after `warm_up` events and after `total`, both with nothing under way."""
    app = bspump.BSPumpApplication(args=[])
    feeding = Feeding(app, warm_up, total)
    fed = [Fed(app, "Tee", bspump.common.TeeSource), *(Fed(app, id, bspump.common.InternalSource) for id in _TARGETS)]
    _pump.run(app, feeding, *fed)
    return feeding.producer.figures


def compare(plan: Plan) -> list[Row]:
    """Measure it a few times: it takes long and hardly varies."""
    total = plan.choose(10_000_000, 500_000)
    runs = [measure(__name__, "memory", 100_000, total) for _ in range(min(plan.runs, 3))]
    first = [run["first"] for run in runs]
    last, highest = ([run[moment] for run in runs] for moment in ("last", "highest"))
    return [
        Row("memory", f"memory after {total:,} events / after 100,000", "MB", last, first, Goal(1.05, is_upper=True)),
        Row("memory", "highest on the way / after 100,000", "MB", highest, first),
    ]


if __name__ == "__main__":
    serve(memory=measure_memory)
    sys.exit()
