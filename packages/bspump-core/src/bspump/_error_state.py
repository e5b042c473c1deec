"""What a pipeline does about errors."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, NamedTuple

from ._asab import find_pump_service
from ._types import Context, Event
from .errors import BSPumpError, PipelineError
from .plugins import get_registry

if TYPE_CHECKING:
    from .abc.processor import ProcessorBase
    from .abc.source import Source
    from .pipeline import Pipeline

_EVENT_TEXT = 200
# Set-aside events are logged one by one up to this number, and then each time their number has doubled.
_LOGGED_ONE_BY_ONE = 10
# The attribute of an exception that is raised back to where its event came from
_DEALT_WITH = "_bspump_dealt_with"
# A source whose failure is called soft starts again after this many seconds.
_RESTART_DELAY = 1.0


class HardError(NamedTuple):
    """The error that stopped a pipeline."""

    context: Context | None
    event: Event
    exception: BaseException
    time: float
    message: str


class ErrorState:
    """The error of one pipeline, if it has one, and who waits for what it makes impossible."""

    def __init__(self, pipeline: Pipeline, on_error: str) -> None:
        self._pipeline = pipeline
        self._on_error = on_error
        self._set_aside = 0
        self._cleared_event = asyncio.Event()
        self._cleared_event.set()
        self._failure_futures: dict[asyncio.Future[None], bool] = {}
        self._has_lost = False
        self.error: HardError | None = None
        self.stopping_failures: list[tuple[Context, Exception]] = []

    # Errors come in

    def event_failed(
        self,
        error: Exception,
        context: Context,
        event: Event,
        stage_of: ProcessorBase | Source | None,
        attempts: int = 1,
        *,
        was_accepted: bool,
        is_held: bool = False,
    ) -> bool:
        """Decide about an event that could not be processed. Returns whether the pipeline stops.

        An event that `was_accepted` had left its source's hands. If the pipeline stops at it, no checkpoint can be had
        until its source has gone back, unless the processor holds it to try again. An event that was not accepted is
        still with its source, and what came before can be committed.
        """
        if not self.comes_back(error):
            if self._is_soft(error, context, event):
                return False
            stage = stage_of.locate_address() if stage_of is not None else self._pipeline.Id
            obstacle = None
            if self._on_error != "stop":
                obstacle = self._set_aside_event(error, context, event, stage, attempts)
                if obstacle is None:
                    return False
            self._stop(context, event, obstacle or error, stage, has_lost=was_accepted and not is_held)
        if not was_accepted:
            self.stopping_failures.append((context, error))
        return True

    def _set_aside_event(
        self, error: Exception, context: Context, event: Event, stage: str, attempts: int
    ) -> Exception | None:
        """Skip an event, or send it to the dead letters. Returns what prevents that, if anything."""
        if self._on_error == "dead_letter":
            try:
                self._pipeline._dead_letters.put(error, context, event, stage, attempts)
            except Exception as obstacle:
                obstacle.add_note(f"It prevented a dead letter about: {_in_words(error)}")
                return obstacle
        self._pipeline._counts.errors += 1
        self._log_set_aside(error, event, stage)
        return None

    def goes_back(self, error: Exception) -> None:
        """Note that an exception which was dealt with here is raised into the code that brought the event."""
        vars(error)[_DEALT_WITH] = self._pipeline
        self.stopping_failures.clear()

    def comes_back(self, error: Exception) -> bool:
        """Tell whether an exception comes out of the code that it was raised into. It may be cleared by now."""
        if vars(error).get(_DEALT_WITH) is not self._pipeline:
            return False
        del vars(error)[_DEALT_WITH]
        return True

    def source_failed(self, source: Source, error: Exception) -> None:
        """Take note that a source has ended with an exception."""
        if self.comes_back(error):
            if self.error is None:
                self._pipeline._life_cycle.recover(every_source=False)
            return
        if self.error is not None and isinstance(error, PipelineError):
            return
        if self._is_soft(error, None, None):
            source.Loop.call_later(_RESTART_DELAY, source.restart, source.Loop)
            return
        self._stop(None, None, error, source.locate_address(), has_lost=False)

    def open_failed(self, component: ProcessorBase | Source, error: Exception) -> None:
        """Take note that a component cannot be opened. There is no soft error here: nothing could go on."""
        self._stop(None, None, error, component.locate_address(), has_lost=False)

    def checkpoint_failed(self, processor: ProcessorBase, error: Exception) -> PipelineError:
        """Stop, since a processor cannot make durable what it took. Returns the error of the checkpoint."""
        self._stop(None, None, error, processor.locate_address(), has_lost=True)
        return PipelineError(f"{processor!r} could not make everything durable: {_in_words(error)}")

    def report(self, context: Context | None, event: Event, error: BaseException, stage: str | None) -> None:
        """Stop the pipeline unless the error is soft."""
        if not self._is_soft(error, context, event):
            self._stop(context, event, error, stage, has_lost=True)

    def _is_soft(self, error: BaseException, context: Context | None, event: Event) -> bool:
        pipeline = self._pipeline
        try:
            is_soft = pipeline.handle_error(error, context, event)
        except Exception as failure:
            pipeline.L.report(logging.ERROR, f"Pipeline '{pipeline.Id}': handle_error() itself failed", failure)
            return False
        if is_soft:
            pipeline._counts.warnings += 1
            pipeline.publish("bspump.pipeline.warning!")
        return is_soft

    def _stop(
        self, context: Context | None, event: Event, error: BaseException, stage: str | None, *, has_lost: bool
    ) -> None:
        pipeline = self._pipeline
        pipeline._counts.errors += 1
        where = f" at {stage}" if stage is not None else ""
        what = f", event {_shortened(event)}" if event is not None else ""
        message = f"Pipeline '{pipeline.Id}' stopped{where}: {_in_words(error)}{what}"
        self.error = HardError(context, event, error, pipeline.time(), message)
        # These say it all in a sentence: a traceback would only show how an event goes through the pump.
        is_told = isinstance(error, (BSPumpError, json.JSONDecodeError, UnicodeError))
        pipeline.L.report(logging.ERROR, message, None if is_told else error)
        self._cleared_event.clear()
        self._has_lost = self._has_lost or has_lost
        self._fail_futures(message, of_any_error=has_lost)
        pipeline._evaluate_ready()
        pipeline.publish("bspump.pipeline.error!")
        service = find_pump_service(pipeline.App)
        if service is not None:
            service.pipeline_failed(pipeline)
        get_registry().call("bspump_pipeline_failed", pipeline=pipeline, error=error)

    def _log_set_aside(self, error: Exception, event: Event, stage: str) -> None:
        self._set_aside += 1
        count = self._set_aside
        if count > _LOGGED_ONE_BY_ONE and count & (count - 1):
            return
        pipeline = self._pipeline
        fate = "skipped" if self._on_error == "skip" else f"sent to '{pipeline._dead_letters.address}'"
        pipeline.L.report(
            logging.WARNING,
            f"Pipeline '{pipeline.Id}': event {fate} at {stage}: {_in_words(error)}, event {_shortened(event)} "
            f"({count} so far{', from here on not every one is logged' if count == _LOGGED_ONE_BY_ONE else ''})",
        )

    # Checkpoints that an error makes impossible

    def failure_future(self, *, of_any_error: bool = False) -> asyncio.Future[None]:
        """Return a future that fails when an error has lost an event, or at any error; it never has a result."""
        future: asyncio.Future[None] = self._pipeline.Loop.create_future()
        if self.error is not None and (of_any_error or self._has_lost):
            future.set_exception(PipelineError(self.error.message))
        elif not self._pipeline._life_cycle.is_running:
            future.set_exception(
                PipelineError(f"Pipeline '{self._pipeline.Id}' does not run, so nothing in it can become durable")
            )
        else:
            self._failure_futures[future] = of_any_error
        return future

    def forget_failure_future(self, future: asyncio.Future[None]) -> None:
        """Let go of a future that nobody waits for any more."""
        self._failure_futures.pop(future, None)
        if future.done():
            future.exception()  # seen, or of no interest any more
        else:
            future.cancel()

    def ended(self) -> None:
        """Let everybody who still waits for a checkpoint know that the pipeline has ended."""
        self._fail_futures(f"Pipeline '{self._pipeline.Id}' was stopped", of_any_error=True)

    def _fail_futures(self, message: str, *, of_any_error: bool) -> None:
        for future, fails_always in list(self._failure_futures.items()):
            if (fails_always or of_any_error) and not future.done():
                future.set_exception(PipelineError(message))

    # Errors go out

    def reset(self) -> None:
        """Forget the error of an earlier life."""
        self.error = None
        self._has_lost = False
        self._cleared_event.set()

    async def cleared(self) -> None:
        """Wait until there is no error."""
        while self.error is not None:
            await self._cleared_event.wait()

    def clear(self) -> None:
        """Clear the error.

        Sources that failed go on from their last committed position; if an accepted event was lost, so does every
        source of this pipeline and of those that feed it.
        """
        if self.error is None:
            return
        has_lost, self._has_lost = self._has_lost, False
        self.error = None
        self._cleared_event.set()
        pipeline = self._pipeline
        concerned: list[Pipeline] = [pipeline]
        if has_lost:
            for found in concerned:
                concerned.extend(feeder for feeder in found._feeders if feeder not in concerned)
        for found in concerned:
            found._life_cycle.recover(every_source=has_lost)
        pipeline.publish("bspump.pipeline.clear_error!")
        pipeline._evaluate_ready()


def _in_words(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shortened(event: Event) -> str:
    try:
        text = repr(event)
    except Exception as error:
        # It is the event's own method, and the event may be in here for just that reason.
        text = f"<{type(event).__name__}, of which repr() raises {type(error).__name__}>"
    return text if len(text) <= _EVENT_TEXT else text[: _EVENT_TEXT - 1] + "…"
