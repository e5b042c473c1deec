"""Watching how late events come."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import asab.metrics
import numpy as np

from bspump import Analyzer, Context, Event, option
from bspump._asab import service_of_module
from bspump.common._expect import wrong_type
from bspump.errors import ProcessingError

if TYPE_CHECKING:
    from bspump import Pipeline


_LARGEST = sys.float_info.max


class TimeDriftAnalyzer(Analyzer):
    """Measures how far the times of events are behind the clock, in milliseconds.

    Each analysis sets the metric ``bspump.timedrift``, which is tagged with the pipeline and the analyzer, to the
    ``avg``, ``median``, ``stddev``, ``min`` and ``max`` of the history. ``analyze_period`` is 300 seconds unless it is
    set.

    Args:
        app: the application.
        pipeline: the pipeline.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        id: unique within the pipeline.
        config: options.

    Attributes:
        History: the latest measurements, in milliseconds, the newest one last. Above 0: the event came late.
    """

    ConfigDefaults: dict[str, Any] = {"analyze_period": 300}

    HistorySize = option.integer(100, minimum=1, key="history_size", help="How many measurements are kept.")
    SparseCount = option.integer(1, minimum=1, key="sparse_count", help="One event in so many is measured.")
    TimestampAttr = option.text(
        "@timestamp",
        key="timestamp_attr",
        help="The key of an event that has its time: a number of milliseconds since the epoch, or a ``datetime``, "
        "which is in UTC if it does not say otherwise. Events without it are not measured.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        analyze_on_clock: bool = True,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)
        self.History: list[float] = []
        self._since_measured = self.SparseCount - 1
        self.Gauge = service_of_module(app, asab.metrics.Module, "asab.MetricsService").create_gauge(
            "bspump.timedrift",
            tags={"pipeline": pipeline.Id, "analyzer": self.Id},
            init_values=dict.fromkeys(("avg", "median", "stddev", "min", "max"), 0.0),
        )

    def predicate(self, context: Context, event: Event) -> bool:
        """Tell whether the event has a time, and it is its turn to be measured."""
        if not isinstance(event, Mapping):
            raise wrong_type(self, event, "a dictionary")
        if self.TimestampAttr not in event:
            return False
        self._since_measured += 1
        return self._since_measured >= self.SparseCount

    def evaluate(self, context: Context, event: Event) -> None:
        """Measure the event."""
        self._since_measured = 0
        self.History.append(self.time() * 1000 - self._milliseconds(event[self.TimestampAttr]))
        if len(self.History) > self.HistorySize:
            del self.History[0]

    def _milliseconds(self, timestamp: object) -> float:
        if isinstance(timestamp, datetime.datetime):
            if timestamp.tzinfo is None:
                timestamp = timestamp.replace(tzinfo=datetime.UTC)
            return timestamp.timestamp() * 1000
        if isinstance(timestamp, int | float) and -_LARGEST <= timestamp <= _LARGEST:
            return float(timestamp)
        raise ProcessingError(
            f"{self!r} got {timestamp!r} as '{self.TimestampAttr}', but expects milliseconds since the epoch, "
            f"or a datetime"
        )

    def analyze(self) -> None:
        """Set the metric to what the history says."""
        if not self.History:
            return
        history = np.array(self.History)
        for name, value in (
            ("avg", history.mean()),
            ("median", np.median(history)),
            ("stddev", history.std()),
            ("min", history.min()),
            ("max", history.max()),
        ):
            self.Gauge.set(name, float(value))
