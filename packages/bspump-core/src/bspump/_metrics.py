"""The metrics of a pipeline. They are counted in plain numbers and handed to asab when it collects them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import asab.metrics

from ._asab import service_of_module
from ._chain import Counts, Profile

if TYPE_CHECKING:
    from .pipeline import Pipeline

_NAMES = {"event.in": "entered", "event.out": "out", "event.drop": "dropped", "warning": "warnings", "error": "errors"}
_EPS_NAMES = {"eps.in": "entered", "eps.out": "out", "eps.drop": "dropped", "warning": "warnings", "error": "errors"}


class PipelineMetrics:
    """Creates the metrics that the manual names and keeps them up to date."""

    def __init__(self, pipeline: Pipeline, counts: Counts, profile: Profile, *, reset_profiler: bool) -> None:
        app = pipeline.App
        self.service = service_of_module(app, asab.metrics.Module, "asab.MetricsService")
        self._tags = {"pipeline": pipeline.Id}
        self._counts = counts
        self._collected = dataclasses.replace(counts)
        self._flushed = dataclasses.replace(counts)
        self._profile = profile
        self._reset_profiler = reset_profiler
        self.counter = self.service.create_counter(
            "bspump.pipeline", tags=self._tags, init_values=dict.fromkeys(_NAMES, 0), help="Events of the pipeline"
        )
        self.eps_counter = self.create_eps_counter()
        self.gauge = self.service.create_gauge(
            "bspump.pipeline.gauge", tags=self._tags, init_values={"warning.ratio": 0.0, "error.ratio": 0.0}
        )
        self.duty_cycle = self.service.create_duty_cycle(
            "bspump.pipeline.dutycycle", tags=self._tags, init_values={"ready": False}
        )
        self.profiler_counters: dict[str, Any] = {}
        # Published right before the metrics are read.
        app.PubSub.subscribe("Metrics.flush!", self._on_flush)

    def create_eps_counter(self) -> Any:
        """Create the counter of events per second."""
        return self.service.create_eps_counter(
            "bspump.pipeline.eps", tags=self._tags, init_values=dict.fromkeys(_EPS_NAMES, 0)
        )

    def add_profiler(self, processor_id: str) -> None:
        """Create the profiling counter of a processor."""
        if processor_id not in self.profiler_counters:
            self.profiler_counters[processor_id] = self.service.create_counter(
                "bspump.pipeline.profiler",
                tags={"processor": processor_id, **self._tags},
                init_values={"duration": 0.0, "run": 0},
                reset=self._reset_profiler,
                help="Seconds and runs of the processor, of a sample of the events",
            )

    def collect(self) -> None:
        """Hand what was counted since the last time to the metrics."""
        counts, collected = self._counts, self._collected
        for name, field in _NAMES.items():
            self.counter.add(name, getattr(counts, field) - getattr(collected, field))
        for name, field in _EPS_NAMES.items():
            self.eps_counter.add(name, getattr(counts, field) - getattr(collected, field))
        self._collected = dataclasses.replace(counts)
        for processor_id, seconds in self._profile.seconds.items():
            counter = self.profiler_counters.get(processor_id)
            if counter is not None:
                counter.add("duration", seconds)
                counter.add("run", self._profile.runs[processor_id])
        self._profile.seconds.clear()
        self._profile.runs.clear()

    def remove(self) -> None:
        """Take the pipeline's metrics out of the application."""
        metrics = [self.counter, self.eps_counter, self.gauge, self.duty_cycle, *self.profiler_counters.values()]
        for metric in metrics:
            self.service.del_metric(metric)
        self.service.App.PubSub.unsubscribe("Metrics.flush!", self._on_flush)

    def _on_flush(self, message_type: str) -> None:
        before, self._flushed = self._flushed, dataclasses.replace(self._counts)
        entered = self._counts.entered - before.entered
        for name, field in (("warning.ratio", "warnings"), ("error.ratio", "errors")):
            happened = getattr(self._counts, field) - getattr(before, field)
            self.gauge.set(name, happened / entered if entered else 0.0)
        self.collect()
