"""A matrix as a lookup."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import asab
import numpy as np

from bspump import MappingLookup, option
from bspump.errors import ConfigurationError
from bspump.matrix.matrix import Matrix, locate_matrix, plain_values
from bspump.matrix.namedmatrix import NamedMatrix

from .index import Index


class MatrixLookup(MappingLookup):
    """Looks up the rows of a `NamedMatrix` by their names, and, with indexes, by what is in them.

    ``lookup[name]`` is the row as a dictionary of plain values, as it is at this moment.

    Args:
        app: the application.
        matrix_id: the id of a matrix that is registered at the pump service, or the matrix itself.
        on_clock_update: whether the indexes are updated in regular intervals; otherwise call `update`.
        id: the name of the lookup.
        config: options.
        lazy: see `Lookup`.

    Attributes:
        Matrix: the matrix.
        Indexes: the indexes by their ids.

    Raises:
        ConfigurationError: there is no such matrix, or its rows have no names.
    """

    update_period = option.seconds(
        5, help="How much time passes between two updates of the indexes, with ``on_clock_update``."
    )

    def __init__(
        self,
        app: asab.Application,
        matrix_id: str | Matrix,
        on_clock_update: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        lazy: bool = False,
    ) -> None:
        super().__init__(app, id=id, config=config, lazy=lazy)
        try:
            matrix = locate_matrix(app, matrix_id, NamedMatrix)
        except ConfigurationError as error:
            raise ConfigurationError(f"[{self.section}] {error}") from None
        assert isinstance(matrix, NamedMatrix)
        self.Matrix: NamedMatrix = matrix
        self.Indexes: dict[str, Index] = {}
        with self.options() as options:
            if on_clock_update and not self.update_period:
                options.refuse("update_period", "is no time that can pass between two updates")
        self._timer: asyncio.TimerHandle | None = None
        if on_clock_update and self.update_period:
            app.PubSub.subscribe("Application.exit!", self._on_exit)
            self._wait()

    def __getitem__(self, key: Any) -> dict[str, Any]:
        row = self.Matrix.get_row_index(key)
        if row is None:
            raise KeyError(key)
        return plain_values(self.Matrix.Array[row])

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.Matrix.Index.N2IMap))

    def __len__(self) -> int:
        return len(self.Matrix.Index.N2IMap)

    def add_index(self, index: Index) -> Index:
        """Add an index of the matrix.

        Raises:
            ValueError: it is one of another matrix.
        """
        if index.Matrix is not self.Matrix:
            raise ValueError(f"Index '{index.Id}' is one of {index.Matrix!r}, not of {self.Matrix!r}")
        self.Indexes[index.Id] = index
        return index

    def search(self, index_id: str, value: Any, target_column: str | None = None) -> set[Any]:
        """Return the names of the rows that an index finds, or what these rows have in a field.

        Args:
            index_id: the id of the index.
            value: what is searched.
            target_column: the field; None for the names.

        Raises:
            KeyError: there is no index with that id.
        """
        index = self.Indexes.get(index_id)
        if index is None:
            raise KeyError(f"Lookup '{self.Id}' has no index '{index_id}', only {', '.join(self.Indexes) or 'none'}")
        if target_column is None:
            return index.search_names(value)
        rows = np.array(sorted(index.search(value)), dtype=np.intp)
        return set(self.Matrix.Array[target_column][rows].tolist())

    def update(self) -> None:
        """Update the indexes."""
        for index in self.Indexes.values():
            index.update()

    def _wait(self) -> None:
        self._timer = self.Loop.call_later(self.update_period, self._on_clock_tick)

    def _on_clock_tick(self) -> None:
        self._wait()
        self.update()

    def _on_exit(self, message_type: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
