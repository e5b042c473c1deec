"""The matrix: rows of cells in a numpy array, which are opened and closed while events come."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asab
import asab.metrics
import asab.pubsub
import numpy as np
import numpy.typing as npt

from bspump import ConfigurationError, option
from bspump._asab import service_of_module
from bspump._component import Component

from ._rows import Field, Rows
from ._types import ACTIVE, CLOSED, UNUSED, Cells, Name, resolve_dtype

L = logging.getLogger(__name__)


class ClosedRows(set[int]):
    """The numbers of the rows that are closed and will be used again."""

    @property
    def CR(self) -> ClosedRows:
        """The same; some programs look for the set here."""
        return self


class Matrix(Component):
    """Rows of cells in a numpy array. New rows are zero.

    `Array` shows what there is at the moment. Look it up anew after each call that may change the rows: first
    ``row = matrix.add_row()``, then ``matrix.Array[row] = 1``.

    A row is opened by `add_row` and closed by `close_row`; closed rows stay in `Array`, as zeros, and are used again.
    When more than ``max_closed_rows_capacity`` of the rows are closed, they are removed, and the others move up; in a
    persistent matrix when these are a thousand rows or more, since its files are written anew then.
    That happens by itself only between two turns of the event loop, so the number of a row is valid until the code
    that got it awaits something.

    With ``persistent``, the matrix is kept in files, see `PersistentMatrix`.

    Publishes ``Matrix changed!`` on its `PubSub` when a row was opened or closed, or rows have moved.

    Args:
        app: the application.
        dtype: the type of a cell, as numpy has it, or a list of fields such as ``[("count", "i8"), ("user", "U20")]``.
        persistent: whether the matrix is kept in files.
        id: the name of the matrix; the class's name if not given.
        config: options, overriding the section ``[matrix:<id>]`` of the configuration file.

    Attributes:
        Array: the cells, the first index being the row.
        ClosedRows: the numbers of the closed rows.
        DType: the type of the cells.
        MaxClosedRowsCapacity: the option ``max_closed_rows_capacity``.
        Gauge: the metric ``RowCounter`` with the values ``rows.active`` and ``rows.closed``.
    """

    MaxClosedRowsCapacity = option.number(
        0.2,
        minimum=0.0,
        maximum=1.0,
        key="max_closed_rows_capacity",
        help="Which share of the rows may be closed; 0.2 is a fifth.",
    )
    path = option.text(help="The folder of a persistent matrix; ``matrix/<id>`` in ``[general] var_dir`` if empty.")

    Array: Cells
    _kind = "Matrix"

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"matrix:{identifier}", identifier, config)
        self.PubSub = asab.pubsub.PubSub(app)
        self.Persistent = persistent
        self.DType: np.dtype[Any] = np.dtype(np.float64)
        with self.options() as options:
            try:
                self.DType = resolve_dtype(dtype)
            except (TypeError, ValueError) as error:
                options.problems.append(f"[{self.section}] dtype: {error}")
        self.ClosedRows = ClosedRows()
        self._row_count = 0
        self._is_flush_due = False
        self.Gauge = service_of_module(app, asab.metrics.Module, "asab.MetricsService").create_gauge(
            "RowCounter", tags={"matrix": identifier}, init_values={"rows.closed": 0, "rows.active": 0}
        )
        app.PubSub.subscribe("Metrics.flush!", self._on_metrics_flush)
        self._rows = self._open_rows()
        if self._rows.is_new:
            self.zeros()
        else:
            self._restore()

    # The rows

    def _fields(self) -> dict[str, Field]:
        """Return what there is for each row."""
        return {
            "array": Field(self.DType, self._stored_shape()),
            "closed_rows": Field(np.dtype(np.uint8)),
        }

    def _stored_shape(self) -> tuple[int, ...]:
        """Return the shape of one row in the place where it is kept."""
        return self.build_shape()[1:]

    def _layout(self) -> dict[str, Any]:
        """Return what has to be the same for a matrix to be read from its files."""
        dtype = self.DType.descr if self.DType.names else self.DType.str
        return {"version": 1, "kind": self._kind, "dtype": dtype, "row": list(self._stored_shape())}

    def _header(self) -> Cells:
        return np.zeros(0)

    def _open_rows(self) -> Rows:
        if self.Persistent:
            from ._files import FileRows  # the lock, the maps: only where they are used

            folder = Path(self.path) if self.path else Path(asab.Config["general"]["var_dir"]) / "matrix" / self.Id
            with self.options() as options:
                try:
                    return FileRows(folder, self._layout(), self._fields(), self._header())
                except ConfigurationError as error:
                    options.problems.append(f"[{self.section}] path: {error}")
                except OSError as error:
                    options.problems.append(f"[{self.section}] path: '{folder}' cannot be used: {error.strerror}")
        return Rows(self._fields(), self._header())

    def _restore(self) -> None:
        """Take over what was found in the files."""
        states = self._rows.arrays["closed_rows"]
        self._row_count = int(np.max(np.flatnonzero(states != UNUSED), initial=-1)) + 1
        states[: self._row_count][states[: self._row_count] == UNUSED] = CLOSED
        closed = np.flatnonzero(states[: self._row_count] == CLOSED)
        self._rows.arrays["array"][closed] = self._zero()
        self.ClosedRows = ClosedRows(closed.tolist())
        self._refresh()

    def _zero(self) -> Cells:
        return np.zeros((), dtype=self.DType)

    def _refresh(self) -> None:
        """Let `Array` show the present rows."""
        self.Array = self._shown(self._rows.arrays["array"][: self._row_count])

    def _shown(self, cells: Cells) -> Cells:
        return cells

    def _on_metrics_flush(self, message_type: str) -> None:
        self.Gauge.set("rows.closed", len(self.ClosedRows))
        self.Gauge.set("rows.active", self._row_count - len(self.ClosedRows))

    def zeros(self, rows: int = 1) -> None:
        """Begin anew with so many rows of zeros, all of them closed: `add_row` opens them first."""
        states = np.full(rows, CLOSED, dtype=np.uint8)
        self._rows.replace(rows, {"closed_rows": states}, names={})
        self._renamed({})
        self._row_count = rows
        self.ClosedRows = ClosedRows(range(rows))
        self._refresh()
        self._changed()

    def build_shape(self, rows: int = 0) -> tuple[int, ...]:
        """Return the shape of `Array` with so many rows."""
        return (rows,)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Change the number of rows to ``shape[0]``. New rows are closed; what is cut off is lost.

        Raises:
            ValueError: the shape is not that of a matrix of this kind.
        """
        if tuple(shape) != self.build_shape(shape[0]):
            raise ValueError(f"Matrix '{self.Id}' has the shape {self.build_shape(self._row_count)}, not {shape}")
        rows = shape[0]
        if rows < self._row_count:
            self._keep(np.arange(rows))
        elif rows > self._row_count:
            if rows > self._rows.capacity:
                self._rows.grow(rows)
            self._rows.arrays["closed_rows"][self._row_count : rows] = CLOSED
            self.ClosedRows.update(range(self._row_count, rows))
            self._row_count = rows
        self._refresh()
        self._changed()

    def add_row(self) -> int:
        """Open a row of zeros. Returns its number."""
        row = self._prepare_row()
        self._open_row(row)
        return row

    def _prepare_row(self) -> int:
        """Return the number of a row that is not open, and is zero."""
        row = self._row_count
        if self.ClosedRows:
            # Not next(iter(...)), which passes over all that was taken from the set before.
            row = self.ClosedRows.pop()
            self.ClosedRows.add(row)
        if row == self._rows.capacity:
            self._rows.grow(2 * row)
            self._refresh()
        self._rows.arrays["array"][row] = self._zero()
        return row

    def _open_row(self, row: int) -> None:
        self._rows.arrays["closed_rows"][row] = ACTIVE
        self.ClosedRows.discard(row)
        if row == self._row_count:
            self._row_count += 1
            self._refresh()
        self._changed()

    def close_row(self, row_index: int, clear: bool = True) -> bool:
        """Close a row, so that it may be used again.

        Args:
            row_index: the number of the row.
            clear: whether it becomes zero at once, and not only when it is used again.

        Returns:
            False if the row was closed already.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row_index < self._row_count:
            raise IndexError(f"Matrix '{self.Id}' has no row {row_index}, only 0 to {self._row_count - 1}")
        if row_index in self.ClosedRows:
            return False
        self._rows.arrays["closed_rows"][row_index] = CLOSED
        self.ClosedRows.add(int(row_index))
        if clear:
            self._rows.arrays["array"][row_index] = self._zero()
        self._changed()
        if self._has_too_many_closed() and not self._is_flush_due:
            self._is_flush_due = True
            self.Loop.call_soon(self._flush_if_due)
        return True

    def close_rows(self, rows: Iterable[int], clear: bool = True) -> None:
        """Close several rows."""
        for row in list(rows):
            self.close_row(row, clear)

    def active_rows(self) -> npt.NDArray[np.intp]:
        """Return the numbers of the open rows, in order."""
        return np.flatnonzero(self._rows.arrays["closed_rows"][: self._row_count] == ACTIVE)

    def _has_too_many_closed(self) -> bool:
        closed = len(self.ClosedRows)
        return closed >= self._rows.least_removed and closed > self.MaxClosedRowsCapacity * self._row_count

    def _flush_if_due(self) -> None:
        self._is_flush_due = False
        if self._has_too_many_closed():
            try:
                self.flush()
            except OSError as error:
                L.warning("Matrix '%s' keeps its closed rows for now: %s", self.Id, error)

    def flush(self) -> None:
        """Remove the closed rows. The others move up, in their order."""
        if self.ClosedRows:
            self._keep(self.active_rows())
            self._refresh()
            self._changed()

    def _keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Drop all rows but these."""
        arrays = {name: array[rows] for name, array in self._rows.arrays.items()}
        names = self._moved_names(rows)
        self._rows.replace(len(rows), arrays, names=names)
        self._renamed(names)
        self._row_count = len(rows)
        self.ClosedRows = ClosedRows(np.flatnonzero(arrays["closed_rows"] == CLOSED).tolist())

    def _moved_names(self, rows: npt.NDArray[np.intp]) -> dict[int, Name]:
        """Return the names of the rows that stay, by their new numbers."""
        return {}

    def _renamed(self, names: Mapping[int, Name]) -> None:
        """Take note that these are the names of the rows now."""

    def _changed(self) -> None:
        self.PubSub.publish("Matrix changed!")

    # Looking at it

    async def analyze(self) -> Any:
        """Return what there is to say of the matrix, as an event, or None. Override it.

        Use the functions of numpy on the whole array rather than a loop over its rows.
        """
        return None

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """Yield each open row as a dictionary of plain values."""
        for row in self.active_rows().tolist():
            yield {**self._row_label(row), **self._row_values(row)}

    def _row_label(self, row: int) -> dict[str, Any]:
        return {"row": row}

    def _row_values(self, row: int) -> dict[str, Any]:
        return plain_values(self.Array[row])

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the matrix for the REST interface."""
        return {
            "Id": self.Id,
            "Class": type(self).__name__,
            "Shape": list(self.Array.shape),
            "ClosedRows": len(self.ClosedRows),
        }

    # Durability

    async def sync(self) -> None:
        """Return when a persistent matrix is on the disk as it was at the time of the call."""
        await self._rows.sync()

    def close(self) -> None:
        """Let go of the files of a persistent matrix. From then on it can only be read."""
        self._rows.close()
        for array in self._rows.arrays.values():
            array.setflags(write=False)
        self._refresh()

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.Id}')"


class PersistentMatrix(Matrix):
    """A matrix that is there again when the program is started again.

    It is kept in the folder ``path``, in files that are mapped into memory: ``array.dat``, ``closed_rows.dat`` and, for
    some kinds, ``map.dat``, ``time_config.dat`` and ``warming_up_count.dat``. A change of a cell is kept as soon as it
    is made, also if the process is killed; rows are opened, closed and moved either wholly or not at all. What was
    changed before `sync` was called survives a failure of the machine too, once it has returned; the analyzers of
    ``bspump.analyzer`` call it at each checkpoint of their pipeline.

    One matrix at a time uses a folder. Files that hold cells of another type, or rows of another shape, are refused.
    """

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, dtype, persistent=True, id=id, config=config)


def plain_values(cell: Any) -> dict[str, Any]:
    """Return what is in a row as plain values: by its fields, by its columns, or as ``value``."""
    fields = cell.dtype.names
    if fields:
        return {
            f"{field}.{key}" if key != "value" else field: value
            for field in fields
            for key, value in plain_values(cell[field]).items()
        }
    if cell.ndim:
        return {str(column): value for column, value in enumerate(cell.tolist())}
    return {"value": cell.item()}


def locate_matrix(app: asab.Application, matrix_id: str | Matrix, kind: type[Matrix] = Matrix) -> Matrix:
    """Return the matrix with that id, which has to be of a kind; a matrix is returned as it is.

    Raises:
        ConfigurationError: there is none, or it is of another kind.
    """
    from bspump._asab import pump_service

    try:
        matrix = pump_service(app).locate_matrix(matrix_id)
    except KeyError as error:
        raise ConfigurationError(f"matrix_id: {error.args[0]}") from None
    if not isinstance(matrix, kind):
        raise ConfigurationError(f"matrix_id: '{matrix_id}' is a {type(matrix).__name__}, not a {kind.__name__}")
    return matrix
