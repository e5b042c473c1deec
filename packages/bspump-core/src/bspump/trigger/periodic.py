"""A trigger that fires at regular intervals."""

from __future__ import annotations

import asyncio

import asab

from ..errors import ConfigurationError
from .trigger import Trigger

_DEFAULT_INTERVAL = 1.0


class PeriodicTrigger(Trigger):
    """Fires each `interval` seconds, the first time one interval after the start; a busy source skips its turn.

    The times do not drift: the n-th firing is n intervals after the start, however long the cycles take.
    """

    def __init__(self, app: asab.Application, interval: float | None = None, id: str | None = None) -> None:
        super().__init__(app, id=id)
        try:
            self._interval = float(interval) if interval is not None else _DEFAULT_INTERVAL
        except (TypeError, ValueError):
            raise ConfigurationError(f"{self.Id} interval: {interval!r} is no number of seconds") from None
        if not self._interval > 0:
            raise ConfigurationError(f"{self.Id} interval: {interval!r} is not above 0 seconds")
        self._run(self._fire_regularly())

    async def _fire_regularly(self) -> None:
        due = self.Loop.time()
        while True:
            due += self._interval
            await asyncio.sleep(due - self.Loop.time())
            self._fire_idle_sources()
            # After a pause of the whole process, the missed times are not made up for.
            due = max(due, self.Loop.time() - self._interval)

    def _fire_idle_sources(self) -> None:
        if not all(source.is_triggered for source in self.Sources):
            self.fire()
