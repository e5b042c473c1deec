"""Setting events aside that cannot be processed, with all that is known about why."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from ._routes import Route, find_target
from ._types import Context, Event

if TYPE_CHECKING:
    from .pipeline import Pipeline


class DeadLetters:
    """The way of failed events of one pipeline into the source of another."""

    def __init__(self, pipeline: Pipeline, address: str) -> None:
        self._pipeline = pipeline
        self.address = address
        self._route: Route | None = None

    def bind(self) -> str | None:
        """Look the destination up. Returns what is wrong with it, if anything."""
        target = find_target(self._pipeline.App, self.address)
        if target is None:
            return "is no pipeline with an internal source, and no such source"
        if target.Pipeline is self._pipeline:
            return "is in this very pipeline; dead letters need a pipeline of their own"
        if self._route is None or self._route.is_closed:
            self._route = Route(self._pipeline, target)
        return None

    def put(self, error: BaseException, context: Context, event: Event, stage: str, attempts: int) -> None:
        """Hand one envelope to the dead-letter pipeline."""
        wrong = self.bind() if self._route is None or self._route.is_closed else None
        if self._route is None or wrong is not None:
            raise RuntimeError(
                f"The dead letters of pipeline '{self._pipeline.Id}' have no destination: '{self.address}' {wrong}"
            )
        self._route.put([{}], [envelope(self._pipeline, error, context, event, stage, attempts)])


def envelope(
    pipeline: Pipeline, error: BaseException, context: Context, event: Event, stage: str, attempts: int
) -> dict[str, Any]:
    """Return the standard envelope of a dead letter.

    Keys: ``event``, ``context``, ``pipeline``, ``stage`` (address of the processor), ``exception`` (``type``,
    ``message``, ``traceback``), ``time`` (seconds since the epoch), ``attempts``, ``origin`` (``source``, the address
    of the source whose event it was, and ``position``, its position when the batch with the event began; both None
    where the event did not come straight from a source).
    """
    source = pipeline._feeder.origin
    return {
        "event": event,
        "context": context,
        "pipeline": pipeline.Id,
        "stage": stage,
        "exception": {
            "type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
            "message": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        },
        "time": pipeline.time(),
        "attempts": attempts,
        "origin": {
            "source": source.locate_address() if source is not None else None,
            "position": source.position if source is not None else None,
        },
    }
