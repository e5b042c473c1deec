"""The tasks of a pipeline: those of its generators, by depth, and those that components schedule."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ._cancellation import is_being_cancelled
from ._types import Context, Event
from .errors import ProcessingError

if TYPE_CHECKING:
    from .abc.generator import Generator
    from .pipeline import Pipeline

ANY_DEPTH = -1
"""The depth of a task that was not scheduled by a generator; it may inject anywhere."""


class Futures:
    """Keeps the tasks of a pipeline, throttles it while there are too many, and sees to their exceptions."""

    def __init__(self, pipeline: Pipeline, limit: int) -> None:
        self._pipeline = pipeline
        self._high = limit
        self._low = self._high // 2
        self._holds = False
        self._depth_of: dict[asyncio.Future[Any], int] = {}

    @property
    def high_water_mark(self) -> int:
        """The number of tasks at which the pipeline is throttled."""
        return self._high

    def __len__(self) -> int:
        return len(self._depth_of)

    def tasks(self) -> list[asyncio.Future[Any]]:
        """Return the tasks that have not ended."""
        return list(self._depth_of)

    def at(self, depth: int) -> set[asyncio.Future[Any]]:
        """Return the tasks of the generator at the end of a depth, and those that may inject anywhere."""
        return {task for task, its_depth in self._depth_of.items() if its_depth in (depth, ANY_DEPTH)}

    def generate(self, generator: Generator, context: Context, event: Event, depth: int) -> None:
        """Run a generator for one event, in a task."""
        self._schedule(self._generate(generator, context, event, depth), depth)

    def ensure(self, coroutine: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Take care of a coroutine that a component wants to have run."""
        if asyncio.isfuture(coroutine):
            future: asyncio.Future[Any] = coroutine
            return self._keep(future, ANY_DEPTH)
        return self._schedule(coroutine, ANY_DEPTH)

    async def _generate(self, generator: Generator, context: Context, event: Event, depth: int) -> None:
        try:
            await generator.generate(context, event, depth + 1)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            cut = ProcessingError(f"{generator!r} ended early, since something that it awaited was cancelled")
            self._pipeline._event_failed(cut, context, event, generator)
        except Exception as error:
            self._pipeline._event_failed(error, context, event, generator)

    def _schedule(self, coroutine: Coroutine[Any, Any, Any], depth: int) -> asyncio.Future[Any]:
        loop = self._pipeline.Loop
        if sys.version_info >= (3, 12) and depth != ANY_DEPTH:
            # A generator that never waits is through before a task would even have started.
            eager_task = asyncio.Task(coroutine, loop=loop, eager_start=True)
            return eager_task if eager_task.done() else self._keep(eager_task, depth)
        return self._keep(loop.create_task(coroutine), depth)

    def _keep(self, task: asyncio.Future[Any], depth: int) -> asyncio.Future[Any]:
        self._depth_of[task] = depth
        task.add_done_callback(self._done)
        if not self._holds and len(self._depth_of) >= self._high:
            self._holds = True
            self._pipeline.throttle(self)
        return task

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._depth_of.pop(task, None)
        if self._holds and len(self._depth_of) <= self._low:
            self._holds = False
            self._pipeline.throttle(self, False)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception) and not self._pipeline._errors.comes_back(error):
            self._pipeline.set_error(None, None, error)

    async def cancel(self, limit: float) -> int:
        """Cancel what has not ended and wait for it, no longer than `limit` seconds. Returns how many still run."""
        tasks = self.tasks()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=limit)
        return len(self._depth_of)
