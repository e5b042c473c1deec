"""Give the tests of the servers their fixtures."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("services.pytest_plugin")
