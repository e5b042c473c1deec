"""Analyzers: they learn from the events that pass, and say from time to time what they have learnt."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._asab import find_pump_service
from .._types import Context, Event
from ..errors import ConfigurationError
from .processor import Processor
from .source import TriggerSource

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class Analyzer(Processor):
    """Lets events pass unchanged and records something of them. Override `evaluate`, and `predicate` and `analyze`.

    What is recorded, in a matrix for example, is evaluated by `analyze`: with ``analyze_on_clock`` in regular
    intervals for as long as the pipeline runs, and otherwise whenever somebody calls it.

    Args:
        app: the application.
        pipeline: the pipeline.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        id: unique within the pipeline.
        config: options.

    Attributes:
        AnalyzeOnClock: the argument.
        Timer: what calls `on_clock_tick`; None without ``analyze_on_clock``.
    """

    AnalyzePeriod = option.seconds(
        60, key="analyze_period", help="How much time passes between two analyses, with ``analyze_on_clock``."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        analyze_on_clock: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            if analyze_on_clock and not self.AnalyzePeriod:
                options.refuse("analyze_period", "is no time that can pass between two analyses")
        self.AnalyzeOnClock = analyze_on_clock
        self.Timer: asab.Timer | None = None
        self._analysis: asyncio.Task[None] | None = None
        self._profiler_key = f"analyzer_{self.Id}"
        pipeline._metrics.add_profiler(self._profiler_key)
        if analyze_on_clock:
            self.Timer = asab.Timer(app, self._on_timer, autorestart=True)
            app.PubSub.subscribe("Application.run!", self.start_timer)
            pipeline.PubSub.subscribe("bspump.pipeline.start!", self.start_timer)
            pipeline.PubSub.subscribe("bspump.pipeline.stop!", self._stop_timer)

    def start_timer(self, event_type: str, *args: Any, **kwargs: Any) -> None:
        """Start the timer, unless it runs. The start of the pipeline does so.

        An analyzer that is inserted into a running pipeline waits for its next start, or for this call.
        """
        if self.Timer is not None and self.AnalyzePeriod and not self.Timer.is_started():
            self.Timer.start(self.AnalyzePeriod)

    def _stop_timer(self, event_type: str, *args: Any, **kwargs: Any) -> None:
        if self.Timer is not None:
            self.Timer.stop()

    async def drain(self) -> None:
        """Let an analysis that is under way come to its end."""
        # One that brings events itself would wait for ever where the intake is paused.
        if self._analysis is not None and not self.Pipeline._intake_pauses:
            await asyncio.wait({self._analysis})

    async def close(self) -> None:
        """Stop the timer, also where the analyzer was removed from a pipeline that goes on."""
        if self.Timer is not None:
            self.Timer.stop()
        if self._analysis is not None:
            self._analysis.cancel()
            await asyncio.wait({self._analysis})

    def analyze(self) -> Awaitable[None] | None:
        """Look through what was recorded. May be a coroutine function in a derived class."""
        return None

    def evaluate(self, context: Context, event: Event) -> None:
        """Record what the event says."""

    def predicate(self, context: Context, event: Event) -> bool:
        """Tell whether the event is to be evaluated; by default every event is."""
        return True

    def process(self, context: Context, event: Event) -> Event:
        """Evaluate the event if `predicate` says so, and return it unchanged."""
        if self.predicate(context, event):
            self.evaluate(context, event)
        return event

    async def on_clock_tick(self) -> None:
        """Analyse, and account for the time it took in the profiler as ``analyzer_<id>``."""
        started = perf_counter()
        try:
            outcome = self.analyze()
            if inspect.isawaitable(outcome):
                await outcome
        finally:
            counter = self.Pipeline.ProfilerCounter[self._profiler_key]
            counter.add("duration", perf_counter() - started)
            counter.add("run", 1)

    async def _on_timer(self) -> None:
        # One analysis at a time, and none of a pipeline that waits for its error to be cleared.
        if self._analysis is not None or self.Pipeline.is_error():
            return
        self._analysis = asyncio.current_task()
        try:
            await self.on_clock_tick()
        except Exception as error:
            self.Pipeline.set_error(None, None, error)
        finally:
            self._analysis = None


class AnalyzingSource(TriggerSource):
    """Emits, in each cycle, what the analysis of a matrix returns; nothing if that is None.

    Args:
        app: the application.
        pipeline: the pipeline.
        matrix_id: the id of a matrix that is registered at the pump service, or the matrix itself.
        id: unique within the pipeline.
        config: options.

    Attributes:
        Matrix: the matrix; None until it is registered.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: Any,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._matrix_id = matrix_id
        self.Matrix: Any = None
        self._locate()

    def _locate(self) -> str:
        service = find_pump_service(self.App)
        if not isinstance(self._matrix_id, str):
            self.Matrix = self._matrix_id
        elif service is not None:
            try:
                self.Matrix = service.locate_matrix(self._matrix_id)
            except KeyError as error:
                return str(error.args[0])
        return ""

    def prepare(self) -> None:
        """Find the matrix."""
        problem = self._locate()
        if not problem and not hasattr(self.Matrix, "analyze"):
            problem = f"'{self._matrix_id}' is of the type {type(self.Matrix).__name__}, which has no analyze()"
        if problem:
            raise ConfigurationError(f"[{self.section}] matrix_id: {problem}")

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Emit the result of ``await matrix.analyze()``."""
        outcome = await self.Matrix.analyze()
        if outcome is not None:
            await self.process(outcome)
