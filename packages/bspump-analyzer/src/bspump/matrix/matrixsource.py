"""Sending the content of a matrix down a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import Context, Event, Generator, TriggerSource
from bspump.errors import ConfigurationError, ProcessingError

from .geomatrix import GeoMatrix
from .matrix import Matrix, locate_matrix
from .namedmatrix import NamedMatrix
from .sessionmatrix import SessionMatrix
from .timewindowmatrix import TimeWindowMatrix

if TYPE_CHECKING:
    from bspump import Pipeline

__all__ = [
    "GeoMatrixExportCSVGenerator",
    "MatrixExportCSVGenerator",
    "MatrixSource",
    "NamedMatrixExportCSVGenerator",
    "SessionMatrixExportCSVGenerator",
    "TimeWindowMatrixExportCSVGenerator",
]


class MatrixSource(TriggerSource):
    """Emits the matrix itself, once in each cycle; a `MatrixExportCSVGenerator` makes rows of it.

    Args:
        app: the application.
        pipeline: the pipeline.
        matrix_id: the id of a matrix that is registered at the pump service, or the matrix itself.
        id: unique within the pipeline.
        config: options.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: str | Matrix,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._matrix_id = matrix_id
        self.Matrix: Matrix | None = matrix_id if isinstance(matrix_id, Matrix) else None

    def prepare(self) -> None:
        """Find the matrix."""
        try:
            self.Matrix = locate_matrix(self.App, self._matrix_id)
        except ConfigurationError as error:
            raise ConfigurationError(f"[{self.section}] {error}") from None

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Emit the matrix."""
        await self.process(self.Matrix)


class MatrixExportCSVGenerator(Generator):
    """Takes a matrix and emits each open row as a dictionary, as it was when the matrix came; for a CSV file, say.

    The keys are ``row`` or ``name``, and the fields of the cells, or ``value``; in a time window the numbers of
    the columns, from the oldest on; in a map ``lat`` and ``lon``, and only cells that are not zero.
    """

    kind: type[Matrix] = Matrix
    """The kind of matrix that it takes."""

    def process(self, context: Context, event: Event) -> None:
        """Take the rows as they are now, and emit them one after the other."""
        if not isinstance(event, self.kind):
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects a {self.kind.__name__}")
        super().process(context, list(event.iter_rows()))

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Emit the rows."""
        for row in event:
            await self.Pipeline.inject(context, row, depth)


class NamedMatrixExportCSVGenerator(MatrixExportCSVGenerator):
    """A `MatrixExportCSVGenerator` of a `NamedMatrix`."""

    kind = NamedMatrix


class SessionMatrixExportCSVGenerator(MatrixExportCSVGenerator):
    """A `MatrixExportCSVGenerator` of a `SessionMatrix`; the names are under its ``primary_name``."""

    kind = SessionMatrix


class TimeWindowMatrixExportCSVGenerator(MatrixExportCSVGenerator):
    """A `MatrixExportCSVGenerator` of a `TimeWindowMatrix`."""

    kind = TimeWindowMatrix


class GeoMatrixExportCSVGenerator(MatrixExportCSVGenerator):
    """A `MatrixExportCSVGenerator` of a `GeoMatrix`."""

    kind = GeoMatrix
