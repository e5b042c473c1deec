"""Jobs: runs with a `RunOnceTrigger`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

JOB = """
import sys
import asab, bspump, bspump.common, bspump.file, bspump.trigger

path, var_dir, *options = sys.argv[1:]
asab.Config.add_defaults({"general": {"var_dir": var_dir}})


class Job(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app, "Job")
        config = {"path": path, "settle": 0, **dict(option.split("=") for option in options)}
        self.build(
            bspump.file.FileJSONSource(app, self, config=config).on(bspump.trigger.RunOnceTrigger(app)),
            bspump.common.NullSink(app, self),
        )


app = bspump.BSPumpApplication(args=[])
app.PumpService.add_pipeline(Job(app))
sys.exit(app.run())
"""


def run_job(folder: Path, path: str, *options: str) -> tuple[int, list[str]]:
    """Run a job. Returns its exit code, and its warnings and errors."""
    command = [sys.executable, "-c", JOB, path, str(folder / "var"), *options]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, [line for line in lines if "FileJSONSource('Job" in line]


def test_a_job_says_what_it_finds_nothing_at(tmp_path: Path) -> None:
    path = f"{tmp_path}/a.json:{tmp_path}/*.json"
    exit_code, messages = run_job(tmp_path, path)
    assert exit_code == 0
    assert len(messages) == 2
    assert f"path '{tmp_path}/a.json': there is no such regular file" in messages[0] + messages[1]
    assert f"path '{tmp_path}/*.json': no file matches it" in messages[0] + messages[1]


def test_a_job_that_had_a_file_fail_says_so_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("{}")
    exit_code, _ = run_job(tmp_path, f"{tmp_path}/*.json")
    assert exit_code == 1
    assert {path.name for path in tmp_path.glob("*.json-*")} == {"a.json-failed", "b.json-processed"}
    (tmp_path / "c.json").write_text("{}")
    assert run_job(tmp_path, f"{tmp_path}/*.json") == (0, [])


def test_files_left_out_since_they_failed_in_an_earlier_run_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text("{")
    path = f"{tmp_path}/*.json"
    exit_code, messages = run_job(tmp_path, path, "post=noop")
    assert (exit_code, len(messages)) == (1, 2)
    exit_code, (message,) = run_job(tmp_path, path, "post=noop")
    assert exit_code == 0
    assert "leaves out 2 file(s) that failed in an earlier run" in message
    assert f"'{tmp_path}/a.json'" in message
    (tmp_path / "a.json").write_text("{}")
    assert "leaves out 1 file(s)" in run_job(tmp_path, path, "post=noop")[1][0]
