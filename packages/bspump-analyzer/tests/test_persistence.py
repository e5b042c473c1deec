"""A persistent matrix is there again, whatever happened to the process."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asab
import pytest

import bspump
import bspump.matrix
from bspump.matrix import PersistentTimeWindowMatrix
from bspump.testing import PumpRunner, until


def window(pump: PumpRunner, folder: Path, dtype: Any = "i8", **arguments: Any) -> PersistentTimeWindowMatrix:
    arguments = {"start_time": 1000.0, "resolution": 10, "columns": 3, **arguments}
    return PersistentTimeWindowMatrix(pump.app, dtype, id="W", config={"path": str(folder)}, **arguments)


def test_rows_names_and_times_are_there_again(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = window(pump, tmp_path)
    for number in range(50):
        row = matrix.add_row(f"n{number}")
        matrix.Array[row] = [number, 1, 2]
    matrix.add_column()
    matrix.close_rows([f"n{number}" for number in range(10)])
    matrix.flush()
    for _ in range(4):
        matrix.add_column()
        matrix.Array[:, 2] = 8
    expected = matrix.Array.tolist()
    names = dict(matrix.Index.N2IMap)
    matrix.close()

    again = window(pump, tmp_path, start_time=5000.0)
    assert again.Array.tolist() == expected == [[8, 8, 8]] * 40
    assert again.Index.N2IMap == names
    assert again.TimeConfig.get_start() == 1060
    assert again.WarmingUpCount.tolist() == [0] * 40
    assert pump.service.configuration_problems == []


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("PersistentMatrix", {"array.dat", "closed_rows.dat"}),
        ("PersistentNamedMatrix", {"array.dat", "closed_rows.dat", "map.dat"}),
        ("PersistentSessionMatrix", {"array.dat", "closed_rows.dat", "map.dat"}),
        (
            "PersistentTimeWindowMatrix",
            {"array.dat", "closed_rows.dat", "map.dat", "time_config.dat", "warming_up_count.dat"},
        ),
        ("PersistentGeoMatrix", {"array.dat", "closed_rows.dat"}),
    ],
)
def test_the_files_have_the_documented_names(pump: PumpRunner, kind: str, files: set[str]) -> None:
    matrix = getattr(bspump.matrix, kind)(pump.app)
    folder = Path(asab.Config["general"]["var_dir"]) / "matrix" / kind
    assert files <= {path.name for path in folder.iterdir()}
    assert isinstance(matrix, getattr(bspump.matrix, kind.removeprefix("Persistent")))
    matrix.close()


def test_the_argument_persistent_does_the_same(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = bspump.Matrix(pump.app, persistent=True, config={"path": str(tmp_path)})
    row = matrix.add_row()
    matrix.Array[row] = 5
    matrix.close()
    again = bspump.PersistentMatrix(pump.app, config={"path": str(tmp_path)})
    assert again.Array.tolist() == [5]
    assert again.add_row() == 1


@pytest.mark.parametrize("name", ["", 'name with \n and " and ☃' * 20, 7, 2.5, -1])
def test_names_keep_their_type_and_length(pump: PumpRunner, tmp_path: Path, name: Any) -> None:
    matrix = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    matrix.add_row(name)
    matrix.close()
    again = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    [found] = again.Index.N2IMap
    assert found == name
    assert type(found) is type(name)


def test_a_name_that_cannot_be_kept_is_refused_and_changes_nothing(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    with pytest.raises(
        bspump.ProcessingError, match=r"was named \('a', 1\), but names that are kept in a file are text"
    ):
        matrix.add_row(("a", 1))
    assert matrix.ClosedRows == {0}
    assert not matrix.Index.N2IMap


def test_two_matrices_do_not_share_a_folder(pump: PumpRunner, tmp_path: Path) -> None:
    first = window(pump, tmp_path)
    window(pump, tmp_path)
    assert pump.service.configuration_problems == [
        f"[matrix:W] path: '{tmp_path}' is used by another matrix; give each a path of its own"
    ]
    first.close()


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"dtype": "f8"}, "dtype = '<i8', not '<f8'"),
        ({"dtype": [("a", "i8")]}, "dtype = '<i8', not [['a', '<i8']]"),
        ({"columns": 4}, "row = [6], not [8]"),
        ({"resolution": 5}, "resolution = 10.0, not 5.0"),
    ],
)
def test_files_of_another_layout_are_refused_and_left_alone(
    pump: PumpRunner, tmp_path: Path, arguments: dict[str, Any], difference: str
) -> None:
    matrix = window(pump, tmp_path)
    row = matrix.add_row("a")
    matrix.Array[row] = 5
    matrix.close()
    window(pump, tmp_path, **arguments)
    assert pump.service.configuration_problems == [
        f"[matrix:W] path: '{tmp_path}' holds a matrix with {difference}; "
        f"give this one another path, or remove that one"
    ]
    assert window(pump, tmp_path).Array.tolist() == [[5, 5, 5]]


def test_files_of_something_else_are_refused_and_left_alone(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "array.dat").write_bytes(b"precious")
    window(pump, tmp_path)
    assert pump.service.configuration_problems == [
        f"[matrix:W] path: '{tmp_path}' holds files that are no matrix of this version"
    ]
    assert (tmp_path / "array.dat").read_bytes() == b"precious"


@pytest.mark.parametrize("damaged", ["array.dat", "time_config.dat"])
def test_a_file_that_was_cut_off_is_refused(pump: PumpRunner, tmp_path: Path, damaged: str) -> None:
    window(pump, tmp_path).close()
    os.truncate(tmp_path / damaged, 5)
    window(pump, tmp_path)
    [problem] = pump.service.configuration_problems
    assert "damaged" in problem


def test_python_objects_cannot_be_kept(pump: PumpRunner, tmp_path: Path) -> None:
    bspump.PersistentMatrix(pump.app, object, id="M", config={"path": str(tmp_path)})
    [problem] = pump.service.configuration_problems
    assert problem.startswith("[matrix:M] path: objects of Python cannot be kept in files")


def test_a_path_that_is_no_folder_is_a_configuration_problem(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    window(pump, tmp_path / "file")
    assert pump.service.configuration_problems == [
        f"[matrix:W] path: '{tmp_path / 'file'}' cannot be used: File exists"
    ]


def test_the_list_of_names_stays_short(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    for number in range(5000):
        matrix.add_row(f"n{number}")
        matrix.close_row(f"n{number}")
    matrix.add_row("last")
    assert len((tmp_path / "map.dat").read_text().splitlines()) < 5000
    matrix.close()
    assert bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)}).Index.N2IMap == {"last": 0}


def test_files_are_not_written_anew_for_a_few_closed_rows(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})

    async def scenario() -> None:
        for number in range(1100):
            matrix.add_row(number)
        before = (tmp_path / "array.dat").stat().st_ino
        matrix.close_rows(range(999))
        await asyncio.sleep(0)
        assert (tmp_path / "array.dat").stat().st_ino == before
        assert len(matrix.ClosedRows) == 999
        matrix.close_row(999)
        await asyncio.sleep(0)
        assert (tmp_path / "array.dat").stat().st_ino != before
        assert matrix.Array.shape == (100,)
        assert matrix.get_row_index(1099) == 99

    pump.run(scenario)


def test_a_line_that_was_not_finished_does_not_count(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    matrix.add_row("a")
    matrix.close()
    with (tmp_path / "map.dat").open("a") as file:
        file.write('[1, "b')
    again = bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)})
    assert again.Index.N2IMap == {"a": 0}
    again.add_row("c")
    again.close()
    assert bspump.PersistentNamedMatrix(pump.app, config={"path": str(tmp_path)}).Index.N2IMap == {"a": 0, "c": 1}


def test_a_closed_matrix_can_be_read_only(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = window(pump, tmp_path)
    row = matrix.add_row("a")
    matrix.close()
    assert matrix.Array[row].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        matrix.Array[row] = 1


def test_the_clock_leaves_a_closed_matrix_alone(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def clock_driven(name: str) -> PersistentTimeWindowMatrix:
        path = {"path": str(tmp_path / name)}
        return PersistentTimeWindowMatrix(pump.app, resolution=0.01, clock_driven=True, id=name, config=path)

    closed, running = clock_driven("closed"), clock_driven("running")
    closed.close()
    start = running.TimeConfig.get_start()
    pump.run(lambda: until(lambda: running.TimeConfig.get_start() > start + 0.05))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_sync_returns_when_the_files_are_on_the_disk(pump: PumpRunner, tmp_path: Path) -> None:
    matrix = window(pump, tmp_path)
    row = matrix.add_row("a")
    matrix.Array[row] = 5

    async def scenario() -> None:
        open_before = open_files()
        await matrix.sync()
        assert open_files() <= open_before

    pump.run(scenario)
    stored = (tmp_path / "array.dat").read_bytes()
    assert stored[:24] == (5).to_bytes(8, "little") * 3


KILLED = r'''
"""Forks a process that changes a matrix step by step, kills it, and compares: all steps but the last are there."""

import os, random, signal, sys, time
from bspump.matrix import PersistentTimeWindowMatrix, TimeWindowMatrix
from bspump.testing import PumpRunner, until

folder, rounds = sys.argv[1], int(sys.argv[2])
shape = {"start_time": 1000.0, "resolution": 10, "columns": 4}
counter = os.open(folder + "/steps", os.O_RDWR | os.O_CREAT)


def step(matrix, number):
    """Do the step of that number, which depends on nothing but the number and the matrix."""
    choice = random.Random(number)
    names = sorted(matrix.Index.N2IMap)
    kind = choice.random()
    if kind < 0.4 or not names:
        matrix.add_row(f"n{number}")
    elif kind < 0.8:
        matrix.Array[matrix.get_row_index(choice.choice(names)), choice.randrange(4)] = number
    elif kind < 0.93:
        matrix.close_row(choice.choice(names))
    elif kind < 0.99:
        matrix.advance(matrix.TimeConfig.get_start() + 10 * choice.choice([0, 0, 0, 1, 2, 9]))
    else:
        matrix.flush()


def state(matrix):
    warm = matrix.WarmingUpCount
    rows = {name: (matrix.Array[row].tolist(), int(warm[row])) for name, row in matrix.Index.N2IMap.items()}
    return rows, matrix.TimeConfig.get_start()


def work(app):
    matrix = PersistentTimeWindowMatrix(app, "i8", config={"path": folder + "/m"}, **shape)
    number = int.from_bytes(os.pread(counter, 8, 0), "little")
    while True:
        number += 1
        step(matrix, number)
        os.pwrite(counter, number.to_bytes(8, "little"), 0)


with PumpRunner() as pump:
    expected, done = TimeWindowMatrix(pump.app, "i8", **shape), 0
    for _ in range(rounds):
        child = os.fork()
        if not child:
            try:
                work(pump.app)
            finally:
                os._exit(1)
        time.sleep(random.uniform(0.02, 0.1))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the process ended by itself"
        reported = int.from_bytes(os.pread(counter, 8, 0), "little")
        while done < reported:
            done += 1
            step(expected, done)
        found = PersistentTimeWindowMatrix(pump.app, "i8", config={"path": folder + "/m"}, **shape)
        assert not pump.service.configuration_problems, pump.service.configuration_problems
        if state(found) != state(expected):
            done += 1
            step(expected, done)
            os.pwrite(counter, done.to_bytes(8, "little"), 0)
        assert state(found) == state(expected), done
        assert set(found.active_rows().tolist()) == set(found.Index.I2NMap)
        assert not found.Array[sorted(found.ClosedRows)].any()
        found.close()
    print("steps", done)
'''


def test_a_killed_process_loses_nothing_but_the_step_it_was_at(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "20"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout.split()[-1]) > 20


HALF_WAY = r"""
import os, sys
from pathlib import Path
from bspump.matrix import PersistentNamedMatrix
from bspump.testing import PumpRunner, until

