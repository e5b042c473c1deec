"""Analysing where things happen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import numpy.typing as npt

from bspump import Analyzer
from bspump.matrix.geomatrix import GeoMatrix
from bspump.matrix.matrix import Matrix

from ._matrices import matrix_of

if TYPE_CHECKING:
    from bspump import Pipeline


class GeoAnalyzer(Analyzer):
    """An analyzer with a map. Derive from it, and override `evaluate` and `analyze`.

    A checkpoint of the pipeline returns when a persistent map is on the disk.

    Options: those of `Analyzer`; those of the matrix, if it is made here, such as ``max_lat``.

    Args:
        app: the application.
        pipeline: the pipeline.
        matrix_id: a `GeoMatrix` that is registered already, or its id. If None, one is made and registered as
            ``<id of the analyzer>Matrix``, with the arguments `dtype`, `bbox`, `resolution` and `persistent`.
        dtype, bbox, resolution, persistent: see `GeoMatrix`.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        id: unique within the pipeline.
        config: options.

    Attributes:
        GeoMatrix: the matrix.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: str | Matrix | None = None,
        dtype: npt.DTypeLike = "float_",
        analyze_on_clock: bool = False,
        bbox: Mapping[str, float] | None = None,
        resolution: float = 5,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        persistent: bool = False,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)

        def make(matrix_id: str, options: Mapping[str, Any]) -> GeoMatrix:
            return GeoMatrix(app, dtype, bbox, resolution, id=matrix_id, config=options, persistent=persistent)

        self.GeoMatrix = matrix_of(self, matrix_id, GeoMatrix, make, config)

    async def checkpoint(self) -> None:
        """Return when a persistent map is on the disk."""
        await self.GeoMatrix.sync()
