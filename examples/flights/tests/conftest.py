"""The tests import the example as its script does: from the folder that holds it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bspump.testing import PumpRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    """An application to build pipelines in."""
    with PumpRunner() as runner:
        yield runner
