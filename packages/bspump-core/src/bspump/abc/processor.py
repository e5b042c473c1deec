"""Processors: they take an event and return one, or None to drop it."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import asab

from .._component import Component
from .._types import Context, Event

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class ProcessorBase(abc.ABC, Component):
    """What `Processor`, `Sink` and `Generator` have in common.

    Besides `process`, a processor may offer ``process_batch(contexts, events)``, which takes parallel lists and returns
    parallel lists of what survives (a sink returns None). It either handles the whole batch, or raises before it has
    done anything; the events are then taken one at a time through `process`, so that only the bad ones fail.

    Args:
        app: the application.
        pipeline: the pipeline that the processor is a part of.
        id: unique within the pipeline; the class's name if not given.
        config: options, overriding the section ``[pipeline:<pipeline id>:<id>]`` of the configuration file.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"pipeline:{pipeline.Id}:{identifier}", identifier, config)
        self.Pipeline = pipeline

    @classmethod
    def construct(cls, app: asab.Application, pipeline: Pipeline, definition: Mapping[str, Any]) -> Self:
        """Build the processor from a definition with the optional keys ``id``, ``config`` and ``args``."""
        return cls(
            app, pipeline, id=definition.get("id"), config=definition.get("config"), **definition.get("args", {})
        )

    @abc.abstractmethod
    def process(self, context: Context, event: Event) -> Event:
        """Return the processed event, or None to drop it. Anything raised goes to `Pipeline.handle_error`."""

    def prepare(self) -> None:
        """Find the other components that the processor works with. Called when all are known, before any starts.

        Raises:
            ConfigurationError: one of them does not exist.
        """

    async def open(self) -> None:
        """Acquire what the processor needs. Awaited before the first event; what it raises stops the pipeline."""

    async def checkpoint(self) -> None:
        """Return when all that the processor took before this call is durable or handed on; raise if it cannot be.

        A processor that keeps nothing beyond `process` has nothing to do here.
        """

    async def drain(self) -> None:
        """Hand on what is kept back, without waiting for more: the pipeline takes no further events."""

    async def close(self) -> None:
        """Release what `open` acquired. Awaited once, after the last checkpoint."""

    def locate_address(self) -> str:
        """Return the address by which `BSPumpService.locate` finds the processor: ``<pipeline id>.<id>``."""
        return f"{self.Pipeline.Id}.{self.Id}"

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the processor for the REST interface."""
        return {"Id": self.Id, "Class": self.__class__.__name__, "PipelineId": self.Pipeline.Id}

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}('{self.locate_address()}')"


class Processor(ProcessorBase):
    """Takes an event and returns one. Derive from it and override `process`."""
