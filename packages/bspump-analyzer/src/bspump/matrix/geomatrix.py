"""A matrix that is a map: each cell is a square of the earth's surface."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import asab
import numpy as np
import numpy.typing as npt

from bspump import option

from ._types import ACTIVE
from .matrix import ClosedRows, Matrix, plain_values

_EARTH_RADIUS = 6371.0


class GeoMatrix(Matrix):
    """A map in the equirectangular projection: row 0 is in the north, column 0 in the west.

    All rows are open for good; `add_row` and `close_row` are refused. Unless set otherwise, it shows most of Europe.

    Args:
        app: the application.
        dtype: the type of a cell.
        bbox: the sides of the map, overriding the options; a dictionary with their names.
        resolution: the size of a cell, in kilometres.
        id: the name of the matrix.
        config: options.
        persistent: whether the matrix is kept in files.

    Attributes:
        Bbox: the sides of the map.
        Resolution: the argument.
        MapHeight, MapWidth: the number of rows and columns.
        SizeHeight, SizeWidth: the size of the map, in kilometres.
    """

    max_lat = option.number(71.26, minimum=-90, maximum=90, help="The northern side of the map, in degrees.")
    min_lat = option.number(23.33, minimum=-90, maximum=90, help="The southern side of the map, in degrees.")
    min_lon = option.number(-10.1, minimum=-180, maximum=180, help="The western side of the map, in degrees.")
    max_lon = option.number(40.6, minimum=-180, maximum=180, help="The eastern side of the map, in degrees.")

    _kind = "GeoMatrix"

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        bbox: Mapping[str, float] | None = None,
        resolution: float = 5,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        persistent: bool = False,
    ) -> None:
        if not (math.isfinite(resolution) and resolution > 0):
            raise ValueError(f"A map needs a resolution above 0 kilometres, not {resolution!r}")
        self.Resolution = resolution
        self.Bbox: dict[str, float] = {}
        self.MapHeight = self.MapWidth = 0
        super().__init__(app, dtype, persistent, id=id, config={**(config or {}), **(bbox or {})})

    def _measure(self) -> None:
        if self.MapHeight:
            return
        self.Bbox = {
            "max_lat": self.max_lat,
            "min_lat": self.min_lat,
            "min_lon": self.min_lon,
            "max_lon": self.max_lon,
        }
        with self.options() as options:
            for low, high in (("min_lat", "max_lat"), ("min_lon", "max_lon")):
                if self.Bbox[low] >= self.Bbox[high]:
                    options.refuse(high, f"is not above {low}, which is {self.Bbox[low]:g}")
                    self.Bbox.update({side: float(GeoMatrix.ConfigDefaults[side]) for side in self.Bbox})
        height = math.radians(self.Bbox["max_lat"] - self.Bbox["min_lat"]) * _EARTH_RADIUS
        middle = math.radians((self.Bbox["max_lat"] + self.Bbox["min_lat"]) / 2)
        width = math.radians(self.Bbox["max_lon"] - self.Bbox["min_lon"]) * _EARTH_RADIUS * math.cos(middle)
        self.MapHeight = max(1, math.ceil(height / self.Resolution))
        self.MapWidth = max(1, math.ceil(width / self.Resolution))
        self.SizeHeight = self.MapHeight * self.Resolution
        self.SizeWidth = self.MapWidth * self.Resolution

    def build_shape(self, rows: int = 0) -> tuple[int, ...]:
        """Return the shape of the map, whatever the number of rows."""
        self._measure()
        return (self.MapHeight, self.MapWidth)

    def _layout(self) -> dict[str, Any]:
        return {**super()._layout(), "sides": self.Bbox, "resolution": float(self.Resolution)}

    def zeros(self, rows: int = 1) -> None:
        """Begin anew with a map of zeros, whatever the number of rows."""
        self._rows.replace(self.MapHeight, {"closed_rows": np.full(self.MapHeight, ACTIVE, dtype=np.uint8)}, names={})
        self._row_count = self.MapHeight
        self.ClosedRows = ClosedRows()
        self._refresh()
        self._changed()

    def add_row(self) -> NoReturn:
        """Refuse: a map has the rows that it has."""
        raise TypeError(f"Matrix '{self.Id}' is a map; its rows cannot be added or closed")

    def close_row(self, row_index: int, clear: bool = True) -> NoReturn:
        """Refuse: a map has the rows that it has."""
        self.add_row()

    def is_in_boundaries(self, lat: float, lon: float) -> bool:
        """Tell whether a place is on the map."""
        return bool(
            self.Bbox["min_lat"] <= lat <= self.Bbox["max_lat"] and self.Bbox["min_lon"] <= lon <= self.Bbox["max_lon"]
        )

    def project_equirectangular(self, lat: float, lon: float) -> tuple[int, int]:
        """Return the row and the column of a place.

        Raises:
            ValueError: the place is not on the map, see `is_in_boundaries`.
        """
        if not self.is_in_boundaries(lat, lon):
            raise ValueError(f"Matrix '{self.Id}' is no map of {lat!r}, {lon!r}")
        south = (self.Bbox["max_lat"] - lat) / (self.Bbox["max_lat"] - self.Bbox["min_lat"])
        east = (lon - self.Bbox["min_lon"]) / (self.Bbox["max_lon"] - self.Bbox["min_lon"])
        # The southern and the eastern side belong to the last row and column.
        row = min(int(south * self.MapHeight), self.MapHeight - 1)
        return row, min(int(east * self.MapWidth), self.MapWidth - 1)

    def inverse_equirectangular(self, row: float, column: float) -> tuple[float, float]:
        """Return the latitude and the longitude of the middle of a cell."""
        south = (row + 0.5) / self.MapHeight
        east = (column + 0.5) / self.MapWidth
        lat = self.Bbox["max_lat"] - south * (self.Bbox["max_lat"] - self.Bbox["min_lat"])
        return lat, self.Bbox["min_lon"] + east * (self.Bbox["max_lon"] - self.Bbox["min_lon"])

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """Yield each cell that is not zero as a dictionary of plain values, with the place of its middle."""
        for row, column in zip(*(part.tolist() for part in np.nonzero(self.Array != self._zero())), strict=True):
            lat, lon = self.inverse_equirectangular(row, column)
            yield {"lat": lat, "lon": lon, **plain_values(self.Array[row, column])}


class PersistentGeoMatrix(GeoMatrix):
    """A `GeoMatrix` that is there again when the program is started again, see `PersistentMatrix`."""

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        bbox: Mapping[str, float] | None = None,
        resolution: float = 5,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, dtype, bbox, resolution, persistent=True, id=id, config=config)