# The process ends at the rename of that number, of those that a flush makes.
folder, last = sys.argv[1], int(sys.argv[2])
renames = 0
rename = Path.rename


def counted(self, target):
    global renames
    renames += 1
    if renames == last:
        os._exit(9)
    return rename(self, target)


with PumpRunner() as pump:
    matrix = PersistentNamedMatrix(pump.app, "i8", config={"path": folder})
    for number in range(30):
        row = matrix.add_row(f"n{number}")
        matrix.Array[row] = number
    matrix.close_rows([f"n{number}" for number in range(0, 30, 2)])
    Path.rename = counted
    matrix.flush()
"""


@pytest.mark.parametrize("last", [1, 2, 3, 4, 5])
def test_a_flush_that_is_cut_off_is_finished_or_undone(pump: PumpRunner, tmp_path: Path, last: int) -> None:
    finished = subprocess.run([sys.executable, "-c", HALF_WAY, str(tmp_path), str(last)], check=False)
    assert finished.returncode == 9
    matrix = bspump.PersistentNamedMatrix(pump.app, "i8", config={"path": str(tmp_path)})
    assert {name: int(matrix.Array[row]) for name, row in matrix.Index.N2IMap.items()} == {
        f"n{number}": number for number in range(1, 30, 2)
    }
    assert matrix.Array.shape == ((30,) if last == 1 else (15,))
    assert not list(tmp_path.glob("*.new"))


FULL = r"""
import resource, sys
from bspump.matrix import PersistentTimeWindowMatrix
from bspump.testing import PumpRunner, until

