"""The local API, and copies of the tutorials that read it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.tutorials.tests.harness import TUTORIALS, MakeTutorial, Program, Tutorial, environment


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """The address of the local API, without the scheme."""
    server = Program([sys.executable, "local_api.py", "--port", "0"], TUTORIALS, environment())
    try:
        server.wait_for("Serving http://")
        yield server.output.strip().removeprefix("Serving http://")
        assert server.stop() == 0, server.log
    finally:
        server.close()


@pytest.fixture
def tutorial(tmp_path: Path, api: str) -> Iterator[MakeTutorial]:
    """Copies a tutorial: `tutorial(name, {text: other text, …})`. The copy reads the local API where that is."""
    with contextlib.ExitStack() as copies:

        def copy(name: str, replaced: dict[str, str] | None = None) -> Tutorial:
            made = Tutorial(name, tmp_path, api, replaced or {})
            copies.callback(made.close)
            return made

        yield copy
