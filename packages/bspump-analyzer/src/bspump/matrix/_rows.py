"""Where the rows of a matrix are: several arrays of one capacity, in memory.

`FileRows` in ``_files.py`` keeps the same on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._types import Cells, Name

# So many rows there is room for at least; a file with no bytes cannot be mapped.
SMALLEST_CAPACITY = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """An array with one element, or one subarray, for each row."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()

    def zeros(self, rows: int) -> Cells:
        """Return an array for so many rows."""
        return np.zeros((rows, *self.shape), dtype=self.dtype)


class Rows:
    """The arrays of a matrix by their names, grown together, and one header that stands for all rows.

    Attributes:
        arrays: an array of `capacity` rows for each field.
        header: a record of its own, or an empty array.
        names: the names of the rows, as they were found when the rows were opened.
        is_new: whether nothing was there.
        least_removed: closed rows are removed when there are so many at least.
    """

    least_removed = 1

    def __init__(self, fields: Mapping[str, Field], header: Cells) -> None:
        self.fields = dict(fields)
        self.arrays: dict[str, Cells] = {}
        self.header = header
        self.names: dict[int, Name] = {}
        self.is_new = True
        self._open()

    def _open(self) -> None:
        self.replace(0, {})

    @property
    def capacity(self) -> int:
        """How many rows there is room for."""
        return min(len(array) for array in self.arrays.values())

    def grow(self, rows: int) -> None:
        """Make room for so many rows, or more; the new ones are zero."""
        for name, array in self.arrays.items():
            grown = self.fields[name].zeros(rows)
            grown[: len(array)] = array
            self.arrays[name] = grown

    def replace(
        self,
        rows: int,
        arrays: Mapping[str, Cells],
        header: Cells | None = None,
        names: Mapping[int, Name] | None = None,
    ) -> None:
        """Put other content in the place of all that is there, at once.

        Args:
            rows: how many rows the arrays have.
            arrays: the content; a field that is not among them becomes zero.
            header: a new header; the present one stays if it is None.
            names: the names of the rows; if None, the present ones stay.
        """
        capacity = max(rows, SMALLEST_CAPACITY)
        self.arrays = {name: padded(field, arrays.get(name), capacity) for name, field in self.fields.items()}
        if header is not None:
            self.header = header

    def add_name(self, row: int, name: Name) -> None:
        """Take note of the name of a row."""

    def drop_name(self, row: int) -> None:
        """Take note that a row has no name any more."""

    async def sync(self) -> None:
        """Return when everything is durable. In memory nothing ever is, so there is nothing to wait for."""

    def close(self) -> None:
        """Give back what is held."""


def padded(field: Field, content: Cells | None, capacity: int) -> Cells:
    """Return an array of `capacity` rows that begins with the content."""
    array = field.zeros(capacity)
    if content is not None:
        array[: len(content)] = content
    return array
