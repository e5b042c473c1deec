"""Every tutorial is complete: listed, described, run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from examples.tutorials.tests.harness import TUTORIALS, Program, environment

FOLDERS = sorted(path.parent for path in TUTORIALS.glob("*/README.md"))
SCRIPTS = sorted(path for folder in FOLDERS for path in folder.glob("*.py"))
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(TUTORIALS))


def test_every_folder_is_listed_and_described() -> None:
    listed = re.findall(r"\]\((\w+)/README\.md\)", (TUTORIALS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == [folder.name for folder in FOLDERS]
    folders = {path.name for path in TUTORIALS.iterdir() if path.is_dir()} - {"tests", "__pycache__"}
    assert folders == set(listed)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_readme_names_files_that_exist_and_has_a_picture(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "```mermaid\nflowchart" in text
    files = re.findall(r"(?:python |-c\s|-f\s)([\w./-]+\.(?:py|conf|yml))", text)
    places = (folder, TUTORIALS)  # Docker is started in the folder above
    assert [file for file in files if not any((place / file).is_file() for place in places)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_a_script_is_described_run_and_compiles(script: Path) -> None:
    assert script.name in (script.parent / "README.md").read_text(encoding="utf-8")
    assert f'"{script.name}"' in TESTS
    compile(script.read_text(encoding="utf-8"), script, "exec")


def test_the_local_api_says_in_a_sentence_that_its_port_is_taken(api: str) -> None:
    server = Program([sys.executable, "local_api.py", "--port", api.rpartition(":")[2]], TUTORIALS, environment())
    assert server.finish() == 1
    assert server.log.startswith("error: ")
    assert server.log.count("\n") == 1
