"""The pipelines.

`FlightsPipeline` reads, types, enriches; `CancelledPipeline` gets from it the flights that never departed,
`CarriersPipeline` a copy of every flight, and `DeadLetterPipeline`, from all of them, what cannot be processed.
"""

from __future__ import annotations

from pathlib import Path

import asab

import bspump
import bspump.common
import bspump.file
import bspump.trigger

from .lookups import Airlines, Airports
from .processors import CancelledRouter, Enrich, TypedValues
from .run import Run
from .sinks import CarrierStatistics


class FlightsPipeline(bspump.Pipeline):
    """Every line of the input."""

    def __init__(self, app: asab.Application, run: Run, airlines: Airlines, airports: Airports) -> None:
        super().__init__(app)
        self.source = bspump.file.FileCSVSource(
            app, self, config={"path": str(run.input), "position_dir": str(run.outputs.positions)}
        )
        self.build(
            self.source.on(bspump.trigger.RunOnceTrigger(app)),
            TypedValues(app, self),
            Enrich(app, self, airlines, airports),
            bspump.common.TeeProcessor(app, self).bind("CarriersPipeline.*TeeSource"),
            CancelledRouter(app, self),
            _json_lines(app, self, run.outputs.flights),
        )


class CancelledPipeline(bspump.Pipeline):
    """The flights that never departed."""

    def __init__(self, app: asab.Application, run: Run) -> None:
        super().__init__(app)
        self.build(bspump.common.InternalSource(app, self), _json_lines(app, self, run.outputs.cancelled))


class CarriersPipeline(bspump.Pipeline):
    """A copy of every flight, to be counted."""

    def __init__(self, app: asab.Application, run: Run) -> None:
        super().__init__(app)
        self.statistics = CarrierStatistics(app, self, run.outputs.statistics)
        self.build(bspump.common.TeeSource(app, self), self.statistics)


class DeadLetterPipeline(bspump.Pipeline):
    """What could not be processed, each with the reason."""

    def __init__(self, app: asab.Application, run: Run) -> None:
        super().__init__(app)
        self.build(bspump.common.InternalSource(app, self), _json_lines(app, self, run.outputs.dead_letter))


def _json_lines(app: asab.Application, pipeline: bspump.Pipeline, path: Path) -> bspump.Sink:
    return bspump.file.FileJSONLinesSink(app, pipeline, config={"path": str(path)})
