"""The pipeline at the head of the README does what it says."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

_README = Path(__file__).parents[1] / "README.md"


def test_the_pipeline_of_the_readme_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", _README.read_text(), re.DOTALL)
    assert code is not None
    script = tmp_path / "errors.py"
    script.write_text(code.group(1))
    records = [{"level": "error" if number % 3 == 0 else "info", "number": number} for number in range(300)]
    (tmp_path / "log").mkdir()
    with gzip.open(tmp_path / "log" / "a.jsonl.gz", "wt") as log:
        log.writelines(json.dumps(record) + "\n" for record in records)

    subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, check=True, timeout=60, env={"HOME": str(tmp_path), "PATH": ""}
    )

    written = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert written == [record for record in records if record["level"] == "error"]
