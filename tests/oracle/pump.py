"""The application that the oracle kills: numbered lines through all that could lose one.

A: lines → a tee → a generator that waits → a line sink
B: from the tee → an aggregator → a router
C: from the router → a line sink that writes each aggregate as one line
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import bspump
import bspump.common
import bspump.file
import bspump.trigger


class ParseNumber(bspump.Processor):
    def process(self, context: bspump.Context, event: bytes) -> int:
        return int(event)


class SlowGenerator(bspump.Generator):
    """Stands for a call to a remote service: it takes a while, and events overtake one another."""

    async def generate(self, context: bspump.Context, event: int, depth: int) -> None:
        await asyncio.sleep(0.002 * (event % 7))
        await self.Pipeline.inject(context, str(event), depth)


class JoinNumbers(bspump.Processor):
    def process(self, context: bspump.Context, event: list[int]) -> str:
        return " ".join(str(number) for number in event)


class ToC(bspump.common.RouterSink):
    def process(self, context: bspump.Context, event: list[int]) -> None:
        self.route(context, event, "C.*InternalSource")


class A(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, id: str, folder: Path) -> None:
        super().__init__(app, id, config={"async_concurency_limit": 80})
        self.build(
            bspump.file.FileLineSource(
                app,
                self,
                config={
                    "path": str(folder / "numbers.txt"),
                    "position_dir": str(folder / "positions"),
                    "post": "noop",
                    "commit_interval": 0.05,
                },
            ).on(bspump.trigger.RunOnceTrigger(app)),
            ParseNumber(app, self),
            bspump.common.TeeProcessor(app, self).bind("B.*TeeSource"),
            SlowGenerator(app, self),
            bspump.file.FileLineSink(app, self, config={"path": str(folder / "a.txt")}),
        )


class B(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, id: str) -> None:
        super().__init__(app, id)
        self.build(
            bspump.common.TeeSource(app, self),
            bspump.common.Aggregator(
                app,
                self,
                aggregation_strategy=bspump.common.ListEventAggregationStrategy(),
                config={"completion_size": 7, "completion_timeout": 0.1},
            ),
            ToC(app, self),
        )


class C(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, id: str, folder: Path) -> None:
        super().__init__(app, id)
        self.build(
            bspump.common.InternalSource(app, self),
            JoinNumbers(app, self),
            bspump.file.FileLineSink(app, self, config={"path": str(folder / "c.txt")}),
        )


def main() -> None:
    folder = Path(sys.argv[1])
    app = bspump.BSPumpApplication(args=[])
    app.PumpService.add_pipelines(A(app, "A", folder), B(app, "B"), C(app, "C", folder))
    sys.exit(app.run())


if __name__ == "__main__":
    main()
