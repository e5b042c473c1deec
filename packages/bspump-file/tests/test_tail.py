"""Files that grow are followed as ``tail -F`` does."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import bspump
from bspump.file import FileCSVSource, FileLineSource, FileMultiLineSource
from bspump.testing import MemorySink, PumpRunner, until


class Following(bspump.Pipeline):
    """Runs until it is told to stop, any number of times."""

    def __init__(self, pump: PumpRunner, path: Path | str, **options: object) -> None:
        super().__init__(pump.app, "Following")
        config = {"path": str(path), "tail": "yes", "poll_interval": 0.01, "commit_interval": 0.01, "settle": 0.05}
        self.source = FileLineSource(pump.app, self, config={**config, "mode": "r", **options})
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def rotate(path: Path) -> None:
    for older in sorted(path.parent.glob(f"{path.name}.*"), reverse=True):
        older.rename(older.with_suffix(f".{int(older.suffix[1:]) + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


async def committed(pipeline: bspump.Pipeline) -> None:
    (source,) = pipeline.Sources
    await until(lambda: source.position is not None and source.committed_position == source.position)


def test_lines_are_events_once_they_have_their_newline(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntw")
    pipeline = Following(pump, path)

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        append(path, "o")
        await committed(pipeline)
        append(path, "\nthree\nfou")
        await pipeline.sink.wait_for(3)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["one\n", "two\n", "three\n"]
    assert pipeline.sink.contexts[-1] == {"filename": str(path), "line": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_the_end_is_where_only_the_first_run_begins(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\nhalf of ")
    pipeline = Following(pump, f"{path}:{tmp_path}/b.log", tail_from="end")

    async def scenario() -> None:
        await committed(pipeline)
        append(path, "a line\n")
        await pipeline.sink.wait_for(1)
        # A file that appears later is new from its beginning on.
        (tmp_path / "b.log").write_text("all of it\n")
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["half of a line\n", "all of it\n"]
    assert pipeline.sink.contexts[0]["line"] == 2
    append(path, "while it was down\n")
    pump.service.del_pipeline(pipeline)
    second = Following(pump, path, tail_from="end")
    pump.run(lambda: second.sink.wait_for(1), second)
    assert second.sink.events == ["while it was down\n"]


def test_rotation_finishes_the_old_file_before_it_begins_the_new_one(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    pipeline = Following(pump, path)
    path.write_text("1\n")

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        with path.open("a") as writer:
            path.rename(tmp_path / "a.log.1")
            path.write_text("4\n")
            # Who writes goes on with the old file for a while.
            writer.write("2\n")
            writer.flush()
            await pipeline.sink.wait_for(2)
            writer.write("3\n")
        await pipeline.sink.wait_for(4)
        path.rename(tmp_path / "a.log.2")
        path.write_text("5\n")
        await pipeline.sink.wait_for(5)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["1\n", "2\n", "3\n", "4\n", "5\n"]
    assert pipeline.sink.contexts[-1] == {"filename": str(path), "line": 1}


def test_the_last_line_of_a_rotated_file_needs_no_newline(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1\n2")
    pipeline = Following(pump, path)

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        path.rename(tmp_path / "a.log.1")
        path.write_text("3\n")
        await pipeline.sink.wait_for(3)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["1\n", "2", "3\n"]


@pytest.mark.parametrize("longer", [False, True])
def test_truncation_begins_the_file_anew(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture, longer: bool
) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\n")
    new = ["new\n"] * (10 if longer else 1)
    pipeline = Following(pump, path)

    async def scenario() -> None:
        await pipeline.sink.wait_for(2)
        shutil.copy(path, tmp_path / "a.log.1")
        # Even when it is longer than before at the next look at it.
        path.write_text("".join(new))
        await pipeline.sink.wait_for(2 + len(new))

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["one\n", "two\n", *new]
    assert pipeline.sink.contexts[2]["line"] == 1
    assert f"file '{path}' was truncated after its line 2 was read" in caplog.text


def test_a_file_that_is_missing_is_waited_for(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    pipeline = Following(pump, path)

    async def scenario() -> None:
        await until(lambda: pipeline.source._path_problems)
        path.write_text("one\n")
        await pipeline.sink.wait_for(1)
        path.unlink()
        path.write_text("two\n")
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["one\n", "two\n"]


@pytest.mark.parametrize("pattern", ["a.log", "a.log*"])
def test_rotation_while_it_was_down(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("a.log")
    path.write_text("1\n2\n")
    pipeline = Following(pump, pattern)

    async def scenario() -> None:
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    append(path, "3\n4\n")
    path.rename(tmp_path / "a.log.1")
    path.write_text("5\n6\n")
    pump.service.del_pipeline(pipeline)
    second = Following(pump, pattern)
    pump.run(lambda: second.sink.wait_for(4), second)
    assert second.sink.events == ["3\n", "4\n", "5\n", "6\n"]
    assert [context["line"] for context in second.sink.contexts] == [3, 4, 1, 2]
    assert {context["filename"] for context in second.sink.contexts} == {"a.log"}
    # If the pattern matches what was rotated, nothing can be left out.
    message = f"the file that was 'a.log' was rotated to '{tmp_path}/a.log.1' meanwhile"
    assert (message in caplog.text) == (pattern == "a.log")


def test_a_pattern_that_matches_rotated_files_reads_nothing_twice(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1\n")
    pipeline = Following(pump, tmp_path / "a.log*")

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        for number in (2, 3, 4):
            rotate(path)
            path.write_text(f"{number}\n")
            await pipeline.sink.wait_for(number)
        await committed(pipeline)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["1\n", "2\n", "3\n", "4\n"]
    pump.service.del_pipeline(pipeline)
    second = Following(pump, tmp_path / "a.log*")
    append(path, "5\n")
    pump.run(lambda: second.sink.wait_for(1), second)
    assert second.sink.events == ["5\n"]


def test_several_files_at_once(pump: PumpRunner, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.log" for name in "abc"]
    pipeline = Following(pump, tmp_path / "*.log")

    async def scenario() -> None:
        for round in range(20):
            for path in paths:
                append(path, f"{path.name} {round}\n")
            await pipeline.sink.wait_for(3 * (round + 1))

    pump.run(scenario, pipeline)
    for path in paths:
        own = [event for event in pipeline.sink.events if event.startswith(path.name)]
        assert own == [f"{path.name} {round}\n" for round in range(20)]
    pump.service.del_pipeline(pipeline)
    second = Following(pump, tmp_path / "*.log")
    append(paths[1], "new\n")
    pump.run(lambda: second.sink.wait_for(1), second)
    assert second.sink.events == ["new\n"]


class Once(bspump.Processor):
    """Fails at one event the first time."""

    has_failed = False

    def process(self, context: bspump.Context, event: str) -> str:
        if event == "bad\n" and not self.has_failed:
            self.has_failed = True
            raise ValueError("not yet")
        return event


def test_after_an_error_it_goes_on_from_where_it_was(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("good\nbad\nlast\n")
    pipeline = Following(pump, path)
    pipeline.insert_before("MemorySink", Once(pump.app, pipeline))

    async def scenario() -> None:
        await until(pipeline.is_error)
        pipeline.set_error(None, None, None)
        await until(lambda: "last\n" in pipeline.sink.events)

    pump.run(scenario, pipeline)
    assert [event for event in pipeline.sink.events if event != "good\n"] == ["bad\n", "last\n"]


def test_a_bad_line_ends_the_following_of_its_file_only(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.log").write_bytes(b"one\n\xff\n")
    pipeline = Following(pump, tmp_path / "*.log")

    async def scenario() -> None:
        await until(lambda: "not followed any more" in caplog.text)
        (tmp_path / "b.log").write_text("good\n")
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["one\n", "good\n"]
    assert caplog.text.count("is not encoded in utf-8: line 2") == 1


class Events(bspump.Pipeline):
    def __init__(
        self, pump: PumpRunner, source: Callable[..., bspump.TriggerSource], path: Path, *arguments: object
    ) -> None:
        super().__init__(pump.app, "Events")
        config = {"path": str(path), "tail": "yes", "poll_interval": 0.01, "settle": 0.05, "mode": "r"}
        self.source = source(pump.app, self, *arguments, config=config)
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)


def test_a_multi_line_event_is_complete_when_no_more_lines_come(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("<one\n more\n<two\n")
    pipeline = Events(pump, FileMultiLineSource, path, "<")

    async def scenario() -> None:
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == ["<one\n more\n", "<two\n"]


def test_a_row_waits_for_the_end_of_its_quotes_and_the_header_is_known_after_a_restart(
    pump: PumpRunner, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"two\n')
    pipeline = Events(pump, FileCSVSource, path)

    async def scenario() -> None:
        await until(lambda: pipeline.source.position is not None)
        append(path, 'lines"\n3,4\n')
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
    assert pipeline.sink.events == [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "4"}]
    append(path, "5,6\n")
    pump.service.del_pipeline(pipeline)
    second = Events(pump, FileCSVSource, path)
    pump.run(lambda: second.sink.wait_for(1), second)
    assert second.sink.events == [{"a": "5", "b": "6"}]
    assert second.sink.contexts[0]["line"] == 5


def test_other_processes_may_lock_and_write_a_followed_file(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    pipeline = Following(pump, path)
    path.write_text("one\n")

    async def scenario() -> None:
        await pipeline.sink.wait_for(1)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, b"two\n")
        os.close(fd)
        await pipeline.sink.wait_for(2)

    pump.run(scenario, pipeline)
