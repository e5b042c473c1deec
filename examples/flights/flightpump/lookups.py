"""The lookups: the names of the airlines and the places of the airports, both from compressed CSV files."""

from __future__ import annotations

import csv
import io
from typing import Any, NamedTuple

import bspump

from . import dataset


class Airport(NamedTuple):
    """What is known of an airport; the latitude and the longitude are in degrees."""

    name: str
    latitude: float
    longitude: float


class Airlines(bspump.DictionaryLookup):
    """The name of an airline by its two-letter code."""

    ConfigDefaults: dict[str, Any] = {"source_url": str(dataset.AIRLINES)}

    def deserialize(self, data: bytes) -> None:
        """Replace the airlines by those of a CSV file with the columns ``carrier`` and ``name``."""
        self.Dictionary = {row["carrier"]: row["name"] for row in _rows(data, "carrier", "name")}


class Airports(bspump.DictionaryLookup):
    """An `Airport` by its three-letter FAA code."""

    ConfigDefaults: dict[str, Any] = {"source_url": str(dataset.AIRPORTS)}

    def deserialize(self, data: bytes) -> None:
        """Replace the airports by those of a CSV file with the columns ``faa``, ``name``, ``lat`` and ``lon``."""
        rows = _rows(data, "faa", "name", "lat", "lon")
        self.Dictionary = {row["faa"]: Airport(row["name"], float(row["lat"]), float(row["lon"])) for row in rows}


def _rows(data: bytes, *columns: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    missing = set(columns).difference(reader.fieldnames or ())
    if missing:
        raise ValueError(f"the column {min(missing)!r} is missing")
    return list(reader)
