"""Raising an alarm when numbers leave their bounds."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import numpy as np
import numpy.typing as npt

from bspump import Context, Event, option
from bspump.common._expect import wrong_type
from bspump.errors import ProcessingError
from bspump.matrix.matrix import Matrix

from .timewindowanalyzer import TimeWindowAnalyzer

if TYPE_CHECKING:
    from bspump import Pipeline

L = logging.getLogger(__name__)

_LARGEST = sys.float_info.max


class ThresholdAnalyzer(TimeWindowAnalyzer):
    """Adds up a value by name and interval, and calls `alarm` where it is out of bounds in several intervals.

    Rows that are still warming up are not looked at, nor, for the lower bound, the newest column, which is not
    complete. The times of the events move the window on, but never beyond the clock; an event from the future is
    counted as early. Without a lower bound, the rows of names that no longer occur are closed.

    Arguments and attributes are those of `TimeWindowAnalyzer`; ``analyze_period`` is 300 seconds unless it is set.
    """

    # The bounds as text: there is no infinity in JSON.
    ConfigDefaults: dict[str, Any] = {"analyze_period": 300, "lower_bound": "-inf", "upper_bound": "inf"}

    EventAttribute = option.text(key="event_attribute", help="The key of an event that has the name of its row.")
    TimestampAttr = option.text(
        "@timestamp",
        key="timestamp_attr",
        help="The key of an event that has its time, in seconds since the epoch. Events without it happen now.",
    )
    ValueAttribute = option.text(
        key="value_attribute",
        help="The key of an event that has the value to be added; each event counts 1 if empty.",
    )
    Lower = option.number(-math.inf, key="lower_bound", help="The lowest value that is allowed.")
    Upper = option.number(math.inf, key="upper_bound", help="The highest value that is allowed.")
    # The alias is what used to be read, though the key was documented.
    AnomalyOccurrence = option.integer(
        1,
        minimum=1,
        key="anomaly_occurrence",
        aliases=("symptom_occurrence",),
        help="In how many intervals of the window the value is out of bounds before that is an alarm.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        matrix_id: str | Matrix | None = None,
        dtype: npt.DTypeLike = "float_",
        columns: int = 15,
        analyze_on_clock: bool = False,
        resolution: float = 60,
        start_time: float | None = None,
        clock_driven: bool = False,
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            app,
            pipeline,
            matrix_id,
            dtype,
            columns,
            analyze_on_clock,
            resolution,
            start_time,
            clock_driven,
            persistent,
            id=id,
            config=config,
        )
        with self.options() as options:
            if not self.EventAttribute:
                options.refuse("event_attribute", "names no key of an event, but rows need names")
            if self.Lower > self.Upper:
                options.refuse("lower_bound", f"is above upper_bound, which is {self.Upper:g}")
            if self.Lower == -math.inf and self.Upper == math.inf:
                options.refuse("upper_bound", "bounds nothing, nor does lower_bound; set one of them")
        if self.TimeWindow.DType.names:
            self._refuse_fields()

    def _refuse_fields(self) -> None:
        with self.options() as options:
            options.problems.append(f"[{self.section}] dtype: a threshold needs plain numbers, not fields")

    def predicate(self, context: Context, event: Event) -> bool:
        """Tell whether the event has a name."""
        if type(event) is not dict and not isinstance(event, Mapping):
            raise wrong_type(self, event, "a dictionary")
        return self.EventAttribute in event

    def evaluate(self, context: Context, event: Event) -> None:
        """Add the value of the event to its row and column.

        Raises:
            ProcessingError: the time or the value is no number, or the name cannot be one of a row.
        """
        window, now = self.TimeWindow, self.time()
        timestamp = self._number(event, self.TimestampAttr) if self.TimestampAttr in event else now
        value = self._number(event, self.ValueAttribute) if self.ValueAttribute else 1
        name = self._name(event)
        window.advance(min(timestamp, now))
        column = window.get_column(timestamp)
        if column is not None:
            row = window.add_row(name)
            window.Array[row, column] += value

    def _name(self, event: Mapping[str, Any]) -> Any:
        name = event[self.EventAttribute]
        try:
            hash(name)
        except TypeError:
            is_name = False
        else:
            is_name = name is not None and name == name
        if is_name:
            return name
        raise ProcessingError(f"{self!r} got {name!r} as '{self.EventAttribute}', but expects a name, such as a text")

    def _number(self, event: Mapping[str, Any], key: str) -> float:
        number: Any = event.get(key)
        # Once NaN is in a sum, the sum is never out of bounds again.
        if isinstance(number, float | int | np.integer | np.floating) and -_LARGEST <= number <= _LARGEST:
            return float(number)
        what = "seconds since the epoch" if key == self.TimestampAttr else "a number"
        raise ProcessingError(f"{self!r} got {number!r} as '{key}', but expects {what}")

    def analyze(self) -> None:
        """Call `alarm` for each row that is out of bounds often enough."""
        window = self.TimeWindow
        rows = window.active_rows()
        rows = rows[window.WarmingUpCount[rows] == 0]
        cells = window.Array[rows]
        is_outside = cells > self.Upper
        is_outside[:, :-1] |= cells[:, :-1] < self.Lower
        for index in np.flatnonzero(is_outside.sum(axis=1) >= self.AnomalyOccurrence):
            self.alarm(window.get_row_name(int(rows[index])), cells[index][is_outside[index]].tolist())
        if self.Lower == -math.inf:
            window.close_rows([window.get_row_name(row) for row in rows[~cells.any(axis=1)].tolist()])

    def alarm(self, name: Any, values: list[float]) -> None:
        """Do what is to be done about a row that is out of bounds; by default it is said in the log. Override it.

        Args:
            name: the name of the row.
            values: the values that are out of bounds, the oldest first.
        """
        L.warning("%s: '%s' is out of bounds: %s", self.locate_address(), name, ", ".join(f"{v:g}" for v in values))
