"""Fixtures of the tests of bspump-analyzer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bspump.testing import PumpRunner


@pytest.fixture
def pump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PumpRunner]:
    """An application to build matrices and pipelines in; run them with ``pump.run(scenario, *pipelines)``."""
    with PumpRunner() as runner:
        runner.configure("general", var_dir=tmp_path_factory.mktemp("var"))
        yield runner
