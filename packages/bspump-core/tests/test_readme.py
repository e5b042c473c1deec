"""The pipeline of the README does what it says, and its table has every module."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_pipeline_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    script = tmp_path / "dice.py"
    script.write_text(code[1].replace("PeriodicTrigger(app, 1)", "PeriodicTrigger(app, 0.001)"))
    with subprocess.Popen(
        [sys.executable, "-u", str(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        lines = (line.strip() for line in process.stdout)
        assert "BSPump version" in next(lines)
        rolled = {next(lines) for _ in range(200)} - {"1 pipeline(s) ready."}
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 0
    assert rolled == {"4", "5", "6"}


def test_the_table_has_every_module() -> None:
    modules = {
        f"bspump.{path.stem}"
        for path in (Path(__file__).parents[1] / "src" / "bspump").iterdir()
        if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")
    }
    # They are where the names of `bspump` come from, and what the command is made of.
    modules -= {"bspump.abc", "bspump.application", "bspump.builder", "bspump.cli", "bspump.errors"}
    modules -= {"bspump.pipeline", "bspump.service", "bspump.py"}
    named = set(re.findall(r"`(bspump\.\w+)`", README))
    assert modules <= named, modules - named
