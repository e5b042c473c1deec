"""A model is read from files that hold data, and nothing that could be run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bspump
from bspump.testing import PumpRunner


class Line(bspump.Model):
    """A straight line."""

    def transform(self, *events: float) -> Any:
        return np.array(events) - self.Parameters.get("offset", 0)

    def predict(self, *events: float) -> Any:
        return self.transform(*events) * self.Model["slope"]


def test_a_model_is_read_from_its_files_and_read_again(pump: PumpRunner, tmp_path: Path) -> None:
    arrays, parameters = tmp_path / "line.npz", tmp_path / "line.json"
    np.savez(arrays, slope=np.array(2.0))
    parameters.write_text('{"offset": 1}')
    pump.configure("model:Line", path_model=arrays, path_parameters=parameters)
    model = Line(pump.app)
    assert model.predict(1.0, 3.0).tolist() == [0.0, 4.0]
    parameters.write_text('{"offset": 0}')
    model.update()
    assert model.predict(1.0, 3.0).tolist() == [2.0, 6.0]
    parameters.write_text("{")
    with pytest.raises(bspump.ConfigurationError, match=r"\[model:Line\] path_parameters: '.*' is no JSON"):
        model.update()
    assert model.Parameters == {"offset": 0}


def test_one_array_needs_no_name(pump: PumpRunner, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    model = Line(pump.app, config={"path_model": str(tmp_path / "a.npy")})
    assert model.Model["array"].tolist() == [0, 1, 2]
    assert model.Parameters == {}


@pytest.mark.parametrize(
    ("first", "last", "complaint"),
    [(30_000, None, "is no .npy or .npz file of plain arrays"), (100, 300, "'slope' is damaged")],
)
def test_a_damaged_file_is_a_configuration_problem(
    pump: PumpRunner, tmp_path: Path, first: int, last: int | None, complaint: str
) -> None:
    path = tmp_path / "line.npz"
    np.savez_compressed(path, slope=np.random.default_rng(1).random(10_000))
    content = path.read_bytes()
    path.write_bytes(content[:first] + (bytes(last - first) + content[last:] if last is not None else b""))
    Line(pump.app, config={"path_model": str(path)})
    (problem,) = pump.service.configuration_problems
    assert problem.startswith(f"[model:Line] path_model: '{path}'")
    assert complaint in problem


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["pickle", "npy", "npz"])
def test_nothing_is_unpickled(pump: PumpRunner, tmp_path: Path, kind: str) -> None:
    path, sprung = tmp_path / f"trap.{kind}", tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(trap))
    elif kind == "npy":
        np.save(path, trap, allow_pickle=True)
    else:
        np.savez(path, trap=trap, allow_pickle=True)
    Line(pump.app, config={"path_model": str(path)})
    [problem] = pump.service.configuration_problems
    assert problem.startswith(f"[model:Line] path_model: '{path}'")
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file or directory"), (json.dumps([1]), "has list, not an object with parameters")],
)
def test_parameters_that_cannot_be_used_are_a_configuration_problem(
    pump: PumpRunner, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    Line(pump.app, config={"path_parameters": str(path)})
    assert pump.service.configuration_problems == [f"[model:Line] path_parameters: '{path}' {problem}"]
