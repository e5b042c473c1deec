"""Fixtures of the tests of bspump-file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bspump.testing import PumpRunner


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    """An application to build pipelines in; run them with ``pump.run(scenario, *pipelines)``."""
    with PumpRunner() as runner:
        yield runner
