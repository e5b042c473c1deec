"""The place that a source has come to survives."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import bspump
import bspump.common
from bspump.file import FileLineSource
from bspump.file._positions import Entry, Place, PositionStore
from bspump.testing import MemorySink, PumpRunner, until

ReadFiles = Callable[..., MemorySink]


def entry_of(path: Path, offset: int, line: int) -> Entry:
    fd = os.open(path, os.O_RDONLY)
    try:
        return Entry.of(fd, Place(offset, line))
    finally:
        os.close(fd)


def recognises(entry: Entry, path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return entry.is_of(fd)
    finally:
        os.close(fd)


def test_a_file_is_recognised_by_what_is_in_front_of_the_place(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\nthree\n")
    entry = entry_of(path, 8, 2)
    assert recognises(entry, path)
    with path.open("a") as file:
        file.write("four\n")
    assert recognises(entry, path)
    path.rename(tmp_path / "b.txt")
    assert recognises(entry, tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("one\ntoo\nthree\n")
    assert not recognises(entry, tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("one\n")
    assert not recognises(entry, tmp_path / "b.txt")


def test_a_process_sees_where_another_one_of_the_same_source_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    first, second = PositionStore(tmp_path / "positions", "P.s"), PositionStore(tmp_path / "positions", "P.s")
    first.open()
    second.open()
    assert first.path != second.path
    first.entries["a.txt"] = entry_of(path, 4, 1)
    first.save()
    second.load_others()
    assert [entry.place for entry in second.of_all_slots("a.txt")] == [Place(4, 1)]
    first.close()
    third = PositionStore(tmp_path / "positions", "P.s")
    third.open()
    assert third.path == first.path
    assert third.entries["a.txt"].place == Place(4, 1)
    second.close()
    third.close()


def test_a_position_file_that_makes_no_sense_is_named(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "Lines.FileLineSource.json").write_text("nonsense")
    pipeline = Lines(pump, tmp_path / "a.txt", position_dir=str(tmp_path))

    async def scenario() -> None:
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)
    (message,) = {record.getMessage() for record in pipeline.L.Deque if record.levelname == "ERROR"}
    assert f"'{tmp_path}/Lines.FileLineSource.json' cannot be understood" in message


def test_a_folder_that_cannot_be_used_is_named(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pipeline = Lines(pump, tmp_path / "a.txt", position_dir=str(tmp_path / "file" / "folder"))

    async def scenario() -> None:
        await until(pipeline.is_error)

    pump.run(scenario, pipeline)
    (message,) = {record.getMessage() for record in pipeline.L.Deque if record.levelname == "ERROR"}
    assert "[pipeline:Lines:FileLineSource] position_dir:" in message
    assert "Not a directory" in message


class Lines(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path, *processors: type[bspump.Processor], **options: object) -> None:
        super().__init__(pump.app, "Lines")
        config = {"path": str(path), "commit_interval": 0.01, "settle": 0, **options}
        self.source = FileLineSource(pump.app, self, config=config)
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, *(processor(pump.app, self) for processor in processors), self.sink)


class FailOnce(bspump.Processor):
    has_failed = False

    def process(self, context: bspump.Context, event: bytes) -> bytes:
        if event == b"1500\n" and not self.has_failed:
            self.has_failed = True
            raise ValueError("this one")
        return event


@pytest.mark.parametrize("post", ["move", "noop"])
def test_an_error_in_the_pipeline_is_not_the_fault_of_the_file(pump: PumpRunner, tmp_path: Path, post: str) -> None:
    for first in (0, 1000, 2000):
        (tmp_path / f"{first:04}.txt").write_text("".join(f"{number}\n" for number in range(first, first + 1000)))
    pipeline = Lines(pump, tmp_path / "*", FailOnce, post=post)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(pipeline.is_error)
        # What came before the bad line is committed, whatever happens to it.
        await until(lambda: pipeline.source.rest_get().get("Line") == 500)
        await pipeline.source.commit_now()
        pipeline.set_error(None, None, None)
        await pipeline.sink.wait_for(3000)
        await until(lambda: not pipeline.source.is_triggered)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"%d\n" % number for number in range(3000)]
    suffix = "-processed" if post == "move" else ""
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{first:04}.txt{suffix}" for first in (0, 1000, 2000)]


def test_an_aggregator_may_hold_lines_back_until_those_of_the_next_file_come(pump: PumpRunner, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1\n2\n3\n")
    pipeline = Aggregated(pump, tmp_path / "*")

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(1)
        await until(lambda: not pipeline.source.is_triggered)
        await pipeline.source.commit_now()

    pump.run(scenario, pipeline)
    assert [len(event) for event in pipeline.sink.events] == [6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-processed", "b-processed"]


class Aggregated(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path) -> None:
        super().__init__(pump.app, "Aggregated")
        self.source = FileLineSource(pump.app, self, config={"path": str(path), "commit_interval": 0.01})
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, bspump.common.Aggregator(pump.app, self, config={"completion_size": 6}), self.sink)


def test_the_position_file_forgets_files_that_are_gone(read_files: ReadFiles, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text("one\n")
    options = {"post": "noop", "position_dir": str(tmp_path)}
    read_files(FileLineSource, folder / "*", **options)
    position_file = tmp_path / "Reading.files.json"
    assert set(json.loads(position_file.read_text())["files"]) == {str(folder / "a"), str(folder / "b")}
    (folder / "a").unlink()
    read_files(FileLineSource, folder / "*", **options)
    assert set(json.loads(position_file.read_text())["files"]) == {str(folder / "b")}


def test_the_same_relative_path_in_another_folder_is_another_file(
    read_files: ReadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"post": "noop", "position_dir": str(tmp_path), "mode": "r"}
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        (folder / "in").mkdir(parents=True)
        (folder / "in" / f"{folder.name}.txt").write_text(f"{folder.name}\n")
        monkeypatch.chdir(folder)
        sink = read_files(FileLineSource, "in/*.txt", **options)
        assert sink.events == [f"{folder.name}\n"]
        assert sink.contexts == [{"filename": f"in/{folder.name}.txt", "line": 1}]
    known = {str(folder / "in" / f"{folder.name}.txt") for folder in folders}
    position_file = tmp_path / "Reading.files.json"
    assert set(json.loads(position_file.read_text())["files"]) == known
    for folder in folders:
        monkeypatch.chdir(folder)
        assert read_files(FileLineSource, "in/*.txt", **options).events == []
        assert read_files(FileLineSource, folder / "in" / "*.txt", **options).events == []
    # Nor does a program forget what is gone, but not its own.
    (folders[0] / "in" / "first.txt").unlink()
    read_files(FileLineSource, "in/*.txt", **options)
    assert set(json.loads(position_file.read_text())["files"]) == known
    read_files(FileLineSource, f"{tmp_path}/**/*.txt", **options)
    assert set(json.loads(position_file.read_text())["files"]) == {str(folders[1] / "in" / "second.txt")}


def test_the_committed_place_is_shown(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    pipeline = Lines(pump, tmp_path / "a.txt", commit_interval=1000)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        assert "CommittedFile" not in pipeline.source.rest_get()
        await pipeline.source.commit_now()
        description = pipeline.source.rest_get()
        assert (description["CommittedFile"], description["CommittedLine"]) == (str(tmp_path / "a.txt"), 2)

    pump.run(scenario, pipeline)
