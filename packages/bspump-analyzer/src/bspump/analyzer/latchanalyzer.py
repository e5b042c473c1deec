"""Keeping the latest events of a kind."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import mongoquery  # type: ignore[import-untyped]

from bspump import Analyzer, Context, Event, option
from bspump.errors import ConfigurationError

if TYPE_CHECKING:
    from bspump import Pipeline

_OF_LISTS = frozenset({"$and", "$or", "$nor", "$in", "$nin", "$all"})


class InvalidQueryError(ConfigurationError, mongoquery.QueryError):  # type: ignore[misc]
    """A query that cannot be asked."""


class LatchAnalyzer(Analyzer):
    """Keeps the latest events that match a query.

    Args:
        app: the application.
        pipeline: the pipeline.
        query: True for all events, False for none, or a query in the syntax of MongoDB, such as
            ``{"level": {"$gte": 3}}``.
        analyze_on_clock: whether `analyze` is called in regular intervals.
        inclusive: whether those events are kept that do *not* match.
        id: unique within the pipeline.
        config: options.

    Attributes:
        Latch: the events, the latest one last.
        Query, Inclusive: the arguments.

    Raises:
        InvalidQueryError: the query cannot be asked. It is a ``mongoquery.QueryError`` too.
    """

    latch_max_size = option.integer(
        50, minimum=0, help="How many events are kept; 0: all of them, which needs memory for all of them."
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        query: bool | Mapping[str, Any] = True,
        analyze_on_clock: bool = False,
        inclusive: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, analyze_on_clock, id=id, config=config)
        self.Latch: collections.deque[Event] = collections.deque(maxlen=self.latch_max_size or None)
        self.Query = query
        self.Inclusive = inclusive
        self._query: mongoquery.Query | None = None
        if not isinstance(query, bool):
            for problem in _problems(query):
                raise InvalidQueryError(f"[{self.section}] query: {problem}")
            self._query = mongoquery.Query(query)

    def predicate(self, context: Context, event: Event) -> bool:
        """Tell whether the event is kept."""
        matches = self.Query if self._query is None else self._query.match(event)
        return bool(matches) != self.Inclusive

    def evaluate(self, context: Context, event: Event) -> None:
        """Keep the event."""
        self.Latch.append(event)


def _problems(query: object) -> list[str]:
    """Return what is wrong with a query, wherever in it; the library itself finds it when an event gets there."""
    if isinstance(query, list | tuple):
        return [problem for part in query for problem in _problems(part)]
    if not isinstance(query, Mapping):
        return []
    found = []
    for key, condition in query.items():
        if isinstance(key, str) and key.startswith("$"):
            if not hasattr(mongoquery.Query, f"_{key[1:]}") or key in (
                "$text",
                "$where",
                "$match",
                "$process_condition",
            ):
                found.append(f"{key!r} is no operator of a query")
            elif key in _OF_LISTS and not isinstance(condition, list | tuple):
                found.append(f"{key!r} needs a list, but has {condition!r}")
        found.extend(_problems(condition))
    return found
