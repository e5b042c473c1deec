"""Waiting for a condition in a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], limit: float = 30.0) -> None:
    """Return as soon as `condition` holds; it is looked at again and again while the event loop runs.

    Raises:
        TimeoutError: it did not come to hold in time.
    """
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - any condition may be given, so there is no event to wait for
            await asyncio.sleep(0.001)
