"""A pump with a persistent matrix is killed again and again, and in the end every event is in the matrix."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bspump.matrix import PersistentSessionMatrix
from bspump.testing import PumpRunner

LINES = 20_000

JOB = """
import sys
import asab
import bspump, bspump.analyzer, bspump.common, bspump.file, bspump.trigger

folder = sys.argv[1]
asab.Config.add_defaults({"general": {"var_dir": folder + "/var"}})


class Seen(bspump.analyzer.SessionAnalyzer):
    def evaluate(self, context, event):
        self.Sessions.store(event.decode().strip(), {"times": 1})


class Job(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "Job")
        options = {"path": folder + "/in.txt", "post": "noop", "commit_interval": 0.01, "settle": 0}
        source = bspump.file.FileLineSource(app, self, config=options)
        seen = Seen(app, self, dtype=[("times", "i8")], persistent=True, config={"path": folder + "/matrix"})
        self.build(source.on(bspump.trigger.RunOnceTrigger(app)), seen, bspump.common.NullSink(app, self))


app = bspump.BSPumpApplication(args=[])
app.PumpService.add_pipeline(Job(app))
sys.exit(app.run())
"""


def names_in(folder: Path) -> int:
    path = folder / "matrix" / "map.dat"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_every_event_is_in_the_matrix_whenever_the_pump_was_killed(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"event {number}\n" for number in range(LINES)))
    kills = 0
    for share in (0.02, 0.3, 0.6):
        with subprocess.Popen([sys.executable, "-c", JOB, str(tmp_path)], stderr=subprocess.DEVNULL) as process:
            while names_in(tmp_path) < share * LINES and process.poll() is None:
                time.sleep(0.002)
            kills += process.poll() is None
            process.kill()
    subprocess.run([sys.executable, "-c", JOB, str(tmp_path)], check=True, capture_output=True)
    assert kills == 3
    matrix = PersistentSessionMatrix(pump.app, [("times", "i8")], config={"path": str(tmp_path / "matrix")})
    assert pump.service.configuration_problems == []
    assert set(matrix.Index.N2IMap) == {f"event {number}" for number in range(LINES)}
    assert matrix.Array["times"][matrix.active_rows()].tolist() == [1] * LINES
