"""The content of a matrix is sent down a pipeline."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
import bspump.matrix
import bspump.trigger
from bspump.matrix.matrix import Matrix
from bspump.testing import MemorySink, MemorySource, PumpRunner


class P(bspump.Pipeline):
    pass


def matrices(pump: PumpRunner) -> dict[str, Matrix]:
    app = pump.app
    plain = bspump.Matrix(app, config={"max_closed_rows_capacity": 1})
    window = bspump.matrix.TimeWindowMatrix(app, columns=2)
    named = bspump.NamedMatrix(app, [("a", "i4"), ("b", "U3")])
    session = bspump.matrix.SessionMatrix(app, [("a", "i4")], primary_name="user")
    chart = bspump.matrix.GeoMatrix(app, bbox={"min_lat": 0, "max_lat": 2, "min_lon": 0, "max_lon": 2}, resolution=1000)
    for _ in range(2):
        plain.add_row()
    plain.close_row(0)
    plain.Array[1] = 5
    window.add_row("w")
    window.Array[0] = [1, 2]
    named.add_row("n")
    named.Array["b"][0] = "x"
    session.store("s", (7,))
    chart.Array[0, 0] = 3
    return {"": plain, "TimeWindow": window, "Named": named, "Session": session, "Geo": chart}


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("", {"row": 1, "value": 5.0}),
        ("TimeWindow", {"name": "w", "0": 1.0, "1": 2.0}),
        ("Named", {"name": "n", "a": 0, "b": "x"}),
        ("Session", {"user": "s", "a": 7}),
        ("Geo", {"lat": 1.0, "lon": 1.0, "value": 3.0}),
    ],
)
def test_a_source_and_a_generator_make_rows_of_a_matrix(pump: PumpRunner, kind: str, row: dict[str, Any]) -> None:
    matrix = matrices(pump)[kind]
    pump.service.add_matrix(matrix)
    pipeline = P(pump.app)
    source = bspump.matrix.MatrixSource(pump.app, pipeline, matrix.Id)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(
        source.on(bspump.trigger.PubSubTrigger(pump.app, "Export!")),
        getattr(bspump.matrix, f"{kind}MatrixExportCSVGenerator")(pump.app, pipeline),
        sink,
    )

    async def scenario() -> None:
        pump.app.PubSub.publish("Export!")
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [row]


def test_the_rows_are_those_of_the_moment_when_the_matrix_came(pump: PumpRunner) -> None:
    matrix = bspump.Matrix(pump.app)
    for _ in range(200):
        row = matrix.add_row()
        matrix.Array[row] = 1
    pipeline = P(pump.app)
    sink = MemorySink(pump.app, pipeline)
    generator = bspump.matrix.MatrixExportCSVGenerator(pump.app, pipeline)
    source = MemorySource(pump.app, pipeline, [matrix])
    pipeline.build(source, generator, sink)

    async def scenario() -> None:
        await source.finished.wait()
        matrix.zeros()
        await sink.wait_for(200)

    pump.run(scenario, pipeline)
    assert {row["value"] for row in sink.events} == {1.0}


def test_something_else_is_refused(pump: PumpRunner) -> None:
    generator = bspump.matrix.NamedMatrixExportCSVGenerator(pump.app, P(pump.app, "P"))
    with pytest.raises(bspump.ProcessingError, match=r"CSVGenerator'\) got Matrix, but expects a NamedMatrix"):
        generator.process({}, bspump.Matrix(pump.app))
    with pytest.raises(
        bspump.ConfigurationError, match=r"\[pipeline:P:MatrixSource\] matrix_id: Cannot find matrix 'M'"
    ):
        bspump.matrix.MatrixSource(pump.app, P(pump.app, "P"), "M").prepare()
