"""Two write to one file: one of them waits, and nothing of what either has written is cut off."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

import bspump
from bspump.file import FileLineSink, FileLineSource
from bspump.file._output import BusyFileError, OutputFile, Rotation, end_of_last_line
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Writing(bspump.Pipeline):
    def __init__(
        self, pump: PumpRunner, path: Path, sink: type[FileLineSink] = FileLineSink, **options: object
    ) -> None:
        super().__init__(pump.app, "Writing")
        self.source = MemorySource(pump.app, self, [b"one", b"two"])
        self.sink = sink(pump.app, self, config={"path": str(path), **options})
        self.build(self.source, self.sink)


def output(path: Path, *, truncate: bool = False) -> OutputFile:
    return OutputFile(str(path), None, Rotation(), end_of_last_line, truncate=truncate)


@pytest.mark.parametrize("append", ["yes", "no"])
def test_a_sink_waits_until_nobody_else_has_its_file(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture, append: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"theirs\nwritten just n")
    writing = Writing(pump, path, append=append)

    async def scenario() -> None:
        with path.open("ab", buffering=0) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            await until(lambda: "is being written by another sink or process" in caplog.text)
            assert path.read_bytes() == b"theirs\nwritten just n"
            description = writing.sink.rest_get()
            assert f"'{path}' is being written" in description["LastError"]
            assert description["FailingSince"] <= writing.sink.time()
            assert writing.source.commits == []
            other.write(b"ow\n")
        await until(lambda: writing.source.commits == [2])
        assert "LastError" not in writing.sink.rest_get()

    pump.run(scenario, writing)
    assert path.read_bytes() == (b"theirs\nwritten just now\n" if append == "yes" else b"") + b"one\ntwo\n"


def test_two_sinks_of_one_process_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    first, second = output(path), output(path, truncate=True)
    first.write(b"", [b"one\n"])
    with pytest.raises(BusyFileError):
        second.write(b"", [b"two\n"])
    first.write(b"", [b"three\n"])
    assert path.read_bytes() == b"one\nthree\n"
    first.rotate()
    second.write(b"", [b"two\n"])
    second.close()
    assert path.read_bytes() == b"two\n"
    assert [rotated.read_bytes() for rotated in tmp_path.glob("a-*")] == [b"one\nthree\n"]


def test_what_others_wrote_during_a_write_that_failed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    file = output(path)
    file.write(b"", [b"one\n"])

    def fail_half_way(fd: int, parts: list[bytes]) -> int:
        os.write(fd, parts[0][:2])
        with path.open("ab") as other:  # one that knows no locks
            other.write(b"theirs\n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", fail_half_way)
    with pytest.raises(OSError, match="No space"):
        file.write(b"", [b"two\n"])
    monkeypatch.undo()
    file.write(b"", [b"two\n"])
    file.close()
    assert path.read_bytes() == b"one\ntwtheirs\ntwo\n"


def test_without_locks_a_torn_file_is_put_aside_as_it_is(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"theirs\nha")
    really_lock = fcntl.flock

    def refuse(fd: int, operation: int) -> None:
        if os.path.samestat(os.fstat(fd), path.stat()):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        really_lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)
    writing = Writing(pump, path)
    pump.run(writing.source.finished.wait, writing)
    assert path.read_bytes() == b"one\ntwo\n"
    (aside,) = tmp_path.glob("out-*.txt")
    assert aside.read_bytes() == b"theirs\nha"
    assert f"the file becomes '{aside}'" in caplog.text


class Alternating(FileLineSink):
    def get_file_name(self, context: bspump.Context, event: bytes) -> str:
        return f"{self.Config['path']}/{event.decode()}"


def test_two_names_of_one_file_are_no_two_writers(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / "two").symlink_to("one")
    writing = Writing(pump, tmp_path, Alternating)
    pump.run(writing.source.finished.wait, writing)
    assert (tmp_path / "one").read_bytes() == b"one\ntwo\n"


def test_a_header_is_written_again_when_somebody_has_emptied_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    file = output(path)
    file.write(b"a,b\n", [b"1,2\n"])
    path.write_bytes(b"")
    file.write(b"a,b\n", [b"3,4\n"])
    file.close()
    assert path.read_bytes() == b"a,b\n3,4\n"


def test_a_checkpoint_has_nothing_to_do_if_nothing_was_written(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = Writing(pump, tmp_path / "a.txt")

    async def scenario() -> None:
        await until(lambda: writing.source.commits == [2])

        async def refuse(*arguments: object) -> None:
            raise AssertionError("the thread is not needed")

        with monkeypatch.context() as patch:
            patch.setattr(writing.sink, "_in_thread", refuse)
            await writing.checkpoint()
        await writing.process(b"three")
        await writing.checkpoint()
        assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\nthree\n"

    pump.run(scenario, writing)


class Reading(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path) -> None:
        super().__init__(pump.app, "Reading")
        self.source = FileLineSource(pump.app, self, config={"path": str(path), "post": "noop"})
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)


def test_a_source_with_noop_reads_what_a_sink_is_writing(pump: PumpRunner, tmp_path: Path) -> None:
    writing, reading = Writing(pump, tmp_path / "a.txt"), Reading(pump, tmp_path / "a.txt")

    async def scenario() -> None:
        for count in (2, 3):
            await until(lambda: writing.source.commits == [2])
            reading.source.TriggerEvent.set()
            await reading.sink.wait_for(count)
            await until(lambda: not reading.source.is_triggered)
            await reading.source.commit_now()
            await writing.process(b"three")
            await writing.checkpoint()

    pump.run(scenario, writing, reading)
    assert reading.sink.events == [b"one\n", b"two\n", b"three\n"]


class Blocks(bspump.Pipeline):
    def __init__(self, pump: PumpRunner) -> None:
        super().__init__(pump.app, "Blocks", {"stop_timeout": 0.1})
        self.sink = bspump.file.FileBlockSink(pump.app, self, config={"path": "/dev/full", "linger": 0})
        self.build(MemorySource(pump.app, self, [b"x"]), self.sink)


def test_a_block_sink_shows_why_it_cannot_write(pump: PumpRunner) -> None:
    blocks = Blocks(pump)

    async def scenario() -> None:
        await until(lambda: "LastError" in blocks.sink.rest_get())
        assert "No space left on device ('/dev/full')" in blocks.sink.rest_get()["LastError"]

    pump.run(scenario, blocks)


def test_a_short_write_goes_on_behind_what_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    file = output(path)
    monkeypatch.setattr(os, "writev", lambda fd, parts: os.write(fd, b"".join(parts)[:5]))
    file.write(b"", [b"one\n", b"", b"two\nthree\n", b"four\n"])
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\nfour\n"
