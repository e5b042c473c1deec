"""What a sink does when a file cannot be written, made durable or rotated, or may not have its name."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump.abc.sink import Sink
from bspump.file import FileBlockSink, FileLineSink
from bspump.testing import MemorySource, PumpRunner, until


class Writing(bspump.Pipeline):
    def __init__(
        self, pump: PumpRunner, sink: Callable[..., Sink], events: Sequence[Any], on_error: str = "stop", **options: Any
    ) -> None:
        super().__init__(pump.app, "Writing", {"on_error": on_error, "stop_timeout": 0.3})
        self.source = MemorySource(pump.app, self, events, one_by_one=True)
        self.sink = sink(pump.app, self, config=options)
        self.build(self.source, self.sink)

    async def committed(self, count: int) -> None:
        await until(lambda: bool(self.source.commits) and self.source.commits[-1] == count)


class ByContent(FileLineSink):
    def get_file_name(self, context: bspump.Context, event: bytes) -> str:
        return os.path.join(self.Config["path"], event.decode())  # noqa: PTH118


class BlockByContent(FileBlockSink):
    def get_file_name(self, context: bspump.Context, event: bytes) -> str:
        return os.path.join(self.Config["path"], event.decode())  # noqa: PTH118


# Names


@pytest.mark.parametrize("sink", [ByContent, BlockByContent])
@pytest.mark.parametrize("bad", [b"a\0b", b"x" * 300, b"folder", b"file/below", b"new/" + b"x" * 300])
def test_an_event_with_an_impossible_file_name_fails_alone(
    pump: PumpRunner, tmp_path: Path, sink: Callable[..., Sink], bad: bytes
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    writing = Writing(pump, sink, [b"one", bad, b"two"], on_error="skip", path=str(tmp_path))
    pump.run(lambda: writing.committed(3), writing)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file", "one", "two"}
    assert "cannot write" in writing.L.Deque[0].getMessage() or "null byte" in writing.L.Deque[0].getMessage()


def test_lzma_is_not_written(pump: PumpRunner, tmp_path: Path) -> None:
    Writing(pump, FileLineSink, [], path="a.txt.lzma")
    (problem,) = pump.service.configuration_problems
    assert "use .xz" in problem


def test_an_event_for_an_lzma_file_fails_alone(pump: PumpRunner, tmp_path: Path) -> None:
    writing = Writing(pump, ByContent, [b"one", b"a.lzma", b"two"], on_error="skip", path=str(tmp_path))
    pump.run(lambda: writing.committed(3), writing)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


# What cannot be done, and what comes again


@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_what_cannot_be_made_durable_is_cut_off_and_comes_again(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    writing = Writing(pump, FileLineSink, [b"one"], path=str(path))
    really_fsync = os.fsync
    failures: list[int] = []

    def fail_once(fd: int) -> None:
        if not failures:
            failures.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really_fsync(fd)

    async def scenario() -> None:
        await writing.committed(1)
        first = path.read_bytes()
        monkeypatch.setattr(os, "fsync", fail_once)
        writing.source.events.append(b"two")
        await writing.process(b"two")
        writing.source.position = 2
        await until(writing.is_error)
        assert path.read_bytes() == first
        assert writing.source.commits == [1]
        writing.set_error(None, None, None)
        await writing.committed(2)

    pump.run(scenario, writing)
    with gzip.open(path) if suffix == "txt.gz" else path.open("rb") as file:
        assert file.read() == b"one\ntwo\n"
    assert any("could not be made durable (Input/output error)" in entry.getMessage() for entry in writing.L.Deque)


def test_what_is_lost_at_a_rotation_comes_again(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    writing = Writing(pump, FileLineSink, [b"one"], path=str(path), rotate_size="1k", flush_interval=0.01)
    really_fsync = os.fsync

    def fail_once(fd: int) -> None:
        monkeypatch.setattr(os, "fsync", really_fsync)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def scenario() -> None:
        await writing.committed(1)
        writing.source.events.extend([b"x" * 500, b"y" * 600])
        monkeypatch.setattr(os, "fsync", fail_once)
        for event in writing.source.events[1:]:
            await writing.process(event)
        writing.source.position = 3
        await until(writing.is_error)
        writing.set_error(None, None, None)
        await writing.committed(3)

    pump.run(scenario, writing)
    written = "".join(part.read_text() for part in tmp_path.iterdir()).split()
    assert {"one", "x" * 500, "y" * 600} == set(written)


class Broken(FileLineSink):
    is_broken = True

    def find_end(self, fd: int) -> int:
        if self.is_broken:
            raise RuntimeError("nobody expected that")
        return super().find_end(fd)


def test_an_unexpected_error_stops_the_pipeline_and_the_events_come_again(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("zero\n")
    writing = Writing(pump, Broken, [b"one", b"two"], path=str(path))

    async def scenario() -> None:
        await until(writing.is_error)
        assert writing.source.commits == []
        Broken.is_broken = False
        writing.set_error(None, None, None)
        await writing.committed(2)

    pump.run(scenario, writing)
    assert path.read_text() == "zero\none\ntwo\n"


def test_a_sink_that_was_stopped_before_it_could_write_begins_anew(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    writing = Writing(pump, FileLineSink, [b"x"] * 10, path=str(path), flush_interval=0.01, buffer_limit=5)

    async def scenario() -> None:
        await until(lambda: "FailingSince" in writing.sink.rest_get())
        await writing.stop()
        path.rmdir()
        writing.start()
        await writing.committed(10)
        assert writing.is_ready()

    pump.run(scenario, writing)
    assert path.read_text() == "x\n" * 10


def test_a_rotation_that_fails_writes_nothing_twice(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / ("n" * 240 + ".txt")  # with the time in it, the name is too long
    writing = Writing(pump, FileLineSink, [b"x" * 99] * 11, path=str(path), rotate_size=1000, buffer_size=100)

    async def scenario() -> None:
        await until(lambda: "File name too long" in caplog.text)
        await until(lambda: writing.sink.rest_get()["Buffered"] == 100)

    pump.run(scenario, writing)
    assert path.stat().st_size == 1000


# Whole files


@pytest.mark.parametrize("flags", ["O_CREAT", "O_CREAT,O_EXCL"])
def test_a_block_is_never_there_in_part(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    writing = Writing(pump, FileBlockSink, [b"half a loaf"], path=str(folder / "a.bin"), flags=flags, linger=0)
    really_fsync = os.fsync
    seen: list[tuple[bool, bool]] = []

    def watch(fd: int) -> None:
        is_folder = os.path.samestat(os.fstat(fd), folder.stat())
        seen.append((is_folder, (folder / "a.bin").exists()))
        really_fsync(fd)

    monkeypatch.setattr(os, "fsync", watch)
    pump.run(lambda: writing.committed(1), writing)
    # First the content, then, with the file in its place, the folder.
    assert seen == [(False, False), (True, True)]
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_a_block_that_comes_again_is_no_failure(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"same")
    writing = Writing(pump, FileBlockSink, [b"same"], path=str(path), flags="O_CREAT,O_EXCL")
    pump.run(lambda: writing.committed(1), writing)
    assert not writing.L.Deque


def test_a_file_system_without_hard_links_replaces_nothing_either(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.bin"
    writing = Writing(pump, FileBlockSink, [b"one", b"two"], "skip", path=str(path), flags="O_CREAT,O_EXCL")
    pump.run(lambda: writing.committed(2), writing)
    assert path.read_bytes() == b"one"
    assert "File exists" in writing.L.Deque[0].getMessage()


def test_a_replaced_file_keeps_its_permissions_and_the_link_to_it(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    writing = Writing(pump, FileBlockSink, [b"new"], path=str(tmp_path / "link"))
    pump.run(lambda: writing.committed(1), writing)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
