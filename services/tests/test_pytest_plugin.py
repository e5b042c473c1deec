"""How tests come by the servers, shown by runs of pytest."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WANTS_KAFKA = """
import pytest

@pytest.mark.integration
def test_it(kafka):
    kafka.kill()
"""


def outcome(folder: Path, text: str, *arguments: str, **environment: str) -> tuple[str, str]:
    """Run a test module and return the counts of the outcomes, and everything that was printed."""
    (folder / "test_module.py").write_text(text, "utf-8")
    (folder / "pytest.toml").write_text('[pytest]\nmarkers = ["integration: needs a server"]\n', "utf-8")
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "services.pytest_plugin", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environment}, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not result.stderr
    found = re.search(r"=+ (.*) in .*s =+$", result.stdout)
    assert found is not None, result.stdout
    return found[1], result.stdout


def test_a_server_that_cannot_run_skips_the_test_with_the_reason(tmp_path: Path) -> None:
    counts, printed = outcome(tmp_path, WANTS_KAFKA, BSPUMP_SERVICES="podman")
    assert counts == "1 skipped"
    assert "BSPUMP_SERVICES=podman: it must be docker or local" in printed


def test_a_skipped_integration_test_fails_in_ci(tmp_path: Path) -> None:
    counts, printed = outcome(tmp_path, WANTS_KAFKA, BSPUMP_SERVICES="podman", CI="true")
    assert counts == "1 error"
    assert "An integration test may not be skipped in CI. Skipped: BSPUMP_SERVICES=podman" in printed


def test_another_test_may_be_skipped_in_ci(tmp_path: Path) -> None:
    counts, _ = outcome(tmp_path, "import pytest\ndef test_it(): pytest.skip('no')\n", CI="true")
    assert counts == "1 skipped"


def test_a_test_that_kills_the_server_of_somebody_else_is_skipped(tmp_path: Path) -> None:
    text = "import services\ndef test_it(): services.Kafka().kill()\n"
    counts, printed = outcome(tmp_path, text, BSPUMP_TEST_KAFKA="127.0.0.1:9092")
    assert counts == "1 skipped"
    assert "kafka cannot be killed: BSPUMP_TEST_KAFKA names a server of somebody else" in printed


def test_collecting_tests_starts_nothing(tmp_path: Path) -> None:
    _, printed = outcome(tmp_path, WANTS_KAFKA, "--collect-only", BSPUMP_SERVICES_FOLDER=str(tmp_path / "run"))
    assert "test_it" in printed
    assert not (tmp_path / "run").exists()
