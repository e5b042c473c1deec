"""A trigger that keeps its sources busy."""

from __future__ import annotations

import asab

from ..abc.source import TriggerSource
from .trigger import Trigger


class OpportunisticTrigger(Trigger):
    """Fires whenever a source is free.

    A cycle that brought events is followed by the next at once; after one that brought nothing the source rests for
    `chilldown_period` seconds.
    """

    def __init__(
        self,
        app: asab.Application,
        id: str | None = None,
        run_immediately: bool = True,
        chilldown_period: float = 5,
    ) -> None:
        super().__init__(app, id=id)
        self._chilldown = float(chilldown_period)
        self._run_immediately = run_immediately
        self._accepted: dict[TriggerSource, int] = {}

    def add(self, source: TriggerSource) -> None:
        """Add a source and fire it, at once or after the first rest."""
        super().add(source)
        if self._run_immediately:
            source.TriggerEvent.set()
        else:
            self.Loop.call_later(self._chilldown, self._fire_source, source)

    def remove(self, source: TriggerSource) -> None:
        """Remove a source."""
        super().remove(source)
        self._accepted.pop(source, None)

    def done(self, source: TriggerSource) -> None:
        """Fire the source again."""
        if source not in self.Sources:
            return
        brought_events = source.accepted_total != self._accepted.get(source, 0)
        self._accepted[source] = source.accepted_total
        if brought_events:
            self._fire_source(source)
        else:
            self.Loop.call_later(self._chilldown, self._fire_source, source)

    def pause(self, pause: bool = True) -> None:
        """Stop firing, or go on."""
        super().pause(pause)
        if not pause:
            self.fire()

    def _fire_source(self, source: TriggerSource) -> None:
        if not self.Paused and source in self.Sources:
            self.LastFireAt = float(self.App.time())
            source.TriggerEvent.set()
