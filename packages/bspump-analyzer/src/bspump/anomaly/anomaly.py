"""Anomalies from their beginning to their end: what they are, where they are kept, who looks after them."""

from __future__ import annotations

import collections
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import asab
import asab.pubsub

from bspump import Analyzer, Anomaly
from bspump._component import Component

if TYPE_CHECKING:
    from bspump import Pipeline


class GeneralAnomaly(Anomaly):
    """An anomaly that is open for as long as it is seen.

    Keys:
        ts_start, ts_last: when it was seen first and last, in seconds since the epoch.
        count: how often it was seen.

    Args:
        current_time: when it is seen first.
        idle: how many seconds it may not be seen before it counts as ended.
        values: further keys.
    """

    TYPE = "General"

    def __init__(self, current_time: float, idle: float = 60.0, **values: Any) -> None:
        super().__init__(
            {
                "type": self.TYPE,
                "ts_start": current_time,
                "ts_last": current_time,
                "count": 1,
                "status": "open",
                **values,
            }
        )
        self._idle = idle

    def seen(self, current_time: float) -> None:
        """Take note that it was seen again."""
        self["ts_last"] = max(self["ts_last"], current_time)
        self["count"] += 1

    async def on_tick(self, t: float) -> None:
        """End it, with the time when it was seen last, if that is long ago."""
        if t - self["ts_last"] >= self._idle:
            self.close(self["ts_last"])


class AnomalyStorage:
    """The open anomalies, by their keys: at most one for each key."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Anomaly] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Anomaly]:
        return iter(list(self._open.values()))

    def get(self, key: Hashable) -> Anomaly | None:
        """Return the open anomaly with that key, or None."""
        return self._open.get(key)

    def add(self, key: Hashable, anomaly: Anomaly) -> None:
        """Keep an anomaly.

        Raises:
            ValueError: there is one with that key.
        """
        if key in self._open:
            raise ValueError(f"An anomaly with the key {key!r} is open already")
        self._open[key] = anomaly

    def take_closed(self) -> list[Anomaly]:
        """Return the anomalies that have ended, and keep them no longer."""
        closed = [key for key, anomaly in self._open.items() if anomaly.is_closed()]
        return [self._open.pop(key) for key in closed]


class AnomalyManager(Component):
    """Looks after open anomalies. Publishes ``Anomaly closed!`` with the argument ``anomaly`` when one has ended.

    Subscribers are held weakly, as everywhere in asab: subscribe a method of something that lives on.

    Args:
        app: the application.
        storage: where the open ones are kept; a storage of its own if None.
        id: the name of the manager.
        config: options.

    Attributes:
        Storage: the storage.
        PubSub: where it is published.
    """

    def __init__(
        self,
        app: asab.Application,
        storage: AnomalyStorage | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"anomaly:{identifier}", identifier, config)
        self.Storage = storage if storage is not None else AnomalyStorage()
        self.PubSub = asab.pubsub.PubSub(app)

    def open(self, key: Hashable, anomaly: Anomaly) -> Anomaly:
        """Keep an anomaly, unless one with that key is open: then that one is returned, and the new one forgotten."""
        existing = self.Storage.get(key)
        if existing is not None:
            return existing
        self.Storage.add(key, anomaly)
        return anomaly

    async def on_tick(self, current_time: float) -> list[Anomaly]:
        """Let each open anomaly look whether it goes on. Returns those that have ended.

        Args:
            current_time: in seconds since the epoch.
        """
        for anomaly in self.Storage:
            if not anomaly.is_closed():
                await anomaly.on_tick(current_time)
        closed = self.Storage.take_closed()
        for anomaly in closed:
            self.PubSub.publish("Anomaly closed!", anomaly=anomaly)
        return closed


class AnomalyAnalyzer(Analyzer):
    """An analyzer that opens anomalies and sees them end. Derive from it and override `evaluate` and `on_closed`.

    In `evaluate`, call ``self.Manager.open(key, anomaly)`` for what is found. Each analysis looks after those that
    are open. They are kept in memory: after a restart they are opened anew by what is found then.

    Args:
        app: the application.
        pipeline: the pipeline.
        manager: looks after the anomalies; one of its own if None.
        analyze_on_clock: whether that happens in regular intervals of ``analyze_period`` seconds.
        id: unique within the pipeline.
        config: options, those of `Analyzer`.

    Attributes:
        Manager: the manager.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        manager: AnomalyManager | None = None,
        analyze_on_clock: bool = True,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)
        self.Manager = manager if manager is not None else AnomalyManager(app, id=f"{self.Id}Manager")
        self._ended: collections.deque[Anomaly] = collections.deque()

    async def analyze(self) -> None:
        """Let the open anomalies look whether they go on, and call `on_closed` for those that have ended.

        An anomaly for which `on_closed` raises comes again in the next analysis, and the others after it.
        """
        self._ended += await self.Manager.on_tick(self.time())
        while self._ended:
            await self.on_closed(self._ended[0])
            self._ended.popleft()

    async def on_closed(self, anomaly: Anomaly) -> None:
        """Do what is to be done about an anomaly that has ended, such as sending it to another pipeline."""
