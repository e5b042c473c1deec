"""Loading a lookup again and again."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .abc.lookup import Lookup

# Each pause is longer or shorter by up to this share, so that many pumps do not ask their master all at once.
_JITTER = 0.1


class Refresher:
    """Loads a lookup at regular intervals, in a task of its own.

    Args:
        lookup: the lookup.
        period: the mean pause between two loads, in seconds; 0: nothing is done.
    """

    def __init__(self, lookup: Lookup, period: float) -> None:
        self._lookup = lookup
        self._period = period
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a pause, since the lookup was just loaded. Does nothing if it is running."""
        if self._period > 0 and self._task is None:
            self._task = self._lookup.Loop.create_task(self._run(), name=f"bspump refresh lookup {self._lookup.Id}")

    async def stop(self) -> None:
        """Cancel a load that is under way, and load no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period * random.uniform(1 - _JITTER, 1 + _JITTER))
            await self._lookup.load_or_warn()
