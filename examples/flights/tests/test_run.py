from __future__ import annotations

from pathlib import Path

import pytest
from flightpump.run import FolderInUseError, Run


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    path = tmp_path / "flights.csv"
    path.write_text("header\n1\n\n2\n3")
    return path


def start(flights: Path, folder: Path, *, fresh: bool = False, finish: bool = False) -> Run:
    """Begin a run and end it at once, finished or not."""
    run = Run(flights, folder, fresh=fresh)
    run.outputs.flights.touch()
    if finish:
        run.finish()
    run.close()
    return run


def test_an_interrupted_run_is_gone_on_with(flights: Path, tmp_path: Path) -> None:
    start(flights, tmp_path / "out")
    run = Run(flights, tmp_path / "out")
    assert run.is_continued
    assert run.announcement == "The last run was interrupted: going on with it."
    assert run.outputs.flights.exists()
    assert run.lines == 3
    run.close()


@pytest.mark.parametrize("fresh", [False, True])
def test_after_a_finished_run_the_next_begins_with_an_empty_folder(flights: Path, tmp_path: Path, fresh: bool) -> None:
    start(flights, tmp_path / "out", finish=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    run = Run(flights, tmp_path / "out", fresh=fresh)
    assert not run.is_continued
    assert not run.outputs.flights.exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    run.close()


def test_a_fresh_start_forgets_an_interrupted_run(flights: Path, tmp_path: Path) -> None:
    start(flights, tmp_path / "out")
    run = start(flights, tmp_path / "out", fresh=True)
    assert run.announcement == "A fresh start is wanted: starting from the beginning."


def test_an_interrupted_run_of_another_input_is_not_gone_on_with(flights: Path, tmp_path: Path) -> None:
    start(flights, tmp_path / "out")
    flights.write_text("header\n4\n")
    run = start(flights, tmp_path / "out")
    assert not run.is_continued
    assert "its input was another one" in run.announcement


def test_a_folder_is_used_by_one_run_at_a_time(flights: Path, tmp_path: Path) -> None:
    run = Run(flights, tmp_path / "out")
    with pytest.raises(FolderInUseError, match="Another run is writing"):
        Run(flights, tmp_path / "out")
    run.close()
    start(flights, tmp_path / "out")
