"""A trigger for jobs: one cycle, then the application ends."""

from __future__ import annotations

import asab

from .._asab import stop_application
from ..abc.source import TriggerSource
from .trigger import Trigger


class RunOnceTrigger(Trigger):
    """Fires once, at the start. When every source has finished its cycle, the application stops, gracefully."""

    def __init__(self, app: asab.Application, id: str | None = None) -> None:
        super().__init__(app, id=id)
        self._unfinished: set[TriggerSource] = set()

    def add(self, source: TriggerSource) -> None:
        """Add a source; its cycle begins as soon as its pipeline runs."""
        super().add(source)
        self._unfinished.add(source)
        source.TriggerEvent.set()

    def done(self, source: TriggerSource) -> None:
        """Stop the application after the last source."""
        self._unfinished.discard(source)
        if not self._unfinished:
            stop_application(self.App)
