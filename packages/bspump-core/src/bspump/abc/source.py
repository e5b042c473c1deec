"""Sources: they bring events into a pipeline, and remember up to where what they brought is durable."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import asab

from .. import _barrier, option
from .._cancellation import is_being_cancelled
from .._component import Component
from .._types import Context, Contexts, Event
from ..errors import PipelineError, ProcessingError

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..trigger import Trigger

# The pause after a checkpoint that could not be had, before it is tried again.
_RETRY_COMMIT = 0.5


class Source(Component):
    """Brings events into a pipeline. Derive from it and override `main`.

    A source that can be acknowledged keeps `position` at the place behind the last event that the pipeline accepted and
    overrides `commit`. The base class does the rest: every ``commit_interval`` seconds it takes the position, waits
    for the pipeline's checkpoint and calls `commit` with it. After a hard error was cleared, `rewind` is called and
    `main` starts again from the last committed position.

    Args:
        app: the application.
        pipeline: the pipeline that the source belongs to.
        id: unique within the pipeline; the class's name if not given.
        config: options, overriding the sections ``[pipeline:<pipeline id>:<id>]`` and, for options that the class
            declares, ``[pipeline:<pipeline id>]`` of the configuration file.
    """

    commit_interval = option.seconds(1.0, help="How often the position is committed, in seconds.")

    is_internal: bool = False
    """True for a source that other pipelines feed. It stops after them, and goes on while they are drained."""

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        section = f"pipeline:{pipeline.Id}:{identifier}"
        super().__init__(app, section, identifier, config, wider_section=f"pipeline:{pipeline.Id}")
        self.Pipeline = pipeline
        self.Task: asyncio.Task[None] | None = None
        self._position: object = None
        self._committed: object = None
        self._position_moved = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._went_back = asyncio.Event()
        self._went_back.set()
        self._commit_task: asyncio.Task[None] | None = None
        self._generation = 0
        self._has_failed = False
        self.accepted_total = 0
        """How many events the pipeline has accepted from this source."""

    @classmethod
    def construct(cls, app: asab.Application, pipeline: Pipeline, definition: Mapping[str, Any]) -> Self:
        """Build the source from a definition with the optional keys ``id``, ``config`` and ``args``."""
        return cls(
            app, pipeline, id=definition.get("id"), config=definition.get("config"), **definition.get("args", {})
        )

    # Emitting events

    def process(self, event: Event, context: Context | None = None) -> Coroutine[Any, Any, None]:
        """Hand one event to the pipeline, waiting until it is ready. To be awaited.

        Raises:
            Exception: what a processor raised, if it is a hard error and the pipeline stops at it (``on_error``).
                The source fails gracefully when it lets the exception through.
        """
        # Not a coroutine function itself: a coroutine within a coroutine would cost a tenth of the throughput.
        return self.Pipeline._feeder.process(event, context, self)

    async def process_batch(
        self,
        events: Sequence[Event],
        contexts: Contexts = None,
        *,
        position: Callable[[int], object] | None = None,
    ) -> None:
        """Hand events to the pipeline, in their order, waiting until it is ready.

        Args:
            events: the events.
            contexts: one context for each event; or one that is copied for each; or a function that makes those of the
                events from an index to before another (they are not copied); or nothing.
            position: gives the position behind the first *n* of the events. When it is there, `position` of the source
                is kept by this method: exactly, also if an event in the middle stops the pipeline.

        Raises:
            Exception: as `process`.
        """
        await self.Pipeline._feeder.process_batch(events, contexts, self, position)

    async def reject(self, error: Exception, event: Event, context: Context | None = None) -> None:
        """Report something that came in but is no event: a malformed line, say. It goes the way of a failed event.

        That is: `Pipeline.handle_error` may call it soft, and ``on_error`` decides otherwise. The source moves its
        `position` on afterwards.

        Raises:
            Exception: `error`, if it is a hard error and the pipeline stops at it.
        """
        await self.Pipeline._feeder.reject(error, event, context, self)

    # Acknowledging

    @property
    def position(self) -> Any:
        """The place behind the last event that the pipeline accepted. None: nothing to acknowledge so far.

        Assign a new value each time, and never change one in place: it is compared with the committed one.
        """
        return self._position

    @position.setter
    def position(self, position: object) -> None:
        self._position = position
        self._position_moved.set()

    @property
    def committed_position(self) -> Any:
        """The position of the last successful `commit`."""
        return self._committed

    async def commit(self, position: Any) -> None:
        """Make `position` the place from which the source starts again. Everything before it is durable."""

    async def checkpoint(self) -> None:
        """Return when everything that the source took over before this call has entered the pipeline.

        Only for a source with a queue of its own, which is filled by others.
        """

    async def rewind(self) -> None:
        """Go back to the last committed position. Called before `main` starts again after an error."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether the source overrides `commit`."""
        return type(self).commit is not Source.commit

    async def commit_now(self) -> None:
        """Wait for the checkpoint of the pipeline and commit the present position.

        Raises:
            PipelineError: the pipeline, or one behind it, is stopped by an error; nothing was committed.
        """
        async with self._commit_lock:
            await self._went_back.wait()
            self._position_moved.clear()
            if self._position is None or self._position == self._committed:
                return
            position, generation = self._position, self._generation
            try:
                await self.Pipeline.checkpoint()
                if generation != self._generation:
                    raise PipelineError(f"{self.locate_address()} went back to its last committed position")
                await self.commit(position)
            except BaseException:
                self._position_moved.set()  # to be tried again, also if no further event comes
                raise
            self._committed = position

    async def _commit_regularly(self) -> None:
        while True:
            await self._position_moved.wait()
            await asyncio.sleep(self.commit_interval)
            try:
                await self.commit_now()
            except ProcessingError:
                # Who failed has said so; what was not committed comes again when the error is cleared.
                await asyncio.sleep(max(self.commit_interval, _RETRY_COMMIT))
            except Exception as error:
                self.Pipeline._errors.source_failed(self, error)
                await self.Pipeline._errors.cleared()
                await asyncio.sleep(max(self.commit_interval, _RETRY_COMMIT))

    # The life of the source

    def prepare(self) -> None:
        """Find the other components that the source works with. Called when all are known, before any starts.

        Raises:
            ConfigurationError: one of them does not exist.
        """

    async def open(self) -> None:
        """Acquire what the source needs. Awaited before `main`; what it raises stops the pipeline."""

    async def close(self) -> None:
        """Release what `open` acquired. Awaited once, after the last commit."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start `main` in a task of its own. Does nothing if it was started already."""
        if self.Task is not None:
            return
        self.Task = self._create_task(self._run(), "source")
        if self.is_acknowledged:
            self._commit_task = self._create_task(self._commit_regularly(), "commit")

    def _create_task(self, coroutine: Coroutine[Any, Any, None], purpose: str) -> asyncio.Task[None]:
        name = f"bspump {purpose} {self.locate_address()}"
        return self.Loop.create_task(coroutine, name=name, context=_barrier.outside_walks())

    async def stop(self) -> None:
        """End the intake: cancel `main` and wait for its end. What was accepted before stays accepted."""
        if self.Task is not None:
            await _cancel(self.Task)
        if not self._went_back.is_set():
            # It was stopped on its way back.
            self._position = self._committed
            self._went_back.set()

    def restart(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start `main` again if it has ended."""
        if self.Task is None:
            return
        if self.Task.done():
            self.Task = self._create_task(self._run(), "source")
        elif self._has_failed:
            self.Task.add_done_callback(lambda _: self.restart(loop))

    async def main(self) -> None:
        """Produce events until cancelled. Await ``self.Pipeline.ready()`` before each one that is costly to make."""
        raise NotImplementedError(f"{self.__class__.__name__} does not override main()")

    async def stopped(self) -> None:
        """Wait until the source is stopped; what follows the call in `main` is its clean-up."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()

    async def _run(self) -> None:
        self._has_failed = False
        try:
            await self.main()
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            self._fail(ProcessingError(f"{self!r} ended, since something that it awaited was cancelled"))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if asyncio.current_task() is not self.Task:
            return  # the error that this one comes of is cleared already, and `main` begins again
        # The error may be cleared before this task has ended.
        self._has_failed = True
        self.Pipeline._errors.source_failed(self, error)

    def _recover(self) -> None:
        """Go on after an error was cleared: an acknowledged source from its last committed position."""
        if self.Task is None:
            return
        if self.is_acknowledged:
            self._generation += 1
            self._position = self._committed
            # What comes in before `rewind` has returned may stand behind events that were lost.
            self._went_back.clear()
            self.Task = self._create_task(self._rewind_after(self.Task, self._generation), "source")
        else:
            self.restart(self.Loop)

    async def _rewind_after(self, previous: asyncio.Task[None], generation: int) -> None:
        failure: Exception | None = None
        try:
            await _end_of(previous)
            # What `main` did while it was being cancelled does not count.
            self._position = self._committed
            await self.rewind()
        except Exception as error:
            failure = error
        # Not reached if it is cancelled: `stop`, or the next one that goes back, sees to it then.
        if generation == self._generation:
            self._went_back.set()
        if failure is not None:
            self._fail(failure)
            return
        await self._run()

    async def _finish(self) -> None:
        """End the regular commits and release everything."""
        if self._commit_task is not None:
            await _cancel(self._commit_task)
            self._commit_task = None
        try:
            await self.close()
        finally:
            # What was accepted and not committed comes again after the next start.
            self._position = self._committed
            self._position_moved.clear()

    # Describing the source

    def locate_address(self) -> str:
        """Return the address by which `BSPumpService.locate` finds the source: ``<pipeline id>.*<id>``."""
        return f"{self.Pipeline.Id}.*{self.Id}"

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface."""
        description: dict[str, Any] = {"Id": self.Id, "Class": self.__class__.__name__}
        if self.is_acknowledged:
            description["Position"] = _shown(self._position)
            description["CommittedPosition"] = _shown(self._committed)
        return description

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}('{self.locate_address()}')"


class TriggerSource(Source):
    """Runs `cycle` each time a trigger fires, never twice at once. Derive from it and override `cycle`.

    A trigger is added with `on`. What is passed to an overridden ``main(*args, **kwags)`` reaches
    ``cycle(*args, **kwags)``, so that a subclass can hold a resource around all the cycles.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.TriggerEvent = asyncio.Event()
        self.Triggers: set[Trigger] = set()
        self._is_in_cycle = False

    def on(self, trigger: Trigger) -> Self:
        """Add a trigger; any number of them may be added."""
        trigger.add(self)
        self.Triggers.add(trigger)
        return self

    @property
    def is_triggered(self) -> bool:
        """Whether a cycle is under way, or about to begin."""
        return self._is_in_cycle or self.TriggerEvent.is_set()

    @property
    def needs_trigger(self) -> bool:
        """Whether the source does nothing without a trigger."""
        return True

    async def main(self, *args: Any, **kwags: Any) -> None:
        """Wait for the pipeline and a trigger, run a cycle, and so on."""
        while True:
            await self.Pipeline.ready()
            await self.TriggerEvent.wait()
            # What fires from here on begins another cycle.
            self.TriggerEvent.clear()
            self._is_in_cycle = True
            self.Pipeline.publish("bspump.pipeline.cycle_begin!")
            try:
                await self.cycle(*args, **kwags)
            except BaseException as error:
                # A cycle that did not come to its end is begun again.
                self.TriggerEvent.set()
                if isinstance(error, asyncio.CancelledError):
                    self.Pipeline.publish("bspump.pipeline.cycle_canceled!")
                raise
            finally:
                self._is_in_cycle = False
            self.Pipeline.publish("bspump.pipeline.cycle_end!")
            for trigger in list(self.Triggers):
                trigger.done(self)

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Produce the events of one cycle."""
        raise NotImplementedError(f"{self.__class__.__name__} does not override cycle()")

    async def rewind(self) -> None:
        """Begin a cycle at once, since events of earlier ones may have to come again."""
        self.TriggerEvent.set()

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface."""
        return {**super().rest_get(), "triggered": self.is_triggered}


def _shown(position: object) -> object:
    """Return a position as plain values, fit for JSON."""
    if dataclasses.is_dataclass(position) and not isinstance(position, type):
        return dataclasses.asdict(position)
    return position if position is None or isinstance(position, bool | int | float | str) else str(position)


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait({task})


async def _end_of(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end, whoever cancels the waiting: a ``main`` must not run twice at once."""
    task.cancel()
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError
