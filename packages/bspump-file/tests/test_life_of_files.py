"""What happens to the files that a source reads."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bspump
from bspump.file import FileBlockSource, FileJSONSource, FileLineSource
from bspump.testing import MemorySink, PumpRunner, until

ReadFiles = Callable[..., MemorySink]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def age(path: Path, seconds: float = 3600) -> None:
    """Make a file look as if it had not been touched for some time."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def put_in_place(path: Path) -> None:
    """Rename a file after it was written, as those do who want it to be read as a whole."""
    other = path.with_name("other")
    # The clock of the file system may tick slowly.
    while path.stat().st_ctime_ns == path.stat().st_mtime_ns:
        path.rename(other).rename(path)


class Lines(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, path: Path | str, id: str = "Lines", **options: object) -> None:
        super().__init__(app, id)
        self.source = FileLineSource(app, self, config={"path": str(path), "settle": 0, **options})
        self.sink = MemorySink(app, self)
        self.no_files = 0
        self.build(self.source, self.sink)
        self.PubSub.subscribe("bspump.file_source.no_files!", self._count_no_files)

    def _count_no_files(self, message: str) -> None:
        self.no_files += 1


# What is read


def test_globs_folders_include_and_exclude(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.csv", "deep/er/d.txt", "deep/skip.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    path = f"{tmp_path}/**/*.txt:{tmp_path}/*.csv"
    sink = read_files(FileLineSource, path, post="noop", mode="r", exclude="*skip*")
    assert sorted(sink.events) == ["a.txt\n", "b.txt\n", "c.csv\n", "deep/er/d.txt\n"]
    sink = read_files(FileLineSource, path, post="noop", mode="r", include=f"*/deep/*:{tmp_path}/b*", reread="always")
    assert sorted(sink.events) == ["b.txt\n", "deep/er/d.txt\n", "deep/skip.txt\n"]


def test_files_are_read_in_the_order_of_their_names_or_times(read_files: ReadFiles, tmp_path: Path) -> None:
    for number, name in enumerate(("c", "a", "b")):
        (tmp_path / name).write_text(f"{name}\n")
        age(tmp_path / name, 100 - number)
    options = {"post": "noop", "reread": "always", "mode": "r"}
    assert read_files(FileLineSource, tmp_path / "*", **options).events == ["a\n", "b\n", "c\n"]
    assert read_files(FileLineSource, tmp_path / "*", order="time", **options).events == ["c\n", "a\n", "b\n"]


def test_a_name_that_looks_like_a_pattern_is_taken_as_it_is(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    path.write_text("one\n")
    assert read_files(FileLineSource, path).events == [b"one\n"]
    assert names(tmp_path) == ["a[1].txt-processed"]


def test_whole_files(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.bin.gz").write_bytes(gzip.compress(b"\x00\n\xff"))
    assert read_files(FileBlockSource, tmp_path / "a.bin.gz").events == [b"\x00\n\xff"]
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf\xc5\x99")
    assert read_files(FileBlockSource, tmp_path / "b.txt", mode="r").events == ["ř"]
    (tmp_path / "c.json").write_text('{"a": [1, 2]}')
    sink = read_files(FileJSONSource, tmp_path / "c.json")
    assert sink.events == [{"a": [1, 2]}]
    assert sink.contexts == [{"filename": str(tmp_path / "c.json")}]


def test_two_spellings_of_a_path_are_one_file(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    path = f"{tmp_path}/a.txt:{tmp_path}/../{tmp_path.name}/*.txt"
    assert read_files(FileLineSource, path, post="noop").events == [b"one\n"]


# What becomes of a finished file


@pytest.mark.parametrize(("post", "left"), [("move", ["a.txt-processed"]), ("delete", []), ("noop", ["a.txt"])])
def test_post(read_files: ReadFiles, tmp_path: Path, post: str, left: list[str]) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    assert read_files(FileLineSource, tmp_path / "*.txt", post=post).events == [b"one\n"]
    assert names(tmp_path) == left


def test_processed_files_go_to_a_folder_and_replace_nothing(read_files: ReadFiles, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / "a.txt").write_text(f"{number}\n")
        read_files(FileLineSource, tmp_path / "a.txt", move_destination=str(tmp_path / "done"))
    contents = {path.name: path.read_text() for path in (tmp_path / "done").iterdir()}
    assert contents == {"a.txt-processed": "1\n", "a.txt-2-processed": "2\n", "a.txt-3-processed": "3\n"}


def test_a_file_is_locked_until_its_events_are_durable(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    pipeline = Lines(pump.app, tmp_path / "a.txt", commit_interval=1000)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(1)
        assert names(tmp_path) == ["a.txt-locked"]
        with (tmp_path / "a.txt-locked").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await until(lambda: pipeline.source.position is not None and pipeline.source.position.is_end)
        await pipeline.source.commit_now()
        assert names(tmp_path) == ["a.txt-processed"]

    pump.run(scenario, pipeline)


def test_an_empty_file_is_finished_too(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert read_files(FileLineSource, tmp_path / "a.txt").events == []
    assert names(tmp_path) == ["a.txt-processed"]


def test_more_files_than_may_be_open_at_once(read_files: ReadFiles, tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number:04}").write_text(f"{number}\n")
    assert read_files(FileLineSource, tmp_path / "*", mode="r", commit_interval=1000).events == [
        f"{number}\n" for number in range(1500)
    ]
    assert all(name.endswith("-processed") for name in names(tmp_path))


def test_one_of_two_sources_gets_a_file(pump: PumpRunner, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"{number}\n" * 100)
    pipelines = [Lines(pump.app, tmp_path / "*.txt", id) for id in ("P", "Q")]

    async def scenario() -> None:
        for pipeline in pipelines:
            pipeline.source.TriggerEvent.set()
        await until(lambda: sum(len(pipeline.sink.events) for pipeline in pipelines) >= 4000)

    pump.run(scenario, *pipelines)
    events = [event for pipeline in pipelines for event in pipeline.sink.events]
    assert sorted(events) == sorted(b"%d\n" % number for number in range(40) for _ in range(100))


def test_any_number_of_sources_read_a_file_that_stays_as_it_is(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    pipelines = [Lines(pump.app, tmp_path / "a.txt", id, post="noop") for id in ("P", "Q")]

    async def scenario() -> None:
        for pipeline in pipelines:
            pipeline.source.TriggerEvent.set()
        for pipeline in pipelines:
            await pipeline.sink.wait_for(1)

    pump.run(scenario, *pipelines)


# With noop


def test_a_finished_file_is_not_read_again_until_it_changes(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    pipeline = Lines(pump.app, path, post="noop")

    async def cycle() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        await pipeline.source.commit_now()

    async def scenario() -> None:
        await cycle()
        await cycle()
        assert pipeline.sink.events == [b"one\n"]
        assert pipeline.no_files == 1
        with path.open("a") as file:
            file.write("two\n")
        await cycle()
        assert pipeline.sink.events == [b"one\n", b"two\n"]
        assert pipeline.sink.contexts[1]["line"] == 2
        path.write_text("new\n")
        await cycle()
        assert pipeline.sink.events == [b"one\n", b"two\n", b"new\n"]
        path.write_text("long\nbut different\n")
        await cycle()
        assert pipeline.sink.events[3:] == [b"long\n", b"but different\n"]
        path.unlink()
        path.write_text("long\nbut different\n")
        await cycle()
        assert pipeline.sink.events[5:] == [b"long\n", b"but different\n"]

    pump.run(scenario, pipeline)


@pytest.mark.parametrize(("reread", "expected"), [("changed", 0), ("auto", 0), ("run", 1), ("always", 1)])
def test_the_next_run(read_files: ReadFiles, tmp_path: Path, reread: str, expected: int) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    read_files(FileLineSource, tmp_path / "a.txt", post="noop", reread=reread)
    sink = read_files(FileLineSource, tmp_path / "a.txt", post="noop", reread=reread)
    assert len(sink.events) == expected


def test_a_job_that_is_run_again_reads_everything_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    job = f"""
import asab, bspump, bspump.common, bspump.file, bspump.trigger
asab.Config.add_defaults({{"general": {{"var_dir": "{tmp_path}/var"}}}})
class Job(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "Job")
        self.build(
            bspump.file.FileLineSource(app, self, config={{"path": "{tmp_path}/a.txt", "post": "noop"}}).on(
                bspump.trigger.RunOnceTrigger(app)
            ),
            bspump.file.FileLineSink(app, self, config={{"path": "{tmp_path}/out.txt"}}),
        )
app = bspump.BSPumpApplication(args=[])
app.PumpService.add_pipeline(Job(app))
app.run()
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", job], check=True, capture_output=True)
    assert (tmp_path / "out.txt").read_text() == "one\none\n"


# Files left behind, files not complete


def test_a_file_that_is_appended_to_in_turns_is_not_taken_in_pieces(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    pipeline = Lines(pump.app, tmp_path / "*.csv", settle=0.5)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: pipeline.source._is_cycle_unfinished)
        with path.open("a") as file:
            file.write("1,2\n")
        await until(lambda: not pipeline.source.is_triggered)
        assert pipeline.sink.events == []
        assert names(tmp_path) == ["a.csv"]
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(2)
        await until(lambda: names(tmp_path) == ["a.csv-processed"])

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"a,b\n", b"1,2\n"]


@pytest.mark.parametrize("post", ["move", "delete", "noop"])
def test_what_is_put_in_place_or_stays_in_place_does_not_wait(read_files: ReadFiles, tmp_path: Path, post: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    if post != "noop":
        put_in_place(path)
    assert read_files(FileLineSource, tmp_path / "*.csv", post=post, settle=3600).events == [b"a,b\n"]


def test_a_file_at_rest_does_not_wait_for_one_that_is_fresh(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fresh\n")
    (tmp_path / "b.txt").write_text("old\n")
    age(tmp_path / "b.txt")
    pipeline = Lines(pump.app, tmp_path / "*.txt", settle=1000)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: names(tmp_path) == ["a.txt", "b.txt-processed"])

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"old\n"]


@pytest.mark.parametrize("post", ["move", "noop"])
def test_a_file_left_behind_by_a_killed_run_is_finished(read_files: ReadFiles, tmp_path: Path, post: str) -> None:
    (tmp_path / "a.txt-locked").write_text("one\n")
    sink = read_files(FileLineSource, tmp_path / "*.txt", post=post)
    assert sink.events == [b"one\n"]
    assert sink.contexts == [{"filename": str(tmp_path / "a.txt"), "line": 1}]
    assert names(tmp_path) == (["a.txt-processed"] if post == "move" else ["a.txt"])


def test_a_file_that_is_locked_by_somebody_alive_is_left_alone(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt-locked"
    path.write_text("one\n")
    pipeline = Lines(pump.app, tmp_path / "*.txt")

    async def scenario() -> None:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            pipeline.source.TriggerEvent.set()
            await until(lambda: not pipeline.source.is_triggered)
        assert pipeline.sink.events == []
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(1)

    pump.run(scenario, pipeline)


def test_a_new_file_waits_for_the_one_left_behind_with_its_name(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt-locked").write_text("old\n")
    (tmp_path / "a.txt").write_text("new\n")
    sink = read_files(FileLineSource, tmp_path / "*.txt", cycles=2)
    assert sink.events == [b"old\n", b"new\n"]
    assert names(tmp_path) == ["a.txt-2-processed", "a.txt-processed"]


def test_a_graceful_stop_gives_an_unfinished_file_its_name_back(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some line\n" * 500_000)
    pipeline = Lines(pump.app, tmp_path / "a.txt")

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(10)

    pump.run(scenario, pipeline)
    assert len(pipeline.sink.events) < 500_000
    assert names(tmp_path) == ["a.txt"]
    again = pump.service
    again.del_pipeline(pipeline)
    second = Lines(pump.app, tmp_path / "a.txt")

    async def rest() -> None:
        second.source.TriggerEvent.set()
        await until(lambda: not second.source.is_triggered)

    pump.run(rest, second)
    assert len(pipeline.sink.events) + len(second.sink.events) == 500_000
    assert second.sink.contexts[0]["line"] == len(pipeline.sink.events) + 1


def test_a_last_line_without_newline_of_a_file_at_rest_is_a_line(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo")
    age(path)
    assert read_files(FileLineSource, path, settle=3600 * 0.9).events == [b"one\n", b"two"]
    assert names(tmp_path) == ["a.txt-processed"]


def test_a_half_line_of_a_file_that_is_being_written_is_no_line(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntw")
    age(path)
    pipeline = Lines(pump.app, path, settle=0.01)

    async def cycle() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        await pipeline.source.commit_now()

    async def scenario() -> None:
        with path.open("ab") as writer:
            age(path)
            await cycle()
            assert pipeline.sink.events == [b"one\n"]
            assert names(tmp_path) == ["a.txt"]
            writer.write(b"o\nthree\n")
            writer.flush()
            await cycle()
            # It is not finished as long as somebody may add to it.
            assert pipeline.sink.events == [b"one\n", b"two\n", b"three\n"]
            assert names(tmp_path) == ["a.txt"]
        await cycle()
        assert names(tmp_path) == ["a.txt-processed"]
        assert len(pipeline.sink.events) == 3

    pump.run(scenario, pipeline)


def test_a_half_line_that_was_just_written_is_no_line(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntw")
    put_in_place(path)
    pipeline = Lines(pump.app, path, settle=0.5)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(1)
        # Somebody who closes the file after each write is at work.
        with (tmp_path / "a.txt-locked").open("ab") as writer:
            writer.write(b"o\n")
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"one\n", b"two\n"]


def test_lines_added_before_the_commit_are_read_in_the_next_cycle(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n")
    pipeline = Lines(pump.app, tmp_path / "a.txt", commit_interval=1000)

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: pipeline.source.position is not None and pipeline.source.position.is_end)
        with (tmp_path / "a.txt-locked").open("ab") as file:
            file.write(b"two\n")
        await pipeline.source.commit_now()
        assert names(tmp_path) == ["a.txt"]
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [b"one\n", b"two\n"]
    assert names(tmp_path) == ["a.txt-processed"]


def test_a_whole_file_is_not_taken_while_it_is_written(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    pipeline = bspump_pipeline(pump)
    source = FileJSONSource(pump.app, pipeline, config={"path": str(path), "settle": 0.01})
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        with path.open("w") as writer:
            writer.write('{"a": ')
            writer.flush()
            source.TriggerEvent.set()
            await until(lambda: not source.is_triggered)
            await source.commit_now()
            assert names(tmp_path) == ["a.json"]
            writer.write("1}")
        source.TriggerEvent.set()
        await sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert sink.events == [{"a": 1}]


class Empty(bspump.Pipeline):
    pass


def bspump_pipeline(pump: PumpRunner) -> bspump.Pipeline:
    return Empty(pump.app, "P")


# What cannot be read


def test_a_broken_archive_fails_and_the_others_go_on(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [os.urandom(30).hex().encode() + b"\n" for _ in range(50_000)]
    data = gzip.compress(b"".join(lines))
    (tmp_path / "a.gz").write_bytes(data[: len(data) // 2])
    age(tmp_path / "a.gz")
    (tmp_path / "b.gz").write_bytes(data + b"damage" * 100)
    (tmp_path / "c.gz").write_bytes(b"no archive at all\n")
    (tmp_path / "d.txt").write_bytes(b"good\n")
    sink = read_files(FileLineSource, tmp_path / "*")
    assert names(tmp_path) == ["a.gz-failed", "b.gz-failed", "c.gz-failed", "d.txt-processed"]
    for name in ("a.gz", "b.gz", "c.gz"):
        (message,) = [message for message in caplog.messages if f"'{tmp_path / name}'" in message]
        assert "gzip" in message
        assert "Traceback" not in message
    # What came before the damage was accepted, and nothing half.
    assert set(sink.events) <= {*lines, b"good\n"}
    assert sink.events.count(lines[0]) == 2
    assert sink.events.count(lines[-1]) == 1
    assert sink.events[-1] == b"good\n"


def test_an_archive_that_is_still_being_written_is_read_on_later(pump: PumpRunner, tmp_path: Path) -> None:
    lines = [os.urandom(30).hex().encode() + b"\n" for _ in range(20_000)]
    data = gzip.compress(b"".join(lines))
    path = tmp_path / "a.gz"
    pipeline = Lines(pump.app, path, settle=0.01)

    async def cycle() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        await pipeline.source.commit_now()

    async def scenario() -> None:
        with path.open("wb") as writer:
            writer.write(data[:500_000])
            writer.flush()
            await cycle()
            assert 0 < len(pipeline.sink.events) < 20_000
            writer.write(data[500_000:])
        await cycle()

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == lines
    assert names(tmp_path) == ["a.gz-processed"]


def test_a_bad_encoding_fails_the_file_at_the_line(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\nb\xffd\nfour\n")
    (tmp_path / "b.txt").write_bytes(b"good\n")
    sink = read_files(FileLineSource, tmp_path / "*.txt", mode="r")
    assert sink.events == ["one\n", "two\n", "good\n"]
    assert names(tmp_path) == ["a.txt-failed", "b.txt-processed"]
    (message,) = [message for message in caplog.messages if "a.txt" in message]
    assert "is not encoded in utf-8: line 3, byte 2 of it (ff 64" in message


def test_bad_bytes_can_be_replaced(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"b\xffd\n")
    sink = read_files(FileLineSource, tmp_path / "a.txt", mode="r", encoding_errors="backslashreplace")
    assert sink.events == ["b\\xffd\n"]


def test_a_malformed_json_file_fails(read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.json").write_text('{"a": 1,}')
    (tmp_path / "b.json").write_text('{"b": 1}')
    assert read_files(FileJSONSource, tmp_path / "*.json").events == [{"b": 1}]
    assert names(tmp_path) == ["a.json-failed", "b.json-processed"]
    assert "is no JSON" in caplog.text


def test_a_missing_path_is_said_once(read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_files(FileLineSource, f"{tmp_path}/nothing.txt:{tmp_path}:{tmp_path}/*.none", cycles=3)
    messages = [message for message in caplog.messages if str(tmp_path) in message]
    assert len(messages) == 2
    assert f"path '{tmp_path}/nothing.txt': there is no such regular file" in messages[0] + messages[1]
    assert f"write '{tmp_path}/*'" in messages[0] + messages[1]


def test_no_files_is_published_when_there_is_nothing_to_read(pump: PumpRunner, tmp_path: Path) -> None:
    pipeline = Lines(pump.app, tmp_path / "*.txt")

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: pipeline.no_files == 1)
        (tmp_path / "a.txt").write_text("one\n")
        pipeline.source.TriggerEvent.set()
        await pipeline.sink.wait_for(1)

    pump.run(scenario, pipeline)
    assert pipeline.no_files == 1


@pytest.mark.parametrize("post", ["move", "noop"])
def test_a_file_that_cannot_be_opened_is_said_once(
    read_files: ReadFiles,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    post: str,
) -> None:
    (tmp_path / "a.txt").write_text("secret\n")
    (tmp_path / "b.txt").write_text("good\n")
    really_open = os.open

    def refuse(path: str, *arguments: int) -> int:
        # Tests may run as root, whom no permission stops.
        if str(path).endswith("a.txt"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return really_open(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    sink = read_files(FileLineSource, tmp_path / "*.txt", cycles=3, post=post)
    assert sink.events == [b"good\n"]
    (message,) = [message for message in caplog.messages if "a.txt" in message]
    assert "cannot be opened: Permission denied" in message
    left = ["a.txt-failed", "b.txt-processed"] if post == "move" else ["a.txt", "b.txt"]
    assert names(tmp_path) == left


def test_the_gauge_counts_the_files(pump: PumpRunner, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt-processed", "d.txt-failed", "e.txt-failed"):
        (tmp_path / name).touch()
    pipeline = Lines(pump.app, tmp_path / "*.txt")

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        await until(lambda: not pipeline.source.is_triggered)
        await asyncio.sleep(0)

    pump.run(scenario, pipeline)
    values = pipeline.source._gauge.Storage["fieldset"][0]["values"]
    assert values.pop("scan_time") > 0
    assert values == {"processed": 1, "failed": 2, "locked": 0, "unprocessed": 2, "all_files": 5}
