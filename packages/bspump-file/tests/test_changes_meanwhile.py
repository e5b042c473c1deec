"""Files, positions and processes change between the moments at which a source looks at them."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import bspump
from bspump.file import FileJSONSource, FileLineSource
from bspump.file._positions import Entry, Place, PositionStore
from bspump.testing import MemorySink, PumpRunner, until

ReadFiles = Callable[..., MemorySink]


class Reading(bspump.Pipeline):
    def __init__(
        self, pump: PumpRunner, path: Path, id: str = "Reading", source_id: str = "files", **options: object
    ) -> None:
        super().__init__(pump.app, id)
        config = {"path": str(path), "post": "noop", "settle": 0, "commit_interval": 1000, **options}
        source_class = FileJSONSource if path.suffix == ".json" else FileLineSource
        self.source = source_class(pump.app, self, id=source_id, config=config)
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)


async def cycle_of(source: bspump.TriggerSource) -> None:
    source.TriggerEvent.set()
    await until(lambda: not source.is_triggered)
    await source.commit_now()


# Between reading and committing


class SlowToBeDurable(MemorySink):
    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.is_asked = asyncio.Event()
        self.is_durable = asyncio.Event()

    async def checkpoint(self) -> None:
        self.is_asked.set()
        await self.is_durable.wait()


class SlowReading(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path, post: str) -> None:
        super().__init__(pump.app, "SlowReading")
        config = {"path": str(path), "post": post, "settle": 0, "commit_interval": 0.01}
        self.source = FileLineSource(pump.app, self, config=config)
        self.sink = SlowToBeDurable(pump.app, self)
        self.build(self.source, self.sink)


@pytest.mark.parametrize("post", ["move", "noop"])
def test_more_files_than_may_be_open_are_read_during_one_checkpoint(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, post: str
) -> None:
    monkeypatch.setattr("bspump.file._progress._MOST_OPEN", 2)
    (tmp_path / "0").write_bytes(b"line\n" * 500_000)
    for number in range(1, 20):
        (tmp_path / f"{number}").write_bytes(b"line\n")
    pipeline = SlowReading(pump, tmp_path / "*", post)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.is_asked.wait()
        assert not pipeline.source.position.is_end
        await pipeline.sink.wait_for(500_019)
        await until(lambda: not pipeline.source.is_triggered)
        pipeline.sink.is_durable.set()
        await until(lambda: pipeline.source.committed_position == pipeline.source.position)

    pump.run(scenario, pipeline)
    assert all(path.name.endswith("-processed") == (post == "move") for path in tmp_path.iterdir())


def test_a_commit_that_no_time_will_mend_stops_the_pipeline(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    pipeline = Reading(pump, tmp_path / "a.txt", commit_interval=0.01)

    def refuse(fd: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    async def scenario() -> None:
        monkeypatch.setattr(os, "fsync", refuse)
        pipeline.source.TriggerEvent.set()
        await until(pipeline.is_error)
        monkeypatch.undo()

    pump.run(scenario, pipeline)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("a.json", '{"v":1}', '{"v":2}', [{"v": 1}, {"v": 2}]),
        ("a.txt", "old\n", "new\n", [b"old\n", b"new\n"]),
        ("a.txt", "old\n", "new and longer\n", [b"old\n", b"new and longer\n"]),
        ("a.txt", "old\n", "old\nmore\n", [b"old\n", b"more\n"]),
    ],
)
def test_a_file_that_is_rewritten_before_the_commit_is_read_again(
    pump: PumpRunner, tmp_path: Path, name: str, old: str, new: str, expected: list[object]
) -> None:
    path = tmp_path / name
    path.write_text(old)
    os.utime(path, (0, 0))
    pipeline = Reading(pump, path)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        path.write_text(new)
        await pipeline.source.commit_now()
        for _ in range(2):
            await cycle_of(pipeline.source)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == expected


def test_a_cycle_that_is_interrupted_does_not_make_the_next_run_begin_anew(
    pump: PumpRunner, tmp_path: Path, read_files: ReadFiles
) -> None:
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "b").write_text("b\n" * 300_000)
    pipeline = Reading(pump, tmp_path / "*", reread="run")

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    count = len(pipeline.sink.events)
    assert count < 300_001
    pump.service.del_pipeline(pipeline)
    rest = read_files(FileLineSource, tmp_path / "*", post="noop", reread="run", settle=0)
    assert rest.events == [b"b\n"] * (300_001 - count)


# Between two looks at a file that is followed


def test_a_file_that_is_rotated_away_before_the_one_before_it_is_finished(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1\n")
    pipeline = Reading(pump, path, tail="yes", poll_interval=0.01, settle=1000, mode="r")

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        with path.open("a") as writer:
            path.rename(tmp_path / "a.log.1")
            path.write_text("2\n")
            await until(lambda: len(pipeline.source._progress.held) == 2)
            (tmp_path / "a.log.1").rename(tmp_path / "a.log.2")
            path.rename(tmp_path / "a.log.1")
            path.write_text("3\n")
            await until(lambda: len(pipeline.source._progress.held) == 3)
            assert pipeline.sink.events == ["1\n"]
            writer.write("1b\n")
        await pipeline.sink.wait_for(4)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["1\n", "1b\n", "2\n", "3\n"]


@pytest.mark.parametrize("tail", ["yes", "no"])
def test_only_a_source_that_does_not_follow_needs_a_trigger(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture, tail: str
) -> None:
    pipeline = Reading(pump, tmp_path / "a.log", tail=tail)

    async def scenario() -> None:
        await asyncio.sleep(0)

    pump.run(scenario, pipeline)
    assert ("has no trigger" in caplog.text) == (tail == "no")


# Position files of other sources and of processes that have ended


def test_names_with_dots_do_not_mix(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    options = {"position_dir": str(tmp_path / "positions"), "reread": "changed"}
    for pipeline_id, source_id in (("Logs", "in.2"), ("Logs", "in.debug"), ("Logs.in", "debug"), ("Logs", "in")):
        pipeline = Reading(pump, tmp_path / "a.txt", id=pipeline_id, source_id=source_id, **options)

        async def scenario(source: bspump.TriggerSource = pipeline.source) -> None:
            await cycle_of(source)

        pump.run(scenario, pipeline)
        pump.service.del_pipeline(pipeline)
        assert pipeline.sink.events == [b"one\n"]


@pytest.mark.parametrize("reread", ["run", "always"])
def test_what_a_killed_second_process_has_left_counts_for_one_run_only(
    read_files: ReadFiles, tmp_path: Path, reread: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    first, second = (PositionStore(tmp_path / "positions", "Reading.files") for _ in range(2))
    first.open()
    second.open()
    with path.open("rb") as file:
        second.entries[str(path)] = Entry.of(file.fileno(), Place(4, 1))
    second.save()
    first.close()
    second.close()
    options = {"post": "noop", "reread": reread, "position_dir": str(tmp_path / "positions"), "settle": 0}
    assert [len(read_files(FileLineSource, path, **options).events) for _ in range(3)] == [1, 2, 2]


def test_the_place_of_a_process_that_is_killed_meanwhile_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    own, killed = (PositionStore(tmp_path, "P.s") for _ in range(2))
    killed.open()
    own.open()
    with path.open("rb") as file:
        killed.entries["a.txt"] = Entry.of(file.fileno(), Place(4, 1))
    killed.save()
    own.load_others()
    assert "a.txt" not in own.entries
    killed.close()
    own.load_others()
    assert [entry.place for entry in own.of_all_slots("a.txt")] == [Place(4, 1)]
    assert not killed.path.exists()
    own.close()
