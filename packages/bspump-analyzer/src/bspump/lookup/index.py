"""Indexes: finding the rows of a matrix by what is in them, without looking at all of them."""

from __future__ import annotations

import abc
import bisect
from typing import Any

import numpy as np
import numpy.typing as npt

from bspump.matrix.matrix import Matrix
from bspump.matrix.namedmatrix import NamedMatrix

_NO_ROWS: frozenset[int] = frozenset()


class Index(abc.ABC):
    """Knows which rows of a matrix have a value. It is built by `update`, and is as old as its last update.

    Args:
        matrix: the matrix. Its dtype has fields, or is one value, which has no field.
        id: the name of the index.
    """

    def __init__(self, matrix: Matrix, id: str | None = None) -> None:
        self.Id = id if id is not None else self.__class__.__name__
        self.Matrix = matrix
        self.update()

    @abc.abstractmethod
    def update(self) -> None:
        """Build the index of the rows that are open now."""

    @abc.abstractmethod
    def search(self, value: Any) -> set[int]:
        """Return the numbers of the rows with that value."""

    def search_names(self, value: Any) -> set[Any]:
        """Return the names of the rows with that value, of a `NamedMatrix`; the numbers of those of another matrix."""
        rows = self.search(value)
        if not isinstance(self.Matrix, NamedMatrix):
            return rows
        names = self.Matrix.Index.I2NMap
        return {names[row] for row in rows if row in names}

    def _column(self, field: str | None, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        cells = self.Matrix.Array[rows]
        return cells if field is None else cells[field]


class BitMapIndex(Index):
    """Finds rows whose field is equal to a value.

    Args:
        column: the field; None if the cells have none.
        matrix: the matrix.
        id: the name of the index.
    """

    def __init__(self, column: str | None, matrix: Matrix, id: str | None = None) -> None:
        self.Column = column
        self._rows: dict[Any, set[int]] = {}
        super().__init__(matrix, id)

    def update(self) -> None:
        """Build the index of the rows that are open now."""
        rows = self.Matrix.active_rows()
        found: dict[Any, set[int]] = {}
        for row, value in zip(rows.tolist(), self._column(self.Column, rows).tolist(), strict=True):
            found.setdefault(value, set()).add(row)
        self._rows = found

    def search(self, value: Any) -> set[int]:
        """Return the numbers of the rows with that value."""
        return set(self._rows.get(value, _NO_ROWS))


class TreeRangeIndex(Index):
    """Finds rows whose two fields are the beginning and the end of a range that the value lies in, both included.

    The ranges are sorted by their beginnings in an implicit balanced tree, of which each node knows the highest end
    below it; a search takes logarithmic time for each row that it finds.

    Args:
        columns: the fields with the beginning and the end.
        matrix: the matrix.
        id: the name of the index.
    """

    def __init__(self, columns: tuple[str, str], matrix: Matrix, id: str | None = None) -> None:
        self.Columns = columns
        self._rows: list[int] = []
        self._low: list[Any] = []
        self._high: list[Any] = []
        self._highest: list[Any] = []
        super().__init__(matrix, id)

    def update(self) -> None:
        """Build the index of the rows that are open now."""
        rows = self.Matrix.active_rows()
        low, high = (self._column(column, rows) for column in self.Columns)
        # A range that begins or ends with NaN has no value in it, and would spoil the order of the others.
        is_range = (low == low) & (high == high)
        rows, low, high = rows[is_range], low[is_range], high[is_range]
        order = np.argsort(low, kind="stable")
        self._rows = rows[order].tolist()
        self._low, self._high = low[order].tolist(), high[order].tolist()
        self._highest = list(self._high)
        self._find_highest(0, len(self._rows))

    def _find_highest(self, first: int, last: int) -> Any:
        if first >= last:
            return None
        middle = (first + last) // 2
        for part in (self._find_highest(first, middle), self._find_highest(middle + 1, last)):
            if part is not None and part > self._highest[middle]:
                self._highest[middle] = part
        return self._highest[middle]

    def search(self, value: Any) -> set[int]:
        """Return the numbers of the rows whose range has that value."""
        found: set[int] = set()
        parts = [(0, bisect.bisect_right(self._low, value), len(self._rows))]
        while parts:
            first, bound, last = parts.pop()
            middle = (first + last) // 2
            if first >= last or first >= bound or self._highest[middle] < value:
                continue
            if middle < bound and self._high[middle] >= value:
                found.add(self._rows[middle])
            parts += [(first, bound, middle), (middle + 1, bound, last)]
        return found


class SliceIndex(Index):
    """Finds rows whose field is a number in the same slice as the value; the slices are `resolution` wide.

    Args:
        column: the field; None if the cells have none.
        matrix: the matrix.
        resolution: the width of a slice.
        id: the name of the index.
    """

    def __init__(self, column: str | None, matrix: Matrix, resolution: float = 1.0, id: str | None = None) -> None:
        if not resolution > 0:
            raise ValueError(f"A SliceIndex needs a resolution above 0, not {resolution!r}")
        self.Column = column
        self.Resolution = resolution
        self._rows: dict[float, set[int]] = {}
        super().__init__(matrix, id)

    def update(self) -> None:
        """Build the index of the rows that are open now."""
        rows = self.Matrix.active_rows()
        slices = np.floor(self._column(self.Column, rows).astype(np.float64) / self.Resolution)
        found: dict[float, set[int]] = {}
        for row, number in zip(rows.tolist(), slices.tolist(), strict=True):
            found.setdefault(number, set()).add(row)
        self._rows = found

    def search(self, value: float) -> set[int]:
        """Return the numbers of the rows in the slice of that value."""
        # As in `update`: the operator // would put 1.0 into another slice, where these are 0.1 wide.
        return set(self._rows.get(float(np.floor(np.float64(value) / self.Resolution)), _NO_ROWS))
