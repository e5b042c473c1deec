"""What the REST interface shows of a pipeline."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import Pipeline


def describe_pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """Return the state of a pipeline: plain values, fit for JSON."""
    pipeline._metrics.collect()
    description: dict[str, Any] = {
        "Id": pipeline.Id,
        "Ready": pipeline.is_ready(),
        "Throttles": sorted(str(holder) for holder in pipeline.get_throttles()),
        "Sources": [source.rest_get() for source in pipeline.Sources],
        "Processors": [[processor.rest_get() for processor in depth] for depth in pipeline.Processors],
        "Counts": dataclasses.asdict(pipeline._counts),
        "Metrics": _metrics_of(pipeline),
        "Log": [_describe_record(record) for record in pipeline.L.Deque],
    }
    error = pipeline._errors.error
    if error is not None:
        description["Error"] = error.message
        description["ErrorTimestamp"] = error.time
    return description


def _describe_record(record: logging.LogRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "levelname": record.levelname,
        "message": record.getMessage(),
        "timestamp": record.created,
    }


def _metrics_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    found = []
    for metric in pipeline.MetricsService.Storage.Metrics:
        fields = [field for field in metric["fieldset"] if field["tags"].get("pipeline") == pipeline.Id]
        if fields:
            found.append(
                {
                    "name": metric["name"],
                    "type": metric["type"],
                    "fieldset": [{"tags": field["tags"], "values": field["values"]} for field in fields],
                }
            )
    return found
