"""A matrix whose rows have names: users, hosts, sensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import asab
import numpy as np
import numpy.typing as npt

from ._types import ACTIVE, CLOSED, Name
from .matrix import Matrix


@dataclasses.dataclass(slots=True)
class NamedIndex:
    """Which row has which name.

    Attributes:
        N2IMap: the number of the row by its name.
        I2NMap: the name by the number of the row.
    """

    N2IMap: dict[Name, int] = dataclasses.field(default_factory=dict)
    I2NMap: dict[int, Name] = dataclasses.field(default_factory=dict)

    def add(self, row: int, name: Name) -> None:
        """Give a row its name."""
        self.N2IMap[name] = row
        self.I2NMap[row] = name

    def drop(self, row: int) -> None:
        """Take a row its name."""
        del self.N2IMap[self.I2NMap.pop(row)]


class NamedMatrix(Matrix):
    """A matrix whose rows are opened, found and closed by their names. Arguments and options are those of `Matrix`.

    A name is any hashable object but None; in a persistent matrix it is a text of any length, or a number.

    Attributes:
        Index: which row has which name: ``Index.N2IMap[name]``, ``Index.I2NMap[row]``.
    """

    _kind = "NamedMatrix"

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.Index = NamedIndex()
        super().__init__(app, dtype, persistent, id=id, config=config)

    @property
    def N2IMap(self) -> dict[Name, int]:
        """The number of the row by its name."""
        return self.Index.N2IMap

    @property
    def I2NMap(self) -> dict[int, Name]:
        """The name by the number of the row."""
        return self.Index.I2NMap

    def _restore(self) -> None:
        # The names decide which rows are open: they are written in one step.
        states = self._rows.arrays["closed_rows"]
        named = [row for row in self._rows.names if row < len(states)]
        states[states == ACTIVE] = CLOSED
        states[named] = ACTIVE
        self._renamed({row: self._rows.names[row] for row in named})
        super()._restore()

    def add_row(self, name: Name = None) -> int:
        """Open a row of zeros with that name. Returns its number; of a name that has a row, that of this row.

        Raises:
            ValueError: the name is None.
        """
        if name is None:
            raise ValueError(f"Matrix '{self.Id}' cannot open a row without a name")
        existing = self.Index.N2IMap.get(name)
        if existing is not None:
            return existing
        row = self._prepare_row()
        self._rows.add_name(row, name)
        self.Index.add(row, name)
        self._open_row(row)
        return row

    def close_row(self, row_name: Name, clear: bool = True) -> bool:
        """Close the row of that name, so that it may be used again.

        Args:
            row_name: the name of the row.
            clear: whether it becomes zero at once, and not only when it is used again.

        Returns:
            False if no row has that name.
        """
        row = self.Index.N2IMap.get(row_name)
        if row is None:
            return False
        self._rows.drop_name(row)
        self.Index.drop(row)
        return super().close_row(row, clear)

    def close_rows(self, row_names: Iterable[Name], clear: bool = True) -> None:
        """Close the rows of several names."""
        for name in list(row_names):
            self.close_row(name, clear)

    def get_row_index(self, row_name: Name) -> int | None:
        """Return the number of the row of that name, or None."""
        return self.Index.N2IMap.get(row_name)

    def get_row_name(self, row_index: int) -> Name:
        """Return the name of a row, or None."""
        return self.Index.I2NMap.get(row_index)

    def _moved_names(self, rows: npt.NDArray[np.intp]) -> dict[int, Name]:
        names = self.Index.I2NMap
        return {new: names[old] for new, old in enumerate(rows.tolist()) if old in names}

    def _renamed(self, names: Mapping[int, Name]) -> None:
        self.Index = NamedIndex({name: row for row, name in names.items()}, dict(names))

    def _row_label(self, row: int) -> dict[str, Any]:
        return {"name": self.Index.I2NMap[row]}


class PersistentNamedMatrix(NamedMatrix):
    """A `NamedMatrix` that is there again when the program is started again, see `PersistentMatrix`."""

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, dtype, persistent=True, id=id, config=config)
