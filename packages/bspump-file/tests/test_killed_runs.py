"""A run is killed, again and again: nothing is lost, nothing is invented, and no file is left behind."""

from __future__ import annotations

import collections
import gzip
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LINES = 120_000

JOB = '''
import sys
import asab
import bspump, bspump.file, bspump.trigger

folder, var_dir = sys.argv[1:3]
asab.Config.add_defaults({"general": {"var_dir": var_dir}})


class Slow(bspump.Processor):
    """Takes long enough for the run to be killed in the middle."""

    def process_batch(self, contexts, events):
        for event in events:
            for _ in range(20):
                hash(event)
        return contexts, events

    def process(self, context, event):
        return event


class Job(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "Job")
        self.build(
            bspump.file.FileLineSource(
                app, self, config={"path": folder + "/in/*", "commit_interval": 0.02, "settle": 0.1}
            ).on(bspump.trigger.RunOnceTrigger(app)),
            Slow(app, self),
            bspump.file.FileLineSink(app, self, config={"path": folder + "/out.txt", "buffer_size": "10k"}),
        )


class Follower(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "Follower")
        options = {"path": folder + "/in/a.log*", "tail": "yes", "commit_interval": 0.02, "poll_interval": 0.01}
        self.build(
            bspump.file.FileLineSource(app, self, config={**options, "settle": 0.1}),
            bspump.file.FileLineSink(app, self, config={"path": folder + "/out.txt", "flush_interval": 0.01}),
        )


app = bspump.BSPumpApplication(args=[])
app.PumpService.add_pipeline((Follower if sys.argv[3:] else Job)(app))
app.run()
'''


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"%d %d\n" % (number, number * number) for number in range(first, last))


@pytest.mark.oracle
@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("compressed", [False, True])
def test_no_line_is_lost_or_torn_when_a_run_is_killed(
    tmp_path: Path, stop_signal: signal.Signals, compressed: bool
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index, first in enumerate(range(0, LINES, LINES // 3)):
        data = numbered(first, first + LINES // 3)
        path = folder / f"part{index}.txt{'.gz' if compressed else ''}"
        path.write_bytes(gzip.compress(data) if compressed else data)
    chance = random.Random(int(compressed))
    command = [sys.executable, "-c", JOB, str(tmp_path), str(tmp_path / "var")]
    output = tmp_path / "out.txt"

    interrupted = 0
    for _ in range(8):
        size = output.stat().st_size if output.exists() else 0
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Killed once it has begun to write: after a while that is different every time.
        while process.poll() is None and (not output.exists() or output.stat().st_size <= size):
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.05))
        process.send_signal(stop_signal)
        interrupted += process.wait(timeout=30) != 0 or stop_signal == signal.SIGTERM
        if stop_signal == signal.SIGTERM:
            assert not list(folder.glob("*-locked"))
    final = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert final.returncode == 0, final.stderr.decode()

    assert interrupted >= 3
    lines = output.read_bytes().splitlines(keepends=True)
    expected = numbered(0, LINES).splitlines(keepends=True)
    counts = collections.Counter(lines)
    assert set(counts) == set(expected)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"part{index}.txt{'.gz' if compressed else ''}-processed" for index in range(3)
    )
    if stop_signal == signal.SIGTERM:
        assert len(lines) == len(expected)


@pytest.mark.oracle
def test_a_follower_that_is_killed_loses_nothing_though_files_are_rotated(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    output = tmp_path / "out.txt"
    command = [sys.executable, "-c", JOB, str(tmp_path), str(tmp_path / "var"), "follow"]
    chance = random.Random(2)
    log = Log(folder / "a.log")

    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = output.stat().st_size if output.exists() else 0
        deadline = time.monotonic() + chance.uniform(0.0, 0.3)
        # Killed a moment after it has begun to write.
        while not output.exists() or output.stat().st_size <= size or time.monotonic() < deadline:
            log.write(chance)
        process.kill()
        process.wait(timeout=30)
        for _ in range(20):
            log.write(chance)

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log.write_last()
    expected = {b"%d \n" % number for number in range(log.number)}
    deadline = time.monotonic() + 30
    while not expected <= written(output) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert written(output) == expected
    assert log.rotations > 3


def written(output: Path) -> set[bytes]:
    return set(output.read_bytes().splitlines(keepends=True))


class Log:
    """Writes numbered lines, some of them in two pieces, and rotates its file now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.number = 0
        self.rotations = 0

    def write(self, chance: random.Random) -> None:
        with self._path.open("ab", buffering=0) as file:
            for _ in range(chance.randrange(1, 30)):
                file.write(b"%d" % self.number)
                file.write(b" \n")
                self.number += 1
        time.sleep(0.002)
        if chance.random() < 0.03:
            self._path.rename(self._path.with_name(f"a.log.{self.rotations}"))
            self.rotations += 1

    def write_last(self) -> None:
        self._path.touch()
        with self._path.open("ab") as file:
            file.write(b"%d \n" % self.number)
        self.number += 1
