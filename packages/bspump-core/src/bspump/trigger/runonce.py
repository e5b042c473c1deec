"""A trigger for jobs: one cycle, then the application ends."""

from __future__ import annotations

import asab

from .._asab import pump_service, stop_application
from ..abc.source import TriggerSource
from .trigger import Trigger


class RunOnceTrigger(Trigger):
    """Fires once, at the start.

    When every source of the application that has such a trigger has finished its cycle, the application stops,
    gracefully. If a pipeline stops at a hard error before that, the application ends too, with the exit code 1: nobody
    is there to clear the error of a job.
    """

    def __init__(self, app: asab.Application, id: str | None = None) -> None:
        super().__init__(app, id=id)
        self._unfinished = pump_service(app).unfinished_jobs

    def add(self, source: TriggerSource) -> None:
        """Add a source; its cycle begins as soon as its pipeline runs."""
        super().add(source)
        self._unfinished.add(source)
        source.TriggerEvent.set()

    def remove(self, source: TriggerSource) -> None:
        """Remove a source, whose cycle is waited for no more."""
        super().remove(source)
        self._unfinished.discard(source)

    def done(self, source: TriggerSource) -> None:
        """Stop the application after the last source."""
        self._unfinished.discard(source)
        if not self._unfinished:
            stop_application(self.App)
