"""The application: its command line, its pipelines and its end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import rich.console

import bspump

from . import dataset
from .arguments import add_arguments
from .carriers import to_csv
from .files import write_atomically
from .lookups import Airlines, Airports
from .pipelines import CancelledPipeline, CarriersPipeline, DeadLetterPipeline, FlightsPipeline
from .progress import create_progress
from .report import count_arrivals, print_report
from .run import FolderInUseError, Run

_PROGRESS_INTERVAL = 0.2


class FlightsApplication(bspump.BSPumpApplication):
    """Takes the flights of one file through the pipelines, once."""

    Description = "The flights that left New York in 2013: enriched, sorted, and counted for each carrier."

    def __init__(self, args: Sequence[str] | None = None) -> None:
        super().__init__(args)
        self.console = rich.console.Console(highlight=False, soft_wrap=True)
        self.job = Run(
            dataset.whole_year() if self.Args.full else self.Args.input, self.Args.out, fresh=self.Args.fresh
        )
        self.console.print(self.job.announcement)
        airlines, airports = Airlines(self), Airports(self)
        self.PumpService.add_lookups(airlines, airports)
        self.flights = FlightsPipeline(self, self.job, airlines, airports)
        self.carriers = CarriersPipeline(self, self.job)
        self.PumpService.add_pipelines(
            self.flights, CancelledPipeline(self, self.job), self.carriers, DeadLetterPipeline(self, self.job)
        )
        self.has_read_everything = False
        self.began = 0.0
        self.lines_before = 0
        self._stops = asyncio.Event()
        self.PubSub.subscribe("Application.stop!", self._on_stop)
        self.flights.PubSub.subscribe("bspump.pipeline.cycle_begin!", self._on_begin_of_input)
        self.flights.PubSub.subscribe("bspump.pipeline.cycle_end!", self._on_end_of_input)
        for pipeline in self.PumpService.Pipelines.values():
            pipeline.PubSub.subscribe("bspump.pipeline.error!", self._on_error)

    def create_argument_parser(self, *args: Any, **kwargs: Any) -> argparse.ArgumentParser:
        """Return the parser of the command line."""
        parser = super().create_argument_parser(*args, **kwargs)
        add_arguments(parser)
        return parser

    def lines_done(self) -> int:
        """Return how many lines of the input are read, or were counted by the run that this one goes on with."""
        position = self.flights.source.position
        # Both numbers count the header too.
        return max(1, position.line if position is not None else 0, self.carriers.statistics.last_line) - 1

    def _on_begin_of_input(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        self.began = time.perf_counter()
        self.lines_before = self.lines_done()

    def _on_end_of_input(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        self.has_read_everything = True

    def _on_error(self, message_type: str, pipeline: bspump.Pipeline) -> None:
        # A server would wait for somebody to clear the error; a job says what is wrong and ends.
        self.stop(exit_code=1)

    def _on_stop(self, message_type: str, counter: int) -> None:
        self._stops.set()

    async def main(self) -> None:
        """Show the progress until the application stops."""
        await super().main()
        progress = create_progress(self.console, self.job.lines, self.lines_done())
        with progress, self._log_above_progress():
            while not self._stops.is_set():
                progress.show(self.lines_done())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stops.wait(), _PROGRESS_INTERVAL)
            progress.show(self.lines_done())

    @contextlib.contextmanager
    def _log_above_progress(self) -> Iterator[None]:
        """Let the log go to `sys.stderr` as it is now: the bar has put something there that keeps out of its way."""
        handler = self.Logging.ConsoleHandler
        if handler is None:
            yield
            return
        before = handler.setStream(sys.stderr)
        try:
            yield
        finally:
            handler.setStream(before or sys.__stderr__)


def main(args: Sequence[str] | None = None) -> int:
    """Run the example and report. Returns the exit code: 0 if everything that went in has come out."""
    try:
        app = FlightsApplication(args)
    except (dataset.DatasetError, FolderInUseError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename!r} cannot be used: {error.strerror}")
    exit_code = int(app.run())
    seconds = time.perf_counter() - app.began
    if exit_code or not app.has_read_everything:
        app.console.print("The run has ended before the end of its input; the same command goes on with it.")
        return exit_code or 1
    rows = app.carriers.statistics.table.rows()
    write_atomically(app.job.outputs.carriers, to_csv(rows))
    arrivals = count_arrivals(app.job.outputs, app.job.lines, rows)
    app.job.finish()
    print_report(app.console, arrivals, rows, app.job.outputs)
    events = app.job.lines - app.lines_before
    app.console.print(f"{events:,} events in {seconds:.1f} s: {events / seconds:,.0f} events/s")
    return 1 if arrivals.problems() else 0


def _refuse(problem: str) -> int:
    print(f"flights.py: error: {problem}", file=sys.stderr)
    return 2
