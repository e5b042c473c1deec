"""How pipelines feed one another."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import asab

from . import _barrier
from ._asab import pump_service
from ._types import Context, Event
from .abc.source import Source

if TYPE_CHECKING:
    from .pipeline import Pipeline


class RouteTarget(Source):
    """A source that other pipelines feed."""

    is_internal = True

    @abc.abstractmethod
    def accept(self, contexts: list[Context], events: list[Event]) -> None:
        """Take events that a route brings. Their contexts belong to the caller."""

    @property
    def taken_over_total(self) -> int:
        """How many events the source has taken into a queue of its own, altogether."""
        return 0

    def holds_feeders(self) -> bool:
        """Tell whether the source has enough for now."""
        return False


class Route:
    """The way from one pipeline into a source of another.

    While it is there, the feeding pipeline is throttled when the target pipeline is not ready or the source has
    enough, its checkpoint goes on into the target pipeline, and it is stopped first. A route that closes a circle of
    pipelines does not throttle: each would wait for the other for ever.

    A route that was given up stays until what it has brought is durable: until then, the sources of the feeding
    pipeline must neither commit that, nor be left alone if it gets lost.
    """

    def __init__(self, feeder: Pipeline, target: RouteTarget) -> None:
        self.feeder = feeder
        self.target = target
        self.closes_circle = target.Pipeline is feeder or target.Pipeline in feeder._feeders.all()
        self.is_closed = False
        feeder._routes.append(self)
        target.Pipeline._feeders.add(self)

    def put(self, contexts: list[Context], events: list[Event]) -> None:
        """Hand events over."""
        self.target.accept(contexts, events)

    async def checkpoint(self) -> None:
        """Return when every event handed over before the call is durable."""
        was_closed = self.is_closed
        target = self.target.Pipeline
        if not target._life_cycle.is_durable and not (was_closed and target._life_cycle.has_stopped):
            await _barrier.checkpoint(target)
        if was_closed:
            self._forget()

    def close(self) -> None:
        """Give the way up."""
        for route in list(self.feeder._routes):
            if route.is_closed and route.target is self.target:
                route._forget()  # this one takes its place
        self.is_closed = True
        self.target.Pipeline._feeders.release(self)

    def _forget(self) -> None:
        if self in self.feeder._routes:
            self.feeder._routes.remove(self)
            self.target.Pipeline._feeders.remove(self)


class Feeders:
    """The routes that lead into one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Pipeline]:
        """Yield the pipelines that feed this one, each once."""
        return iter(dict.fromkeys(route.feeder for route in self._routes))

    def all(self) -> set[Pipeline]:
        """Return the pipelines that feed this one, directly or through others."""
        found: set[Pipeline] = set()
        pending = list(self)
        while pending:
            pipeline = pending.pop()
            if pipeline not in found:
                found.add(pipeline)
                pending.extend(pipeline._feeders)
        return found

    def add(self, route: Route) -> None:
        """Add a route; its pipeline is throttled at once if this one cannot take events."""
        self._routes.append(route)
        if not route.closes_circle:
            route.feeder.throttle(self._pipeline, not self._pipeline.is_ready())
            route.feeder.throttle(route.target, route.target.holds_feeders())

    def remove(self, route: Route) -> None:
        """Remove a route that was released."""
        self._routes.remove(route)

    def release(self, route: Route) -> None:
        """Let go what a closed route throttles."""
        others = [other for other in self._routes if other.feeder is route.feeder and not other.is_closed]
        if not others:
            route.feeder.throttle(self._pipeline, False)
        if all(other.target is not route.target for other in others):
            route.feeder.throttle(route.target, False)

    def close_routes(self) -> None:
        """Give every route up: this pipeline is gone for good, and must not hold the others for ever."""
        for route in list(self._routes):
            if not route.is_closed:
                route.close()

    def throttle(self, who: Hashable, enable: bool, target: RouteTarget | None = None) -> None:
        """Hold the pipelines that feed this one, or only those that feed one source, on behalf of `who`."""
        for route in self._routes:
            if not route.closes_circle and not route.is_closed and (target is None or route.target is target):
                route.feeder.throttle(who, enable)


def find_target(app: asab.Application, address: str) -> RouteTarget | None:
    """Return the source at an address; for the id of a pipeline, its first source that can be fed."""
    located = pump_service(app).locate(address)
    if isinstance(located, RouteTarget):
        return located
    sources = getattr(located, "Sources", [])
    return next((source for source in sources if isinstance(source, RouteTarget)), None)
