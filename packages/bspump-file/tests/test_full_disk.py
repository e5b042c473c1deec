"""A disk that is full, or a file that is too large, holds the pipeline up until there is room; nothing is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bspump
import bspump.common
from bspump.file import FileBlockSink, FileCSVSink, FileLineSink, FileLineSource
from bspump.testing import MemorySource, PumpRunner, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


class Writing(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path, count: int) -> None:
        super().__init__(pump.app, "Writing")
        self.source = MemorySource(pump.app, self, [b"%09d" % number for number in range(count)])
        config = {"path": str(path), "buffer_size": "50k", "buffer_limit": "200k"}
        self.build(self.source, FileLineSink(pump.app, self, config=config))


def test_a_full_disk(pump: PumpRunner, small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(500_000))
    path = small_disk / "a.txt"
    writing = Writing(pump, path, 100_000)  # as many bytes as the disk has

    async def scenario() -> None:
        await until(lambda: "No space left on device" in caplog.text)
        await until(lambda: not writing.is_ready())
        assert not writing.is_error()
        # What is there is whole lines, and nothing of the rest was acknowledged.
        content = path.read_bytes()
        assert content.endswith(b"\n")
        assert all(commit * 10 <= len(content) for commit in writing.source.commits)
        filler.unlink()
        await writing.source.finished.wait()

    pump.run(scenario, writing)
    assert path.read_bytes() == b"".join(b"%09d\n" % number for number in range(100_000))
    assert caplog.text.count("No space left on device") == 1
    assert "can write again" in caplog.text


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The limit of the file size works where no disk can be made full."""
    job = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from bspump.testing import PumpRunner, until
from test_full_disk import Writing

path = Path({str(tmp_path)!r}) / "a.txt"
with PumpRunner() as pump:
    writing = Writing(pump, path, 50_000)

    async def scenario():
        (sink,) = writing.iter_processors()
        await until(lambda: sink._failing_since is not None and not writing.is_ready())
        content = path.read_bytes()
        assert content.endswith(b"\\n") and len(content) <= 200_000, len(content)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await writing.source.finished.wait()

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    pump.run(scenario, writing)
assert path.read_bytes() == b"".join(b"%09d\\n" % number for number in range(50_000))
"""
    done = subprocess.run([sys.executable, "-c", job], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert b"File too large" in done.stdout + done.stderr


def test_a_device_that_is_always_full_lets_the_pump_stop(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Stopping(pump)

    async def scenario() -> None:
        await until(lambda: "No space left on device" in caplog.text)

    pump.run(scenario, pipeline)
    assert pipeline.source.commits == []
    assert "ends before everything is durable" in caplog.text


class Stopping(bspump.Pipeline):
    def __init__(self, pump: PumpRunner) -> None:
        super().__init__(pump.app, "Stopping", {"stop_timeout": 0.1})
        self.source = MemorySource(pump.app, self, [{"a": 1}])
        self.build(self.source, FileCSVSink(pump.app, self, config={"path": "/dev/full"}))


def test_block_sink_tries_again(pump: PumpRunner, small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(900_000))
    pipeline = Blocks(pump, small_disk / "a.bin")

    async def scenario() -> None:
        await until(lambda: "No space left on device" in caplog.text)
        filler.unlink()
        await pipeline.checkpoint()

    pump.run(scenario, pipeline)
    assert (small_disk / "a.bin").read_bytes() == b"x" * 500_000


class Blocks(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path) -> None:
        super().__init__(pump.app, "Blocks")
        self.source = MemorySource(pump.app, self, [b"x" * 500_000])
        config = {"path": str(path), "flags": "O_CREAT,O_EXCL", "linger": 0}
        self.build(self.source, FileBlockSink(pump.app, self, config=config))


def test_a_position_that_cannot_be_written_is_tried_again(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    pipeline = Lines(pump, tmp_path / "a.txt")
    really_fsync = os.fsync

    def refuse(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scenario() -> None:
        monkeypatch.setattr(os, "fsync", refuse)
        pipeline.source.TriggerEvent.set()
        await until(lambda: "cannot commit its position" in caplog.text)
        monkeypatch.setattr(os, "fsync", really_fsync)
        await pipeline.source.commit_now()

    pump.run(scenario, pipeline)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt-processed"]


class Lines(bspump.Pipeline):
    def __init__(self, pump: PumpRunner, path: Path) -> None:
        super().__init__(pump.app, "Lines")
        self.source = FileLineSource(pump.app, self, config={"path": str(path), "commit_interval": 0.01})
        self.build(self.source, bspump.common.NullSink(pump.app, self))
