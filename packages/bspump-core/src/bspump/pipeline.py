"""The pipeline: sources, processors by depth, and a sink at the end."""

from __future__ import annotations

import abc
import asyncio
import logging
import threading
from collections.abc import Coroutine, Hashable, Iterator, Mapping, Sequence
from collections.abc import Generator as PythonGenerator
from typing import Any, cast

import asab
import asab.pubsub

from . import _barrier, option
from ._asab import pump_service
from ._chain import Chain, Counts, FailureHandler, Profile
from ._component import Component
from ._dead_letter import DeadLetters
from ._error_state import ErrorState
from ._feeder import Feeder
from ._futures import Futures
from ._life_cycle import LifeCycle
from ._logger import PipelineLogger
from ._metrics import PipelineMetrics
from ._routes import Feeders, Route, RouteTarget
from ._structure import Structure
from ._throttles import Throttles
from ._types import Context, Event
from .abc.connection import Connection
from .abc.processor import ProcessorBase
from .abc.source import Source
from .errors import PipelineError

L = logging.getLogger(__name__)

# How many injections pass before an awaited one lets the event loop run.
_INJECTIONS_PER_TURN = 64
# One injection in so many is timed processor by processor.
_INJECTIONS_PER_PROFILE = 64


class Pipeline(abc.ABC, Component):
    """Processes events: each one goes from a source through the processors into the sink."""

    AsyncConcurencyLimit = option.integer(
        1000,
        minimum=1,
        key="async_concurency_limit",
        help="How many generator tasks run at once before the pipeline is throttled.",
    )
    ResetProfiler = option.boolean(
        True,
        key="reset_profiler",
        help="Whether the profiling counters start anew with each collection of the metrics.",
    )
    # Many a pipeline has a method of that name, as a subscriber of errors.
    on_error_ = option.choice(
        "stop",
        ("stop", "skip", "dead_letter"),
        key="on_error",
        help="What a hard error of an event does. ``stop`` stops the pipeline until the error is cleared, and nothing "
        "behind the last good event is committed; ``skip`` drops the event; ``dead_letter`` hands it to another "
        "pipeline.",
    )
    dead_letter = option.text(
        help="Where to, for ``on_error = dead_letter``: the id of a pipeline or the address of its source."
    )
    stop_timeout = option.seconds(
        30.0, help="How long a graceful stop may take. What is not finished then is not committed and comes again."
    )

    def __init__(self, app: asab.Application, id: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"pipeline:{identifier}", identifier, config)
        with self.options() as options:
            if self.on_error_ == "dead_letter" and not self.dead_letter:
                options.refuse("dead_letter", "is not set, but on_error = dead_letter needs a destination")
        self._thread = threading.current_thread()
        self._counts = Counts()
        self._profile = Profile()
        self.L = PipelineLogger(identifier, self._counts)
        self.PubSub = asab.pubsub.PubSub(app)
        self._metrics = PipelineMetrics(self, self._counts, self._profile, reset_profiler=self.ResetProfiler)
        self._structure = Structure(self)
        self._chains: list[Chain] = []
        self._injection_chain: Chain | None = None
        self._throttles = Throttles()
        self._ancestors: list[Pipeline] = []
        self._feeders = Feeders(self)
        self._routes: list[Route] = []
        self._is_ready = False
        self._ready_event = asyncio.Event()
        self._flow_event = asyncio.Event()
        self._flow_event.set()
        self._intake_pauses = 0
        self._intake_event = asyncio.Event()
        self._intake_event.set()
        self._injections = 0
        self._since_profile = _INJECTIONS_PER_PROFILE - 1
        self._futures = Futures(self, self.AsyncConcurencyLimit)
        self._feeder = Feeder(self)
        self._dead_letters = DeadLetters(self, self.dead_letter)
        self._errors = ErrorState(self, self.on_error_)
        self._stopping_failures: list[tuple[Context, Exception]] = self._errors.stopping_failures
        self._life_cycle = LifeCycle(self, self.stop_timeout)

    # Attributes that the manual names

    @property
    def Sources(self) -> list[Source]:
        """The sources."""
        return self._structure.sources

    @property
    def Processors(self) -> list[list[ProcessorBase]]:
        """The processors by depth; each depth but the last ends with a generator."""
        return self._structure.depths

    @property
    def MetricsService(self) -> Any:
        """The metrics service of the application."""
        return self._metrics.service

    @property
    def MetricsCounter(self) -> Any:
        """The counter ``bspump.pipeline``."""
        return self._metrics.counter

    @property
    def MetricsEPSCounter(self) -> Any:
        """The counter ``bspump.pipeline.eps``."""
        return self._metrics.eps_counter

    @property
    def MetricsGauge(self) -> Any:
        """The gauge ``bspump.pipeline.gauge``."""
        return self._metrics.gauge

    @property
    def MetricsDutyCycle(self) -> Any:
        """The duty cycle ``bspump.pipeline.dutycycle``."""
        return self._metrics.duty_cycle

    @property
    def ProfilerCounter(self) -> dict[str, Any]:
        """The counters ``bspump.pipeline.profiler`` by the id of the processor."""
        return self._metrics.profiler_counters

    @property
    def AsyncFutures(self) -> list[asyncio.Future[Any]]:
        """The tasks that have not ended."""
        return self._futures.tasks()

    # Construction

    def build(
        self,
        source: Source | Sequence[Source],
        *processors: ProcessorBase | Sequence[ProcessorBase],
    ) -> None:
        """Set the source, or the list of sources, and append the processors, of which the last is the sink.

        Processors may be given one by one and as lists.
        """
        self.set_source(source)
        for some in processors:
            several: Sequence[ProcessorBase] = some if isinstance(some, list | tuple) else [cast("ProcessorBase", some)]
            for processor in several:
                self.append_processor(processor)

    def set_source(self, source: Source | Sequence[Source]) -> None:
        """Add a source or a list of sources."""
        self._structure.set_source(source)

    def append_processor(self, processor: ProcessorBase) -> None:
        """Add a processor at the end. A generator ends its depth and opens the next.

        Raises:
            RuntimeError: the pipeline has a sink at its end already.
        """
        self._structure.append(processor)

    def insert_before(self, id: str, processor: ProcessorBase) -> bool:
        """Insert a processor in front of the one with the given id. False if there is none."""
        return self._structure.insert(id, processor, offset=0)

    def insert_after(self, id: str, processor: ProcessorBase) -> bool:
        """Insert a processor behind the one with the given id. False if there is none."""
        return self._structure.insert(id, processor, offset=1)

    def remove_processor(self, processor_id: str) -> None:
        """Remove a processor.

        Raises:
            KeyError: there is no processor with that id.
        """
        self._structure.remove(processor_id)

    def iter_processors(self) -> Iterator[ProcessorBase]:
        """Yield the processors of all depths in their order."""
        return self._structure.iter_processors()

    def locate_source(self, address: str) -> Source | None:
        """Return the source with the given id, or None."""
        return next((source for source in self.Sources if source.Id == address), None)

    def locate_processor(self, processor_id: str) -> ProcessorBase | None:
        """Return the processor with the given id, or None."""
        return next((processor for processor in self.iter_processors() if processor.Id == processor_id), None)

    @staticmethod
    def locate_connection(app: asab.Application, connection_id: str | Connection) -> Connection:
        """Return the connection with the given id; a connection is returned as it is.

        Raises:
            RuntimeError: the application has no pump service.
            KeyError: there is no connection with that id.
        """
        if isinstance(connection_id, Connection):
            return connection_id
        return pump_service(app).locate_connection(connection_id)

    # Errors

    def is_error(self) -> bool:
        """Tell whether a hard error stopped the pipeline."""
        return self._errors.error is not None

    def set_error(self, context: Context | None, event: Event, exc: BaseException | None) -> None:
        """Stop the pipeline with an error, unless `handle_error` calls it soft; with `exc` None, clear the error.

        Once cleared, every acknowledged source of this pipeline, and of those that feed it, goes back to its last
        committed position.
        """
        if exc is None:
            self._errors.clear()
        else:
            self._errors.report(context, event, exc, stage=None)

    def handle_error(self, exception: BaseException, context: Context | None, event: Event) -> bool:
        """Decide about an error. Override it.

        Returns:
            True for a soft error: the event is dropped and counted as a warning. False for a hard error, which the
            option ``on_error`` decides about.
        """
        return False

    def _event_failed(
        self, error: Exception, context: Context, event: Event, processor: ProcessorBase | None, attempts: int = 1
    ) -> bool:
        return self._errors.event_failed(error, context, event, processor, attempts, was_accepted=True)

    def _held_event_failed(
        self, error: Exception, context: Context, event: Event, sink: ProcessorBase, attempts: int
    ) -> bool:
        return self._errors.event_failed(error, context, event, sink, attempts, was_accepted=True, is_held=True)

    def _entering_event_failed(
        self, error: Exception, context: Context, event: Event, stage: ProcessorBase | Source | None
    ) -> bool:
        return self._errors.event_failed(error, context, event, stage, was_accepted=False)

    # Flow control

    def link(self, ancestral_pipeline: Pipeline | str) -> None:
        """Make every throttle of this pipeline hold the ancestral pipeline too.

        Raises:
            ValueError: the ancestral pipeline is linked, directly or not, to this one already.
        """
        ancestor = self._resolve(ancestral_pipeline)
        if ancestor is self or self in ancestor._all_ancestors():
            raise ValueError(f"Pipelines '{self.Id}' and '{ancestor.Id}' would throttle each other for ever")
        if ancestor not in self._ancestors:
            self._ancestors.append(ancestor)
            full = {source for source in self.Sources if isinstance(source, RouteTarget) and source.holds_feeders()}
            for holder in self.get_throttles() | full:
                ancestor._set_throttle(holder, True, way=self)

    def unlink(self, ancestral_pipeline: Pipeline | str) -> None:
        """Undo `link`."""
        ancestor = self._resolve(ancestral_pipeline)
        if ancestor in self._ancestors:
            self._ancestors.remove(ancestor)
            ancestor._throttles.discard_way(self)
            ancestor._evaluate_ready()

    def _all_ancestors(self) -> set[Pipeline]:
        found: set[Pipeline] = set()
        for ancestor in self._ancestors:
            found |= {ancestor} | ancestor._all_ancestors()
        return found

    def _resolve(self, pipeline: Pipeline | str) -> Pipeline:
        if isinstance(pipeline, Pipeline):
            return pipeline
        found = pump_service(self.App).Pipelines.get(pipeline)
        if found is None:
            raise KeyError(f"Cannot find pipeline '{pipeline}' (was it added to the pump service?)")
        return found

    def throttle(self, who: Hashable, enable: bool = True) -> None:
        """Hold the pipeline and its ancestors on behalf of `who`, or let them go. May be called from any thread."""
        if threading.current_thread() is not self._thread:
            self.Loop.call_soon_threadsafe(self._set_throttle, who, enable, self)
        else:
            self._set_throttle(who, enable, way=self)

    def _set_throttle(self, who: Hashable, enable: bool, way: Hashable) -> None:
        changed = self._throttles.add(who, way) if enable else self._throttles.discard(who, way)
        if changed:
            self._evaluate_ready()
            self._throttle_ancestors(who, enable)

    def _throttle_ancestors(self, who: Hashable, enable: bool) -> None:
        for ancestor in self._ancestors:
            ancestor._set_throttle(who, enable, way=self)

    def get_throttles(self) -> set[Hashable]:
        """Return who holds the pipeline."""
        return self._throttles.holders()

    async def ready(self) -> bool:
        """Wait until the pipeline takes events. Returns True.

        Raises:
            PipelineError: the pipeline was stopped for good.
        """
        while not self._is_ready:
            if self._life_cycle.has_stopped:
                raise PipelineError(f"Pipeline '{self.Id}' was stopped and takes no events")
            await self._ready_event.wait()
        return True

    def is_ready(self) -> bool:
        """Tell whether the pipeline takes events: it runs, has no error, and nobody throttles it."""
        return self._is_ready

    def _evaluate_ready(self) -> None:
        if self._throttles.are_only(self._futures):
            self._flow_event.set()
        else:
            self._flow_event.clear()
        is_ready = self._life_cycle.takes_events and self._errors.error is None and not self._throttles
        if is_ready == self._is_ready:
            return
        self._is_ready = is_ready
        self._metrics.duty_cycle.set("ready", is_ready)
        if is_ready:
            self._ready_event.set()
        else:
            self._ready_event.clear()
        self.publish("bspump.pipeline.ready!" if is_ready else "bspump.pipeline.not_ready!")
        # A subscriber may have changed it again.
        self._feeders.throttle(self, not self._is_ready)

    def _may_enter(self, source: Source | None) -> bool:
        return self._is_ready and (not self._intake_pauses or (source is not None and source.is_internal))

    async def _wait_for_entry(self, source: Source | None) -> None:
        while not self._may_enter(source):
            # Sources are cancelled by a stop; whoever else brings events has to be told.
            if source is None and self._life_cycle.is_stopping:
                raise PipelineError(f"Pipeline '{self.Id}' is stopping and takes no more events")
            await (self._intake_event if self._is_ready else self._ready_event).wait()

    def _wake_waiters(self) -> None:
        """Let those who wait for the pipeline look at its state again."""
        if not self._is_ready:
            self._ready_event.set()
            self._ready_event.clear()

    def _pause_intake(self) -> None:
        self._intake_pauses += 1
        self._intake_event.clear()

    def _resume_intake(self) -> None:
        self._intake_pauses -= 1
        if not self._intake_pauses:
            self._intake_event.set()

    # Events

    async def process(self, event: Event, context: Context | None = None) -> None:
        """Let an event in at depth 0, waiting until the pipeline is ready. Raises as `Source.process` does."""
        await self._feeder.process(event, context, None)

    def inject(self, context: Context | None, event: Event, depth: int) -> Injected:
        """Let an event in at a depth, without waiting. Meant for generators.

        Returns:
            something that may be awaited, to wait while what follows cannot take more.

        Raises:
            Exception: what a processor raised, if it is a hard error and the pipeline stops at it.
        """
        chain = self._chain(depth) if depth else self._chain_of_injections()
        self._since_profile += 1
        try:
            if self._since_profile < _INJECTIONS_PER_PROFILE:
                chain.single({} if context is None else context.copy(), event)
            else:
                self._since_profile = 0
                chain.single_profiled({} if context is None else context.copy(), event)
        except Exception as error:
            self._errors.goes_back(error)
            raise
        return Injected(self)

    async def _after_injection(self) -> None:
        self._injections += 1
        if self._injections % _INJECTIONS_PER_TURN == 0:
            await asyncio.sleep(0)
        while not self._flow_event.is_set():
            await self._flow_event.wait()

    def _entered_total(self) -> int:
        return self._counts.entered

    def _taken_over_total(self) -> int:
        queued = sum(source.taken_over_total for source in self.Sources if isinstance(source, RouteTarget))
        return self._counts.entered + queued

    def _chain(self, depth: int) -> Chain:
        chains = self._chains or self._build_chains()
        if depth >= len(chains):
            raise ValueError(f"Pipeline '{self.Id}' has no depth {depth}, only 0 to {len(chains) - 1}")
        return chains[depth]

    def _build_chains(self) -> list[Chain]:
        self._injection_chain = None
        self._chains = [
            self._build_chain(depth, self._entering_event_failed if depth == 0 else self._event_failed)
            for depth in range(len(self.Processors))
        ]
        return self._chains

    def _build_chain(self, depth: int, fail: FailureHandler) -> Chain:
        return Chain(
            f"{self.Id}:{depth}",
            self.Processors[depth],
            self._counts,
            self._profile,
            fail,
            is_last_depth=depth == len(self.Processors) - 1,
        )

    def _chain_of_injections(self) -> Chain:
        """Return the chain of depth 0 for events that are not in the hands of a source."""
        if self._injection_chain is None:
            self._injection_chain = self._build_chain(0, self._event_failed)
        return self._injection_chain

    def ensure_future(self, coro: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Run a coroutine on behalf of the pipeline: its end is awaited by checkpoints, its exception is an error."""
        return self._futures.ensure(coro)

    # Delivery

    async def checkpoint(self) -> None:
        """Return when everything that the pipeline accepted before the call is durable at its destination.

        Raises:
            PipelineError: that cannot be had, since this pipeline, or one that it feeds, is stopped.
        """
        await _barrier.checkpoint(self)

    # Life

    def start(self) -> None:
        """Start the sources. Where components have something to open first, this goes on after the call."""
        self._life_cycle.start()

    async def stop(self) -> None:
        """Stop gracefully: end the intake, make durable and commit what was accepted, close everything."""
        await self._life_cycle.stop()

    # Describing the pipeline

    def create_eps_counter(self) -> Any:
        """Create a counter of events per second that is tagged with the pipeline."""
        return self._metrics.create_eps_counter()

    def publish(self, message: str) -> None:
        """Publish a message with the argument ``pipeline`` on the pipeline's `PubSub`."""
        self.PubSub.publish(message, pipeline=self)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the pipeline for the REST interface."""
        from ._describe import describe_pipeline

        return describe_pipeline(self)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}('{self.Id}')"


class Injected:
    """What `Pipeline.inject` returns. Need not be awaited."""

    __slots__ = ("_pipeline",)

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __await__(self) -> PythonGenerator[Any, None, None]:
        return self._pipeline._after_injection().__await__()
