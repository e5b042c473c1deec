"""Rows are opened, found, closed and moved, and a new one is always zero."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import bspump
import bspump.matrix
from bspump.matrix.matrix import Matrix
from bspump.testing import PumpRunner

FIELDS = [("f1", "i8"), ("f2", "U20"), ("f3", "f8")]


def changes_of(matrix: Matrix) -> list[str]:
    """Return a list that a message is added to each time the matrix says that it changed."""
    changes = Changes()
    matrix.PubSub.subscribe("Matrix changed!", changes.note)
    KEPT.append(changes)  # subscribers are held weakly
    return changes


KEPT: list[Any] = []


class Changes(list[str]):
    def note(self, message_type: str) -> None:
        self.append(message_type)


def test_a_new_matrix_has_one_closed_row_of_zeros(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    assert matrix.Array.shape == (1,)
    assert matrix.Array.dtype == np.float64
    assert matrix.ClosedRows == matrix.ClosedRows.CR == {0}
    assert matrix.Id == "Matrix"
    matrix.zeros(rows=5)
    assert matrix.Array.tolist() == [0.0] * 5
    assert matrix.ClosedRows == {0, 1, 2, 3, 4}


def test_rows_are_numbered_in_order_and_the_array_grows(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app, FIELDS)
    for number in range(100):
        row = matrix.add_row()
        assert row == number
        matrix.Array[row][0] = number
        matrix.Array[row]["f2"] = str(number)
    assert matrix.Array.shape == (100,)
    assert matrix.Array["f1"].tolist() == list(range(100))
    assert matrix.Array[7].tolist() == (7, "7", 0.0)


def test_closed_rows_are_used_again_and_are_zero_then(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    for _ in range(100):
        row = matrix.add_row()
        matrix.Array[row] = 5
    for row in range(20, 40):
        assert matrix.close_row(row, clear=row % 2 == 0)
    assert matrix.ClosedRows == set(range(20, 40))
    assert matrix.Array[20:22].tolist() == [0, 5]
    assert not matrix.close_row(20)
    reused = {matrix.add_row() for _ in range(20)}
    assert reused == set(range(20, 40))
    assert matrix.Array[20:40].tolist() == [0] * 20
    assert matrix.add_row() == 100


@pytest.mark.parametrize("row", [-1, 1])
def test_a_row_that_is_not_there_cannot_be_closed(pump: PumpRunner, row: int) -> None:
    matrix = bspump.Matrix(pump.app)
    matrix.add_row()
    with pytest.raises(IndexError, match=f"Matrix 'Matrix' has no row {row}, only 0 to 0"):
        matrix.close_row(row)


def test_flush_removes_closed_rows_and_moves_the_others_up(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app, "int_")
    for number in range(10):
        row = matrix.add_row()
        matrix.Array[row] = number
    matrix.close_rows([0, 1, 5])
    matrix.flush()
    assert matrix.Array.tolist() == [2, 3, 4, 6, 7, 8, 9]
    assert not matrix.ClosedRows


def test_row_numbers_are_valid_until_the_event_loop_has_its_turn(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app, config={"max_closed_rows_capacity": "0.5"})

    async def scenario() -> None:
        for number in range(10):
            row = matrix.add_row()
            matrix.Array[row] = number
        matrix.close_rows(range(5))
        await asyncio.sleep(0)
        assert matrix.Array.shape == (10,)
        matrix.close_row(9)
        assert matrix.Array.shape == (10,)
        await asyncio.sleep(0)
        assert matrix.Array.tolist() == [5, 6, 7, 8]

    pump.run(scenario)


def test_all_rows_may_be_closed_and_the_empty_matrix_goes_on(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    matrix.close_row(matrix.add_row())
    matrix.flush()
    assert matrix.Array.shape == (0,)
    assert matrix.active_rows().tolist() == []
    assert list(matrix.iter_rows()) == []
    assert matrix.add_row() == 0
    assert matrix.Array.tolist() == [0]


def test_reshape_changes_the_number_of_rows(pump: PumpRunner) -> None:
    matrix = bspump.matrix.TimeWindowMatrix(pump.app, columns=3)
    for name in "abcd":
        row = matrix.add_row(name)
        matrix.Array[row] = row + 1
    matrix.reshape((20, 3))
    assert matrix.Array.shape == (20, 3)
    assert matrix.ClosedRows == set(range(4, 20))
    matrix.reshape((2, 3))
    assert matrix.Array.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert matrix.Index.N2IMap == {"a": 0, "b": 1}
    with pytest.raises(ValueError, match=r"Matrix 'TimeWindowMatrix' has the shape \(2, 3\), not \(2, 4\)"):
        matrix.reshape((2, 4))


def test_names_find_their_rows(pump: PumpRunner) -> None:
    matrix = bspump.NamedMatrix(pump.app)
    for number in range(100):
        row = matrix.add_row(f"id_{number}")
        matrix.Array[row] = number
    assert matrix.N2IMap == {f"id_{number}": number for number in range(100)}
    assert matrix.I2NMap == {number: f"id_{number}" for number in range(100)}
    assert matrix.get_row_index("id_42") == 42
    assert matrix.get_row_name(42) == "id_42"
    assert matrix.get_row_index("nobody") is None
    assert matrix.get_row_name(100) is None
    assert matrix.add_row("id_42") == 42
    assert matrix.Array[42] == 42


def test_names_stay_with_their_rows_when_these_move(pump: PumpRunner) -> None:
    matrix = bspump.NamedMatrix(pump.app)
    for number in range(100):
        row = matrix.add_row(str(number))
        matrix.Array[row] = number
    matrix.close_rows(str(number) for number in range(40))
    assert matrix.get_row_index("39") is None
    assert 39 not in matrix.Index.I2NMap
    matrix.flush()
    assert matrix.Array.tolist() == list(range(40, 100))
    assert all(matrix.Array[row] == int(name) for name, row in matrix.Index.N2IMap.items())
    assert len(matrix.Index.N2IMap) == len(matrix.Index.I2NMap) == 60


def test_a_name_that_nobody_has_is_not_closed_and_none_is_no_name(pump: PumpRunner) -> None:
    matrix = bspump.NamedMatrix(pump.app)
    assert not matrix.close_row("nobody")
    with pytest.raises(ValueError, match="Matrix 'NamedMatrix' cannot open a row without a name"):
        matrix.add_row(None)
    assert matrix.ClosedRows == {0}


def test_subscribers_hear_of_rows(pump: PumpRunner) -> None:
    matrix = bspump.NamedMatrix(pump.app)
    changes = changes_of(matrix)
    matrix.add_row("a")
    matrix.add_row("a")
    assert changes == ["Matrix changed!"]
    matrix.close_row("a")
    matrix.flush()
    matrix.flush()
    assert changes == ["Matrix changed!"] * 3


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float_", "f8"), ("complex_", "c16"), ("int_", "int_"), ("U7", "U7"), (np.float32, "f4")]
)
def test_types_have_the_names_that_they_had_before_numpy_2(pump: PumpRunner, dtype: Any, expected: str) -> None:
    assert bspump.Matrix(pump.app, dtype).DType == np.dtype(expected)


@pytest.mark.parametrize("dtype", ["nonsense", "U", [("a", "nonsense")]])
def test_a_type_that_is_none_is_a_configuration_problem(pump: PumpRunner, dtype: Any) -> None:
    bspump.Matrix(pump.app, dtype, id="M")
    assert len(pump.service.configuration_problems) == 1
    assert pump.service.configuration_problems[0].startswith("[matrix:M] dtype: ")


def test_options_come_from_the_section_of_the_matrix(pump: PumpRunner) -> None:
    pump.configure("matrix:M", max_closed_rows_capacity="0.7")
    assert bspump.Matrix(pump.app, id="M").MaxClosedRowsCapacity == 0.7
    pump.configure("matrix:M", max_closed_rows_capacity="7")
    bspump.Matrix(pump.app, id="M")
    assert pump.service.configuration_problems == ["[matrix:M] max_closed_rows_capacity: '7' is above 1"]


def test_the_metric_counts_rows(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    for _ in range(5):
        matrix.add_row()
    matrix.close_row(3)

    async def scenario() -> None:
        metrics: Any = pump.app.get_service("asab.MetricsService")
        await metrics.flush()

    pump.run(scenario)
    assert matrix.Gauge.Storage["name"] == "RowCounter"
    [field] = matrix.Gauge.Storage["fieldset"]
    assert field["tags"]["matrix"] == "Matrix"
    assert field["values"] == {"rows.active": 4, "rows.closed": 1}


def test_the_description_has_plain_values(pump: PumpRunner) -> None:
    matrix = bspump.matrix.SessionMatrix(pump.app, FIELDS, id="S")
    matrix.add_row("a")
    assert matrix.rest_get() == {"Id": "S", "Class": "SessionMatrix", "Shape": [1], "ClosedRows": 0}


def test_a_session_takes_what_it_has_fields_for(pump: PumpRunner) -> None:
    matrix = bspump.matrix.SessionMatrix(pump.app, FIELDS)
    row = matrix.add_row("abc")
    matrix.store_event(row, {"id": "abc", "f0": 7, "f1": 123, "f2": "abcd"})
    assert matrix.decode_row(row) == {"id": "abc", "f1": 123, "f2": "abcd", "f3": 0.0}
    row = matrix.add_row("bcd")
    matrix.store_event(row, {"f1": 1, "f2": "x", "f3": 2.5}, keys=["f1", "f3", "f5"])
    assert matrix.decode_row(row, keys=["f3", "f5", "f2"]) == {"id": "bcd", "f3": 2.5, "f2": ""}


def test_a_session_is_replaced_as_a_whole(pump: PumpRunner) -> None:
    matrix = bspump.matrix.SessionMatrix(pump.app, FIELDS, config={"primary_name": "user"})
    content = np.zeros(1, dtype=FIELDS)
    content["f2"] = "array"
    matrix.store("a", content)
    matrix.store("b", (1, "tuple", 2.0))
    matrix.store("c", {"f1": 2, "f2": "mapping", "f3": 3.0, "f4": "none"})
    assert list(matrix.iter_rows()) == [
        {"user": "a", "f1": 0, "f2": "array", "f3": 0.0},
        {"user": "b", "f1": 1, "f2": "tuple", "f3": 2.0},
        {"user": "c", "f1": 2, "f2": "mapping", "f3": 3.0},
    ]
    with pytest.raises(bspump.ProcessingError, match="Matrix 'SessionMatrix' got a session without f1, f3, but stores"):
        matrix.store("d", {"f2": "part"})
    with pytest.raises(ValueError, match="nonsense"):
        matrix.store("d", ("nonsense", "", 0))
    assert matrix.get_row_index("d") is None


def test_sessions_without_fields_say_what_is_missing(pump: PumpRunner) -> None:
    matrix = bspump.matrix.SessionMatrix(pump.app, primary_name="user")
    row = matrix.store("a", 5)
    assert matrix.decode_row(row) == {"user": "a", "value": 5.0}
    with pytest.raises(TypeError, match="Matrix 'SessionMatrix' has no fields to store events in"):
        matrix.store_event(row, {"a": 1})


PRAGUE = {"min_lon": 14.259097, "max_lon": 14.589601, "min_lat": 49.974702, "max_lat": 50.160150}


def test_a_map_has_as_many_cells_as_fit(pump: PumpRunner) -> None:
    chart = bspump.matrix.GeoMatrix(pump.app, bbox=PRAGUE, resolution=5)
    assert chart.Array.shape == (chart.MapHeight, chart.MapWidth) == (5, 5)
    assert (chart.SizeHeight, chart.SizeWidth) == (25, 25)
    assert chart.Bbox == PRAGUE
    assert not chart.ClosedRows


def test_a_map_knows_what_is_on_it(pump: PumpRunner) -> None:
    chart = bspump.matrix.GeoMatrix(pump.app, bbox=PRAGUE)
    places = [(0, 0), (50, 0), (51, 14.3), (50, 14.3), (50, 13)]
    assert [chart.is_in_boundaries(lat, lon) for lat, lon in places] == [False, False, False, True, False]
    with pytest.raises(ValueError, match=r"Matrix 'GeoMatrix' is no map of 51, 14\.3"):
        chart.project_equirectangular(51, 14.3)


def test_cells_and_places_correspond(pump: PumpRunner) -> None:
    chart = bspump.matrix.GeoMatrix(pump.app, resolution=50)
    for row in range(chart.MapHeight):
        for column in range(chart.MapWidth):
            assert chart.project_equirectangular(*chart.inverse_equirectangular(row, column)) == (row, column)
    assert chart.project_equirectangular(71.26, -10.10) == (0, 0)
    assert chart.project_equirectangular(23.33, 40.6) == (chart.MapHeight - 1, chart.MapWidth - 1)


def test_the_rows_of_a_map_stay(pump: PumpRunner) -> None:
    chart = bspump.matrix.GeoMatrix(pump.app, bbox=PRAGUE)
    with pytest.raises(TypeError, match="Matrix 'GeoMatrix' is a map"):
        chart.add_row()
    with pytest.raises(TypeError, match="Matrix 'GeoMatrix' is a map"):
        chart.close_row(0)
    chart.Array[1, 2] = 3
    [cell] = chart.iter_rows()
    assert chart.project_equirectangular(cell["lat"], cell["lon"]) == (1, 2)
    assert cell["value"] == 3
    chart.zeros()
    assert not chart.Array.any()


def test_a_map_without_an_area_is_a_configuration_problem(pump: PumpRunner) -> None:
    bspump.matrix.GeoMatrix(pump.app, id="G", bbox={"max_lat": 10})
    assert pump.service.configuration_problems == ["[matrix:G] max_lat: 10 is not above min_lat, which is 23.33"]
