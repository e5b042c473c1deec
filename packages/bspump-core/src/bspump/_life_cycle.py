"""Starting a pipeline and stopping it without losing anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from . import _barrier
from .abc.processor import ProcessorBase
from .abc.source import Source
from .errors import ConfigurationError, ProcessingError

if TYPE_CHECKING:
    from .pipeline import Pipeline


# A limit below which no step of a stop is cut off.
_SHORTEST_LIMIT = 0.2
# The same for the closing of one component.
_SHORTEST_CLOSING = 1.0


class LifeCycle:
    """New, opening, running, stopping and stopped: where one pipeline stands."""

    def __init__(self, pipeline: Pipeline, stop_timeout: float) -> None:
        self._pipeline = pipeline
        self._stop_timeout = stop_timeout
        self._opening: asyncio.Task[None] | None = None
        self._opened: list[ProcessorBase | Source] = []
        self.is_stopping = False
        self._stop_lock = asyncio.Lock()
        self._deadline = 0.0
        self.is_running = False
        self.takes_events = False
        self.has_stopped = False
        self.is_durable = False
        """Whether the last stop made everything durable."""

    # Starting

    def prepare(self) -> list[str]:
        """Find the components of other pipelines that this one needs. Returns what is wrong, in sentences."""
        pipeline = self._pipeline
        problems: list[str] = []
        for component in self._components():
            try:
                component.prepare()
            except ConfigurationError as error:
                problems.extend(error.problems)
        if pipeline._dead_letters.address:
            wrong = pipeline._dead_letters.bind()
            if wrong is not None:
                problems.append(f"[pipeline:{pipeline.Id}] dead_letter: '{pipeline._dead_letters.address}' {wrong}")
        return problems

    def start(self) -> None:
        """Open the components, then start the sources. Does nothing if the pipeline runs."""
        if self.is_running:
            return
        pipeline = self._pipeline
        for problem in self.prepare():
            raise ConfigurationError(problem)
        self.is_running = True
        self.has_stopped = False
        self.is_durable = False
        self.is_stopping = False
        pipeline._errors.reset()
        pipeline.publish("bspump.pipeline.start!")
        self._open_and_go()

    def _open_and_go(self) -> None:
        pending = [component for component in self._components() if _opens(component) and component not in self._opened]
        if pending:
            self._opening = self._pipeline.Loop.create_task(self._open(pending))
        else:
            self._go()

    def _components(self) -> list[ProcessorBase | Source]:
        return [*self._pipeline.iter_processors(), *self._pipeline.Sources]

    async def _open(self, components: list[ProcessorBase | Source]) -> None:
        for component in components:
            try:
                await component.open()
            except Exception as error:
                self._pipeline._errors.open_failed(component, error)
                return
            self._opened.append(component)
        self._go()

    def _go(self) -> None:
        pipeline = self._pipeline
        self._opening = None
        self.takes_events = True
        pipeline._build_chains()
        for source in pipeline.Sources:
            source.start(pipeline.Loop)
        pipeline._evaluate_ready()

    def recover(self, *, every_source: bool) -> None:
        """Go on after an error was cleared, with every source or with those that failed."""
        if not self.is_running or self.is_stopping:
            return
        if not self.takes_events:
            if self._opening is None or self._opening.done():
                self._open_and_go()
            return
        for source in self._pipeline.Sources:
            if every_source or source._has_failed:
                source._recover()

    # Stopping

    async def stop(self) -> None:
        """Stop gracefully, within the time limit. The pipelines that feed this one have to wait meanwhile."""
        pipeline = self._pipeline
        # Where pipelines go in a circle, a feeder that waits would keep what is on its way from coming to its end.
        feeders = [feeder for feeder in pipeline._feeders if pipeline not in {feeder, *feeder._feeders.all()}]
        for feeder in feeders:
            feeder.throttle(self)
        try:
            await self.stop_intake()
            await self.drain_and_close()
        finally:
            for feeder in feeders:
                feeder.throttle(self, False)

    async def stop_intake(self) -> None:
        """End the sources that bring events from outside."""
        async with self._stop_lock:
            if self.is_running and not self.is_stopping:
                await self._stop_intake()

    async def _stop_intake(self) -> None:
        self.is_stopping = True
        self._pipeline._wake_waiters()
        self._deadline = self._pipeline.Loop.time() + self._stop_timeout
        self._pipeline.publish("bspump.pipeline.stop!")
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        await self._stop_sources([source for source in self._pipeline.Sources if not source.is_internal])

    def _seconds_left(self) -> float:
        # However late it is, what needs no waiting is done.
        return max(_SHORTEST_LIMIT, self._deadline - self._pipeline.Loop.time())

    async def _stop_sources(self, sources: list[Source]) -> None:
        stopping = {asyncio.ensure_future(source.stop()): source for source in sources}
        if not stopping:
            return
        done, pending = await asyncio.wait(stopping, timeout=self._seconds_left())
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._say_unfinished(f"{stopping[task]!r} could not be stopped: {type(error).__name__}: {error}")
        for task in pending:
            task.cancel()
            self._say_unfinished(f"{stopping[task]!r} does not end")

    async def drain_and_close(self) -> None:
        """Make durable and commit what was accepted, then close the components."""
        async with self._stop_lock:
            if self.is_running:
                await self._drain_and_close()

    async def _drain_and_close(self) -> None:
        pipeline = self._pipeline
        try:
            if self.takes_events:
                async with asyncio.timeout(self._seconds_left()):
                    await self._drain()
            self.is_durable = self.has_stopped = True
        except TimeoutError:
            self._say_unfinished(f"it was not finished within {self._stop_timeout:g} seconds")
        except ProcessingError as error:
            self._say_unfinished(str(error))
        except Exception as error:
            self._say_unfinished(f"{type(error).__name__}: {error}")
        finally:
            await self._close()
            if not self.is_durable:
                # What they had handed over is lost here.
                for feeder in pipeline._feeders.all():
                    feeder._life_cycle.recover(every_source=True)

    async def _drain(self) -> None:
        """Make everything durable and commit, again and again until nothing has come in meanwhile."""
        pipeline = self._pipeline
        taken_over = -1
        while taken_over != pipeline._taken_over_total():
            taken_over = pipeline._taken_over_total()
            await _barrier.checkpoint(pipeline, draining=True)
            for source in pipeline.Sources:
                if source.is_acknowledged:
                    await source.commit_now()

    def _say_unfinished(self, reason: str) -> None:
        pipeline = self._pipeline
        pipeline.L.report(
            logging.ERROR,
            f"Pipeline '{pipeline.Id}' ends before everything is durable: {reason}; "
            f"nothing of that was committed, so it comes again from every source that can be acknowledged",
        )

    async def _close(self) -> None:
        pipeline = self._pipeline
        self.has_stopped = True
        await self._stop_sources(pipeline.Sources)
        still_running = await pipeline._futures.cancel(self._seconds_left())
        if still_running:
            self._say_unfinished(f"{still_running} task(s) do not end")
        pipeline._errors.ended()
        for source in pipeline.Sources:
            await self._close_one(source, source._finish())
            source.Task = None
        for processor in pipeline.iter_processors():
            await self._close_one(processor, processor.close())
        self._opened.clear()
        self.is_running = False
        self.takes_events = False
        pipeline._evaluate_ready()
        pipeline._wake_waiters()

    async def _close_one(self, component: ProcessorBase | Source, closing: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(max(_SHORTEST_CLOSING, self._seconds_left())):
                await closing
        except Exception as error:
            message = f"{component!r} could not be closed: {type(error).__name__}: {error}"
            self._pipeline.L.report(logging.ERROR, message, error)


def _opens(component: ProcessorBase | Source) -> bool:
    base = ProcessorBase if isinstance(component, ProcessorBase) else Source
    return type(component).open is not base.open
