"""Analysing sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import numpy.typing as npt

from bspump import Analyzer
from bspump.matrix.matrix import Matrix
from bspump.matrix.sessionmatrix import SessionMatrix

from ._matrices import matrix_of

if TYPE_CHECKING:
    from bspump import Pipeline


class SessionAnalyzer(Analyzer):
    """An analyzer with a matrix of sessions. Derive from it, and override `evaluate` and `analyze`.

    A checkpoint of the pipeline returns when a persistent matrix is on the disk.

    Options: those of `Analyzer`; those of the matrix, if it is made here.

    Args:
        app: the application.
        pipeline: the pipeline.
        matrix_id: a `SessionMatrix` that is registered already, or its id. If None, one is made and registered as
            ``<id of the analyzer>Matrix``, with the arguments `dtype` and `persistent`.
        dtype, persistent: see `SessionMatrix`.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        id: unique within the pipeline.
        config: options.

    Attributes:
        Sessions: the matrix.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: str | Matrix | None = None,
        dtype: npt.DTypeLike = "float_",
        analyze_on_clock: bool = False,
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)

        def make(matrix_id: str, options: Mapping[str, Any]) -> SessionMatrix:
            return SessionMatrix(app, dtype, persistent=persistent, id=matrix_id, config=options)

        self.Sessions = matrix_of(self, matrix_id, SessionMatrix, make, config)

    async def checkpoint(self) -> None:
        """Return when a persistent matrix is on the disk."""
        await self.Sessions.sync()