shape = {"start_time": 1000.0, "resolution": 10, "columns": 3}
with PumpRunner() as pump:
    matrix = PersistentTimeWindowMatrix(pump.app, "i8", config={"path": sys.argv[1]}, **shape)
    for number in range(16):
        row = matrix.add_row(f"n{number}")
        matrix.Array[row] = number
    for _ in range(3):
        matrix.add_column()
        matrix.Array[:, 2] = 5
    before = matrix.Array.tolist(), dict(matrix.Index.N2IMap), matrix.TimeConfig.get_start()
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
    for change in (lambda: matrix.add_row("one too many"), matrix.add_column, matrix.zeros):
        try:
            change()
        except OSError as error:
            print(type(error).__name__)
        assert (matrix.Array.tolist(), matrix.Index.N2IMap, matrix.TimeConfig.get_start()) == before
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert matrix.add_row("now") == 16
    matrix.add_column()
    assert matrix.Array[15].tolist() == [5, 5, 0]
    matrix.close()
    again = PersistentTimeWindowMatrix(pump.app, "i8", config={"path": sys.argv[1]}, **shape)
    assert again.Array.tolist() == [*[[5, 5, 0]] * 16, [0, 0, 0]]
"""


def test_where_the_space_ends_the_matrix_stays_as_it_was(tmp_path: Path) -> None:
    # A limit for the size of files stands for the end of the space: it fails at the same calls.
    finished = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split()[-3:] == ["OSError"] * 3
