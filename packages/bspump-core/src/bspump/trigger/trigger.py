"""The base of the triggers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self

import asab

if TYPE_CHECKING:
    from ..abc.source import TriggerSource


class Trigger:
    """Fires the sources that were added to it. Derive from it and call `fire`.

    Args:
        app: the application.
        max_triggered: do not fire while this many of the sources, or more, are in a cycle; None: no limit.
        id: the name of the trigger; the class's name if not given.

    Attributes:
        Sources: the sources.
        Paused: while True, nothing is fired.
        LastFireAt: the time of the last firing, in seconds since the epoch; 0.0 before the first.
    """

    def __init__(self, app: asab.Application, max_triggered: int | None = None, id: str | None = None) -> None:
        self.App = app
        self.Loop: asyncio.AbstractEventLoop = app.Loop
        self.Id = id if id is not None else self.__class__.__name__
        self.Sources: set[TriggerSource] = set()
        self.Paused = False
        self.LastFireAt = 0.0
        self._max_triggered = max_triggered
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def construct(cls, app: asab.Application, definition: Mapping[str, Any]) -> Self:
        """Build the trigger from a definition with the optional keys ``id`` and ``args``."""
        return cls(app, id=definition.get("id"), **definition.get("args", {}))

    def add(self, source: TriggerSource) -> None:
        """Add a source."""
        self.Sources.add(source)
        source.Pipeline.PubSub.subscribe("bspump.trigger.pause!", self._on_pause)

    def remove(self, source: TriggerSource) -> None:
        """Remove a source."""
        self.Sources.discard(source)

    def fire(self) -> bool:
        """Begin a cycle of every source. Returns False if that is not possible now: paused, or too many are busy."""
        if self.Paused:
            return False
        if self._max_triggered is not None:
            busy = sum(1 for source in self.Sources if source.is_triggered)
            if busy >= self._max_triggered:
                return False
        for source in self.Sources:
            source.TriggerEvent.set()
        self.LastFireAt = float(self.App.time())
        return True

    def done(self, source: TriggerSource) -> None:
        """Take note that a source has finished a cycle."""

    def pause(self, pause: bool = True) -> None:
        """Stop firing, or go on."""
        self.Paused = pause

    def _on_pause(self, message_type: str, pause: bool = True) -> None:
        self.pause(pause)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine from now until the application stops."""
        self._task = self.Loop.create_task(coroutine, name=f"bspump trigger {self.Id}")
        self.App.PubSub.subscribe("Application.stop!", self._on_stop)

    def _on_stop(self, message_type: str, counter: int = 0) -> None:
        if self._task is not None:
            self._task.cancel()
