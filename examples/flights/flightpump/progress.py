"""How far a run is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import abc
import time
from types import TracebackType
from typing import Self

import rich.console
import rich.progress
import rich.text

_SECONDS_BETWEEN_LINES = 3.0


class Progress(abc.ABC):
    """Shows progress within a ``with`` block.

    Args:
        console: where to show it.
        total: the number of events when all is done.
        done: the number of events that an earlier run has done.
    """

    def __init__(self, console: rich.console.Console, total: int, done: int) -> None:
        self.console = console
        self.total = total
        self.done = done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abc.abstractmethod
    def show(self, done: int) -> None:
        """Show that `done` events are done. May be called at any rate."""


class Bar(Progress):
    """A bar with events per second and the time left. What is logged meanwhile appears above it."""

    def __init__(self, console: rich.console.Console, total: int, done: int) -> None:
        super().__init__(console, total, done)
        self._progress = rich.progress.Progress(
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.MofNCompleteColumn(),
            _EventsPerSecond(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("left"),
            console=console,
        )
        self._task = self._progress.add_task("", total=total, completed=done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int) -> None:
        """Move the bar on."""
        self._progress.update(self._task, completed=done)


class _EventsPerSecond(rich.progress.ProgressColumn):
    def render(self, task: rich.progress.Task) -> rich.text.Text:
        speed = task.finished_speed or task.speed
        return rich.text.Text("- events/s" if speed is None else f"{speed:,.0f} events/s", style="progress.data.speed")


class Lines(Progress):
    """A line of text every few seconds."""

    def __init__(self, console: rich.console.Console, total: int, done: int) -> None:
        super().__init__(console, total, done)
        self._began = self._shown = time.monotonic()

    def show(self, done: int) -> None:
        """Write a line if the last one was long enough ago."""
        now = time.monotonic()
        if now - self._shown < _SECONDS_BETWEEN_LINES:
            return
        self._shown = now
        self.console.print(describe(done, self.done, self.total, now - self._began), highlight=False, soft_wrap=True)


def describe(done: int, done_before: int, total: int, seconds: float) -> str:
    """Return a line about the progress after `seconds` that began with `done_before` events."""
    speed = (done - done_before) / seconds
    share = done / total if total else 1.0
    left = f"{(total - done) / speed:.0f} s left" if speed > 0 else "time left unknown"
    return f"{done:,} of {total:,} events ({share:.0%}), {speed:,.0f} events/s, {left}"


def create_progress(console: rich.console.Console, total: int, done: int) -> Progress:
    """Return the progress that fits the console."""
    return (Bar if console.is_terminal else Lines)(console, total, done)
