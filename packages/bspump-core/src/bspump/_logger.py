"""The logger of a pipeline."""

from __future__ import annotations

import collections
import logging

import asab.log

from ._chain import Counts

_KEPT_RECORDS = 50


class PipelineLogger(asab.log._StructuredDataLogger):
    """Logs as any logger does, keeps the last records for the REST interface, and counts warnings and errors.

    Attributes:
        Deque: the last 50 records, the newest last.
    """

    def __init__(self, pipeline_id: str, counts: Counts) -> None:
        super().__init__(f"bspump.pipeline.{pipeline_id}")
        self.parent = logging.getLogger("bspump.pipeline")
        self.Deque: collections.deque[logging.LogRecord] = collections.deque(maxlen=_KEPT_RECORDS)
        self._counts = counts

    def handle(self, record: logging.LogRecord) -> None:
        """Keep, count and forward a record. Records marked ``is_counted`` were counted by who made them."""
        self.Deque.append(record)
        if not getattr(record, "is_counted", False):
            if record.levelno >= logging.ERROR:
                self._counts.errors += 1
            elif record.levelno == logging.WARNING:
                self._counts.warnings += 1
        super().handle(record)

    def report(self, level: int, message: str, error: BaseException | None = None) -> None:
        """Log something that the pipeline has counted already, with the traceback of `error`."""
        self.log(level, "%s", message, exc_info=error, extra={"is_counted": True})
