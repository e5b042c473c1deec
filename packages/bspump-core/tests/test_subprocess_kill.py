"""A pump that is killed again and again while it runs a program leaves none of the lines out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLED_PUMP = """
import os, sys, bspump
from bspump.subprocess import SubProcessSource

class FileSink(bspump.BufferedSink):
    async def write(self, batch):
        with open(sys.argv[2], "ab") as file:
            file.write(b"".join(event + b"\\n" for event in batch))
            file.flush()
            os.fsync(file.fileno())

class Pipeline(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "P")
        config = {"command": [sys.executable, *sys.argv[4:]], "replay": sys.argv[1], "position_dir": sys.argv[3],
                  "commit_interval": 0.002}
        self.build(SubProcessSource(app, self, config=config), FileSink(app, self, config={"linger": 0.001}))

app = bspump.BSPumpApplication(args=[])
app.PumpService.add_pipeline(Pipeline(app))
app.run()
"""
# However late the test looks, no run brings more than its share: what is beyond waits for the end of the pump.
GIVE = """
import os, sys, time
pump = os.getppid()
def give(n):
    while n > int(sys.argv[2]) and os.getppid() == pump:
        time.sleep(0.005)
    print(n)
    time.sleep(0.0005)
"""
SHARE = 130
SLOW_LINES = {
    "start": "for n in range(1, 401): give(n)",
    "position": "for n in range(int(os.environ['BSPUMP_POSITION']) + 1, 401): give(n)",
    "unacknowledged": """
import pathlib, threading
file = pathlib.Path(sys.argv[1])
first = int(file.read_text()) if file.exists() else 0
def listen():
    for line in sys.stdin:
        new = file.with_suffix('.new')
        new.write_text(str(first + int(line)))
        new.replace(file)
thread = threading.Thread(target=listen)
thread.start()
try:
    for n in range(first + 1, 401):
        give(n)
except BrokenPipeError:
    pass
os.close(1)
""",
}


@pytest.mark.oracle
@pytest.mark.parametrize("replay", ["start", "position", "unacknowledged"])
def test_a_killed_pump_leaves_nothing_out(tmp_path: Path, replay: str) -> None:
    output = tmp_path / "output"
    program = tmp_path / "program.py"
    program.write_text(GIVE + SLOW_LINES[replay])
    arguments = ["-u", str(program), str(tmp_path / "acknowledged")]
    start = [sys.executable, "-c", KILLED_PUMP, replay, str(output), str(tmp_path), *arguments]

    def lines() -> list[int]:
        content = output.read_bytes() if output.exists() else b""
        return [int(line) for line in content[: content.rfind(b"\n") + 1].split()]

    kills = 0
    for _ in range(20):
        known = len(set(lines()))
        command = [*start, str((kills + 1) * SHARE)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pump:
            try:
                while len(set(lines())) < min(400, known + SHARE // 2) and pump.poll() is None:
                    time.sleep(0.001)
            finally:
                pump.send_signal(signal.SIGKILL)
        if len(set(lines())) == 400:
            break
        kills += 1
    assert set(lines()) == set(range(1, 401))
    assert kills >= 400 // SHARE
