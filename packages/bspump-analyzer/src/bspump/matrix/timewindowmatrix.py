"""A matrix over time: the columns are the latest intervals, and move on with it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

import asab
import asab.metrics
import numpy as np
import numpy.typing as npt

from bspump._asab import service_of_module

from ._rows import Field
from ._types import Cells
from .namedmatrix import NamedMatrix

L = logging.getLogger(__name__)

# The window moves on as soon as the time is nearer to its edge than this share of a column.
_HEADROOM = 0.25

_TIMES = np.dtype([("origin", "f8"), ("advanced", "i8"), ("base", "i8")])


class WarmingUpCount(np.ndarray[tuple[int], np.dtype[np.int64]]):
    """How many columns each row still has from before it was opened. A plain array of numbers."""

    @property
    def WUC(self) -> WarmingUpCount:
        """The same; some programs look for the array here."""
        return self


class TimeConfig:
    """The times of a window, in seconds since the epoch."""

    def __init__(self, start: float, resolution: float, columns: int) -> None:
        self._start = start
        self._resolution = resolution
        self._span = resolution * columns

    def get_start(self) -> float:
        """Return the time behind the newest column: the first that is too early for the window."""
        return self._start

    def get_end(self) -> float:
        """Return the time at which the oldest column begins."""
        return self._start - self._span

    def get_resolution(self) -> float:
        """Return how many seconds a column stands for."""
        return self._resolution


class TimeWindowMatrix(NamedMatrix):
    """A `NamedMatrix` whose columns are intervals of time, the newest one last.

    The window reaches from ``TimeConfig.get_end()`` to before ``TimeConfig.get_start()`` and only moves forward: by
    the clock, or when `advance` is called with the time of an event. The oldest columns leave, and new ones come in
    as zeros. A clock that goes back leaves it where it is.

    Args:
        app: the application.
        dtype: the type of a cell, as in `Matrix`.
        start_time: the window begins with this time in its newest column; the present time if None. A persistent
            matrix that is there already goes on with its own time.
        resolution: how many seconds a column stands for.
        columns: the number of columns.
        clock_driven: whether the window follows the clock.
        persistent: whether the matrix is kept in files.
        id: the name of the matrix.
        config: options, those of `Matrix`.

    Attributes:
        TimeConfig: the times of the window.
        WarmingUpCount: for each row, how many of its columns are from before it was opened; 0: none.
        Resolution, Columns, ClockDriven: the arguments.
        EarlyLateEventCounter: the metric of that name, with the values ``events.early`` and ``events.late``.
    """

    _kind = "TimeWindowMatrix"

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        start_time: float | None = None,
        resolution: float = 60,
        columns: int = 15,
        clock_driven: bool = False,
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if not (math.isfinite(resolution) and resolution > 0):
            raise ValueError(f"A time window needs a resolution above 0 seconds, not {resolution!r}")
        if columns < 1:
            raise ValueError(f"A time window needs at least one column, not {columns!r}")
        self.Resolution = resolution
        self.Columns = columns
        self.ClockDriven = clock_driven
        self._start_time = _checked(start_time if start_time is not None else float(app.time()))
        self._warming_up = np.zeros(0, dtype=np.int64)
        self._early = self._late = 0
        super().__init__(app, dtype, persistent, id=id, config=config)
        self.EarlyLateEventCounter = service_of_module(app, asab.metrics.Module, "asab.MetricsService").create_counter(
            "EarlyLateEventCounter", tags={"matrix": self.Id}, init_values={"events.early": 0, "events.late": 0}
        )
        self._timer: asyncio.TimerHandle | None = None
        if clock_driven:
            self._timer = self.Loop.call_later(self.Resolution * _HEADROOM, self._on_clock_tick)
            app.PubSub.subscribe("Application.exit!", self._stop_clock)

    # Where the cells are: in twice the columns, of which a window is shown that moves to the right

    def build_shape(self, rows: int = 0) -> tuple[int, ...]:
        """Return the shape of `Array` with so many rows."""
        return (rows, self.Columns)

    def _stored_shape(self) -> tuple[int, ...]:
        return (2 * self.Columns,)

    def _fields(self) -> dict[str, Field]:
        return {**super()._fields(), "warming_up_count": Field(np.dtype(np.int64))}

    def _layout(self) -> dict[str, Any]:
        return {**super()._layout(), "columns": self.Columns, "resolution": float(self.Resolution)}

    def _header(self) -> Cells:
        # One number of it changes when the window moves, so a move either is there or is not.
        record = np.zeros(1, dtype=_TIMES)
        number = math.floor(self._start_time / self.Resolution) + 1
        # Where the resolution is a fraction, the product may be rounded down to the very time.
        while number * self.Resolution <= self._start_time:
            number += 1
        record["origin"] = number * self.Resolution
        return record

    @property
    def _offset(self) -> int:
        times = self._rows.header
        return int(times["advanced"][0] - times["base"][0])

    def _shown(self, cells: Cells) -> Cells:
        return cells[:, self._offset : self._offset + self.Columns]

    def _refresh(self) -> None:
        super()._refresh()
        times = self._rows.header
        self._start = float(times["origin"][0] + times["advanced"][0] * self.Resolution)
        self.TimeConfig = TimeConfig(self._start, self.Resolution, self.Columns)
        if len(self._warming_up) != self._rows.capacity:
            self._count_warming_up()
        self.WarmingUpCount = self._warming_up[: self._row_count].view(WarmingUpCount)

    def _count_warming_up(self) -> None:
        warm_at = self._rows.arrays["warming_up_count"]
        self._warming_up = np.clip(warm_at - self._rows.header["advanced"][0], 0, self.Columns)

    def _restore(self) -> None:
        super()._restore()
        self._count_warming_up()
        self._refresh()

    def zeros(self, rows: int = 1) -> None:
        """Begin anew with so many rows of zeros, all of them closed. The window stays where it is."""
        self._warming_up = np.zeros(0, dtype=np.int64)
        super().zeros(rows)

    def _keep(self, rows: npt.NDArray[np.intp]) -> None:
        super()._keep(rows)
        self._count_warming_up()

    def _prepare_row(self) -> int:
        row = super()._prepare_row()
        self._rows.arrays["warming_up_count"][row] = self._rows.header["advanced"][0] + self.Columns
        self._warming_up[row] = self.Columns
        return row

    # Time

    def get_column(self, event_timestamp: float) -> int | None:
        """Return the column of a time, in seconds since the epoch. None, and counted, if it is not in the window.

        Raises:
            ValueError: it is no time, but NaN.
        """
        start = self._start
        column = math.floor((event_timestamp - start) / self.Resolution) if abs(event_timestamp) < math.inf else None
        if column is not None and -self.Columns <= column < 0:
            return self.Columns + column
        if event_timestamp >= start:
            self._early += 1
        elif event_timestamp < start:
            self._late += 1
        else:
            raise ValueError(f"Matrix '{self.Id}' has no column for the time {event_timestamp!r}")
        return None

    def advance(self, target_ts: float) -> int:
        """Move the window on until a time, in seconds since the epoch, is a quarter of a column or more from its edge.

        Returns:
            how many columns were added; 0 if the time is in the window, or before it.

        Raises:
            ValueError: it is no time, but NaN or infinite.
        """
        distance = (self._start - _checked(target_ts)) / self.Resolution
        if distance > _HEADROOM:
            return 0
        count = math.floor(_HEADROOM - distance) + 1
        self._move(count)
        return count

    def add_column(self) -> None:
        """Move the window on by one column."""
        self._move(1)

    def _move(self, count: int) -> None:
        times, offset = self._rows.header, self._offset
        if offset + count <= self.Columns:
            # What is beyond the window is prepared first; the one number then makes it visible.
            entering = slice(offset + self.Columns, offset + self.Columns + count)
            self._rows.arrays["array"][: self._row_count, entering] = np.zeros((), dtype=self.DType)
            times["advanced"] += count
        else:
            self._move_to_the_left(count)
        self._count_warming_up()
        self._refresh()

    def _move_to_the_left(self, count: int) -> None:
        """Move the window on where it has come to the right edge: what stays is copied to the left one."""
        times = self._rows.header.copy()
        times["advanced"] += count
        times["base"] = times["advanced"]
        cells = np.zeros((self._row_count, *self._stored_shape()), dtype=self.DType)
        staying = max(0, self.Columns - count)
        cells[:, :staying] = self.Array[:, self.Columns - staying :]
        arrays = {name: array[: self._row_count] for name, array in self._rows.arrays.items()}
        self._rows.replace(self._row_count, {**arrays, "array": cells}, header=times)

    def _on_clock_tick(self) -> None:
        try:
            self.advance(self.time())
        except OSError as error:
            L.error("The window of matrix '%s' cannot move on, and is tried again: %s", self.Id, error)
        finally:
            self._timer = self.Loop.call_later(self.Resolution * _HEADROOM, self._on_clock_tick)

    def _stop_clock(self, message_type: str = "") -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Let go of the files of a persistent matrix. From then on it can only be read, and the window stays."""
        self._stop_clock()
        super().close()

    def _on_metrics_flush(self, message_type: str) -> None:
        super()._on_metrics_flush(message_type)
        self.EarlyLateEventCounter.add("events.early", self._early)
        self.EarlyLateEventCounter.add("events.late", self._late)
        self._early = self._late = 0


class PersistentTimeWindowMatrix(TimeWindowMatrix):
    """A `TimeWindowMatrix` that is there again when the program is started again, see `PersistentMatrix`."""

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        start_time: float | None = None,
        resolution: float = 60,
        columns: int = 15,
        clock_driven: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            app, dtype, start_time, resolution, columns, clock_driven, persistent=True, id=id, config=config
        )


def _checked(timestamp: float) -> float:
    if not math.isfinite(timestamp):
        raise ValueError(f"{timestamp!r} is no time in seconds since the epoch")
    return timestamp
