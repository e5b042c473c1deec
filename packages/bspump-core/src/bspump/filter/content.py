"""Filtering events by what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ..common._expect import wrong_type
from ..errors import ConfigurationError
from .query import Query

if TYPE_CHECKING:
    from .._options import Options
    from ..pipeline import Pipeline

Predicate = Callable[[Context, Event], object]


def _read_query(options: Options, key: str) -> str | Mapping[str, Any]:
    value: str | Mapping[str, Any] = options.raw(key)
    return value


class ContentFilter(Processor):
    """Lets those events through that match a query, and drops the others.

    A query is a dictionary such as ``{"status": {"$gte": 500}, "host": "a"}``; see `Query` for the language. In its
    place may stand a function ``f(context, event)``, or a class that derives from this one may override `predicate`;
    these may be of events of any type, a query is of dictionaries.

    Args:
        app: the application.
        pipeline: the pipeline.
        query: the query or a function; it goes before the option.
        id: unique within the pipeline.
        config: options.
    """

    query = option.custom(
        _read_query,
        "",
        values="JSON",
        schema={"type": ["string", "object"]},
        help="The query, if it is not given as an argument. In a configuration file each ``$`` is doubled: "
        '``{"status": {"$$gte": 500}}``.',
    )
    Inclusive = option.boolean(
        True,
        key="inclusive",
        help="Whether the events that match go on. If not, they are dropped, and the others go on.",
    )
    apply_to = option.choice("event", ("event", "context"), help="What the query is asked of.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        query: Mapping[str, Any] | Query | Predicate | None = None,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._is_of_context = self.apply_to == "context"
        self._function: Predicate | None = None
        self.Query: Query | None = None
        with self.options() as options:
            if isinstance(query, Query):
                self.Query = query
            elif callable(query):
                self._function = query
            elif query is not None or self.query or type(self).predicate is ContentFilter.predicate:
                try:
                    self.Query = Query(query if query is not None else _parsed(self.query))
                except ConfigurationError as error:
                    options.problems.extend(f"[{self.section}] query: {problem}" for problem in error.problems)

    def predicate(self, context: Context, event: Event) -> object:
        """Tell whether the event matches. Override it, unless there is a query."""
        if self._function is not None:
            return self._function(context, event)
        assert self.Query is not None
        subject = context if self._is_of_context else event
        if not isinstance(subject, Mapping):
            raise wrong_type(self, event, "a dictionary")
        return self.Query.match(subject)

    def process(self, context: Context, event: Event) -> Event:
        """Let the event through, or drop it."""
        return event if bool(self.predicate(context, event)) is self.Inclusive else None

    @property
    def process_batch(self) -> Callable[[list[Context], list[Event]], tuple[list[Context], list[Event]]] | None:
        """Lets some events of a batch through. None where the predicate is not ours.

        A batch with an event that fails is asked about twice, and a predicate that remembers what it has seen would
        answer differently the second time.
        """
        is_own = self.Query is not None and type(self).predicate is ContentFilter.predicate
        return self._query_batch if is_own else None

    def _query_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        predicate, inclusive = self.predicate, self.Inclusive
        kept = [
            index
            for index, (context, event) in enumerate(zip(contexts, events, strict=True))
            if bool(predicate(context, event)) is inclusive
        ]
        return [contexts[index] for index in kept], [events[index] for index in kept]


def _parsed(text: str | Mapping[str, Any]) -> object:
    if not isinstance(text, str):
        return text
    if not text.strip():
        raise ConfigurationError('is empty, but expects JSON such as {"status": 404}, or a predicate')
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no JSON ({error})") from None
