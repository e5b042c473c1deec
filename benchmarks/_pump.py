"""What the benchmarks need of an application."""

from __future__ import annotations

import abc

import bspump


class MeasuringSource(bspump.Source):
    """A source that measures in `main` and then ends the application.

    Attributes:
        figures: what was measured.
    """

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.figures: dict[str, float] = {}

    async def main(self) -> None:
        try:
            await self.Pipeline.ready()
            await self.measure()
        finally:
            self.App.stop()

    @abc.abstractmethod
    async def measure(self) -> None:
        """Feed the pipeline and set `figures`."""


def run(app: bspump.BSPumpApplication, *pipelines: bspump.Pipeline) -> None:
    """Run the application until it stops.

    Raises:
        RuntimeError: a pipeline ended in an error.
    """
    app.PumpService.add_pipelines(*pipelines)
    app.run()
    for pipeline in pipelines:
        if pipeline.is_error():
            raise RuntimeError(f"{pipeline!r} ended in an error")


async def count_out(pipeline: bspump.Pipeline) -> int:
    """Return how many events have left the pipeline since the last call, by its metrics."""
    await pipeline.MetricsService.flush()
    metrics = {metric["name"]: metric for metric in pipeline.rest_get()["Metrics"]}
    return int(metrics["bspump.pipeline"]["fieldset"][0]["values"]["event.out"])
