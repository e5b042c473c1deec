"""Analysing what happened in the latest intervals of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import numpy.typing as npt

from bspump import Analyzer
from bspump.matrix.matrix import Matrix
from bspump.matrix.timewindowmatrix import TimeWindowMatrix

from ._matrices import matrix_of

if TYPE_CHECKING:
    from bspump import Pipeline


class TimeWindowAnalyzer(Analyzer):
    """An analyzer with a time window. Derive from it, and override `evaluate` and `analyze`.

    A checkpoint of the pipeline returns when a persistent window is on the disk.

    Options: those of `Analyzer`; those of the matrix, if it is made here.

    Args:
        app: the application.
        pipeline: the pipeline.
        matrix_id: a `TimeWindowMatrix` that is registered already, or its id. If None, one is made and registered as
            ``<id of the analyzer>Matrix``, with the arguments `dtype`, `columns`, `resolution`, `start_time`,
            `clock_driven` and `persistent`.
        dtype, columns, resolution, start_time, clock_driven, persistent: see `TimeWindowMatrix`.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        id: unique within the pipeline.
        config: options.

    Attributes:
        TimeWindow: the matrix.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: str | Matrix | None = None,
        dtype: npt.DTypeLike = "float_",
        columns: int = 15,
        analyze_on_clock: bool = False,
        resolution: float = 60,
        start_time: float | None = None,
        clock_driven: bool = False,
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)

        def make(matrix_id: str, options: Mapping[str, Any]) -> TimeWindowMatrix:
            return TimeWindowMatrix(
                app, dtype, start_time, resolution, columns, clock_driven, persistent, id=matrix_id, config=options
            )

        self.TimeWindow = matrix_of(self, matrix_id, TimeWindowMatrix, make, config)

    async def checkpoint(self) -> None:
        """Return when a persistent window is on the disk."""
        await self.TimeWindow.sync()
