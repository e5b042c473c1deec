"""Sinks that deliver each event by a coroutine of its own."""

from __future__ import annotations

import abc
import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from .buffered_sink import Batch, BufferedSink

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class AsyncSink(BufferedSink):
    """Delivers events one by one, several at the same time. Derive from it and override `deliver`; that is all.

    What `deliver` has returned for is durable. If it raises one of `transient_errors`, it is called again for the same
    event, with growing pauses, for as long as it takes. Anything else that it raises goes the way that ``on_error`` of
    the pipeline says; with ``on_error = stop`` the event stays in the sink and is tried again once the error is
    cleared.

    For a destination that takes many events at once, derive from `BufferedSink`. Of its options, ``concurrency``,
    ``buffer_size``, ``retry_backoff`` and ``retry_backoff_max`` are those that matter here.
    """

    ConfigDefaults: dict[str, Any] = {"batch_size": 1, "concurrency": 10, "buffer_size": 1000}

    ordered = option.boolean(
        False, help="Whether an event is delivered only after the one before it. Then there is one at a time."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        if not inspect.iscoroutinefunction(self.deliver):
            raise TypeError(f"{self!r}: deliver() has to be a coroutine function (async def)")
        with self.options() as options:
            if self.batch_size != 1:
                options.refuse("batch_size", "cannot be set for a sink that delivers events one by one")
        self.batch_size = 1
        if self.ordered:
            self.concurrency = 1
        self._failures_in_a_row = 0

    @abc.abstractmethod
    async def deliver(self, context: Context, event: Event) -> None:
        """Deliver one event and return when it is durable.

        Raises:
            RejectedError: the destination refuses the event for good.
            OSError: the destination cannot be reached at the moment (or another one of `transient_errors`).
        """

    async def write(self, batch: Batch) -> None:
        """Deliver the one event of the batch."""
        await self.deliver(batch.contexts[0], batch[0])
        self._failures_in_a_row = 0

    def _say_retried(self, batch: Batch, error: Exception) -> None:
        # All that is under way fails at an outage: it is one thing to say, at first, and then less and less often.
        self._failures_in_a_row += 1
        if self._failures_in_a_row & (self._failures_in_a_row - 1) == 0:
            self.Pipeline.L.report(
                logging.WARNING,
                f"{self!r} could not deliver {self._failures_in_a_row} time(s) in a row and tries again: "
                f"{type(error).__name__}: {error}",
            )
