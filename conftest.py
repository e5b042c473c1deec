"""What the tests of every package share."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the unit tests first: a fault that they show needs no server."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)
