"""A copy of each event for another pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import asab

from .._asab import pump_service
from .._copying import copy_event
from .._types import Context, Event
from ..errors import ConfigurationError
from .routing import InternalSource, RouterProcessor

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class TeeProcessor(RouterProcessor):
    """Hands a copy of each event to every bound source, and the event itself on."""

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._targets: list[str] = []

    def bind(self, target: str) -> Self:
        """Add the address of a source, such as ``Pipeline.*TeeSource``."""
        if target not in self._targets:
            self._targets.append(target)
        return self

    def unbind(self, target: str) -> Self:
        """Remove a target."""
        if target in self._targets:
            self._targets.remove(target)
            self.unlocate(target)
        return self

    def prepare(self) -> None:
        """Look the targets up."""
        for target in self._targets:
            self.locate(target)

    def process(self, context: Context, event: Event) -> Event:
        """Hand out copies."""
        for target in self._targets:
            self.route(context, event, target)
        return event

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Hand out copies of a whole batch."""
        routes = [self._route_to(target) for target in self._targets]
        copies = [[copy_event(event) for event in events] for _ in routes]
        for route, events_of_route in zip(routes, copies, strict=True):
            route.put(contexts, events_of_route)
        return contexts, events


class TeeSource(InternalSource):
    """Receives the copies of a `TeeProcessor`. Bind it here, to the processor, or there, to this source."""

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._targets: list[str] = []

    def bind(self, target: str) -> Self:
        """Name the processor whose events come here, by its address ``Pipeline.TeeProcessor``."""
        self._targets.append(target)
        return self

    def prepare(self) -> None:
        """Bind to the named processors, before any pipeline starts."""
        for target in self._targets:
            self._locate_tee(target).bind(self.locate_address())

    async def close(self) -> None:
        """Give the bindings up. An error does not: what comes meanwhile has to wait here."""
        await super().close()
        for target in self._targets:
            tee = pump_service(self.App).locate(target)
            if isinstance(tee, TeeProcessor):  # its pipeline may be gone by now
                tee.unbind(self.locate_address())

    def _locate_tee(self, target: str) -> TeeProcessor:
        tee = pump_service(self.App).locate(target)
        if not isinstance(tee, TeeProcessor):
            raise ConfigurationError(
                f"{self!r} cannot bind to '{target}': expected the address of a TeeProcessor, such as "
                f"'Pipeline.TeeProcessor', but found {tee!r}"
            )
        return tee
