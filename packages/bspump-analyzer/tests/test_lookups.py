"""A matrix is a lookup, and indexes find its rows by what is in them."""

from __future__ import annotations

import math
import random

import pytest

import bspump
from bspump.lookup import BitMapIndex, MatrixLookup, SliceIndex, TreeRangeIndex
from bspump.matrix import NamedMatrix, SessionMatrix
from bspump.testing import PumpRunner, until

FIELDS = [("low", "f8"), ("high", "f8"), ("kind", "U8")]


@pytest.fixture
def ranges(pump: PumpRunner) -> SessionMatrix:
    """Return a registered matrix of ranges."""
    matrix = SessionMatrix(pump.app, FIELDS, id="Ranges")
    pump.service.add_matrix(matrix)
    for name, *row in (("a", 0, 10, "x"), ("b", 5, 6, "y"), ("c", 8, 20, "x"), ("gone", 0, 99, "x")):
        matrix.store(name, tuple(row))
    matrix.close_row("gone")
    return matrix


def test_rows_are_looked_up_by_name(pump: PumpRunner, ranges: SessionMatrix) -> None:
    lookup = MatrixLookup(pump.app, "Ranges")
    assert lookup["b"] == {"low": 5.0, "high": 6.0, "kind": "y"}
    assert list(lookup) == ["a", "b", "c"]
    assert len(lookup) == 3
    assert "gone" not in lookup
    assert lookup.get("gone") is None
    ranges.store("d", (1, 2, "z"))
    assert lookup["d"]["kind"] == "z"


def test_indexes_find_names_and_values(pump: PumpRunner, ranges: SessionMatrix) -> None:
    lookup = MatrixLookup(pump.app, ranges)
    lookup.add_index(BitMapIndex("kind", ranges))
    lookup.add_index(TreeRangeIndex(("low", "high"), ranges, id="Range"))
    lookup.add_index(SliceIndex("low", ranges, resolution=5))
    assert lookup.search("BitMapIndex", "x") == {"a", "c"}
    assert lookup.search("BitMapIndex", "x", "high") == {10.0, 20.0}
    assert lookup.search("BitMapIndex", "nothing") == set()
    assert lookup.search("BitMapIndex", "nothing", "high") == set()
    assert lookup.search("Range", 5.5) == {"a", "b"}
    assert lookup.search("Range", 20) == {"c"}
    assert lookup.search("Range", -1) == lookup.search("Range", 20.5) == set()
    assert lookup.search("SliceIndex", 9.9) == {"b", "c"}
    ranges.close_row("a")
    lookup.update()
    assert lookup.search("Range", 5.5) == {"b"}


def test_a_range_is_found_among_many(pump: PumpRunner) -> None:
    choice = random.Random(1)
    matrix = SessionMatrix(pump.app, FIELDS)
    ranges = {}
    for name in range(300):
        low = choice.randrange(1000)
        ranges[name] = (low, low + choice.choice([0, 1, 10, 500]))
        matrix.store(name, (*ranges[name], ""))
    index = TreeRangeIndex(("low", "high"), matrix)
    for value in range(-1, 1501):
        assert index.search_names(value) == {name for name, (low, high) in ranges.items() if low <= value <= high}


def test_indexes_of_an_empty_matrix_find_nothing(pump: PumpRunner) -> None:
    matrix = SessionMatrix(pump.app, FIELDS)
    for index in (BitMapIndex("kind", matrix), TreeRangeIndex(("low", "high"), matrix), SliceIndex("low", matrix)):
        assert index.search_names(0) == set()


def test_an_index_of_a_plain_matrix_finds_row_numbers(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    for value in (5, 7, 5):
        row = matrix.add_row()
        matrix.Array[row] = value
    assert BitMapIndex(None, matrix).search_names(5) == {0, 2}
    assert SliceIndex(None, matrix, 2).search_names(6) == {1}


def test_the_clock_updates_the_indexes(pump: PumpRunner, ranges: SessionMatrix) -> None:
    lookup = MatrixLookup(pump.app, ranges, on_clock_update=True, config={"update_period": "0.005"})
    lookup.add_index(BitMapIndex("kind", ranges))

    async def scenario() -> None:
        ranges.store("d", (1, 2, "new"))
        await until(lambda: lookup.search("BitMapIndex", "new") == {"d"})

    pump.run(scenario)


def test_what_cannot_be_a_lookup_is_refused(pump: PumpRunner, ranges: SessionMatrix) -> None:
    pump.service.add_matrix(bspump.Matrix(pump.app, id="Plain"))
    with pytest.raises(
        bspump.ConfigurationError, match=r"\[lookup:L\] matrix_id: 'Plain' is a Matrix, not a NamedMatrix"
    ):
        MatrixLookup(pump.app, "Plain", id="L")
    with pytest.raises(bspump.ConfigurationError, match=r"\[lookup:L\] matrix_id: Cannot find matrix 'Nowhere'"):
        MatrixLookup(pump.app, "Nowhere", id="L")
    other = SessionMatrix(pump.app, FIELDS, id="Other")
    with pytest.raises(ValueError, match=r"Index 'BitMapIndex' is one of SessionMatrix\('Other'\), not of"):
        MatrixLookup(pump.app, ranges).add_index(BitMapIndex("kind", other))
    with pytest.raises(ValueError, match="A SliceIndex needs a resolution above 0, not 0"):
        SliceIndex("low", ranges, 0)


def test_a_value_is_found_in_its_slice_also_where_slices_are_fractions(pump: PumpRunner) -> None:
    matrix = NamedMatrix(pump.app)
    values = [number / 10 for number in range(-100, 100)]
    for value in values:
        row = matrix.add_row(value)
        matrix.Array[row] = value
    index = SliceIndex(None, matrix, resolution=0.1)
    assert [value for value in values if value not in index.search_names(value)] == []
    assert index.search(math.nan) == index.search(math.inf) == set()


def test_a_range_without_an_end_hides_no_others(pump: PumpRunner) -> None:
    matrix = SessionMatrix(pump.app, FIELDS)
    nan = math.nan
    for name, row in enumerate([(1, 100), (2, nan), (3, 4), (10, 20), (nan, nan), (nan, 99)]):
        matrix.store(name, (*row, ""))
    index = TreeRangeIndex(("low", "high"), matrix)
    assert index.search_names(50) == {0}
    assert index.search_names(3) == {0, 2}
    assert index.search_names(5) == {0}


def test_an_index_that_is_not_there_is_told(pump: PumpRunner, ranges: SessionMatrix) -> None:
    lookup = MatrixLookup(pump.app, ranges, id="L")
    lookup.add_index(BitMapIndex("kind", ranges))
    with pytest.raises(KeyError, match="Lookup 'L' has no index 'Range', only BitMapIndex"):
        lookup.search("Range", 1)
