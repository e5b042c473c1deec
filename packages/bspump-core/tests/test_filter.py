"""Filters of attributes and of events, and the query language."""

from __future__ import annotations

import re
from typing import Any

import pytest

import bspump
from bspump.filter import AttributeFilter, ContentFilter, Query
from bspump.testing import MemorySink, MemorySource, PumpRunner


def run(
    pump: PumpRunner,
    processor: type[bspump.Processor],
    events: list[Any],
    contexts: list[dict[str, Any]] | None = None,
    **options: Any,
) -> MemorySink:
    """Return the sink behind a filter that the events went through."""
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "skip"})
    source, sink = MemorySource(pump.app, pipeline, events, contexts=contexts), MemorySink(pump.app, pipeline)
    pipeline.build(source, processor(pump.app, pipeline, **options), sink)
    pump.run(source.finished.wait, pipeline)
    return sink


# Attributes

PERSON = {"name": "Ann", "age": 3, "secret": "x"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"keep": "name, age, missing"}, {"name": "Ann", "age": 3}),
        ({"keep": ["age", "name"]}, {"age": 3, "name": "Ann"}),
        ({"drop": "secret\nmissing"}, {"name": "Ann", "age": 3}),
        ({"drop": ["name", "age", "secret"]}, {}),
    ],
)
def test_attributes_are_kept_or_dropped(pump: PumpRunner, config: dict[str, Any], expected: dict[str, Any]) -> None:
    events = [PERSON.copy(), PERSON.copy()]
    sink = run(pump, AttributeFilter, events, config=config)
    assert sink.events == [expected, expected]
    assert list(sink.events[0]) == list(expected)
    assert events == [PERSON, PERSON], "the event that came in stays as it is"


def test_attributes_of_the_context_are_filtered(pump: PumpRunner) -> None:
    contexts: list[dict[str, Any]] = [{"topic": "a", "offset": 1}, {"topic": "b"}]
    sink = run(pump, AttributeFilter, ["x", "y"], contexts, config={"drop": "offset", "apply_to": "context"})
    assert (sink.events, sink.contexts) == (["x", "y"], [{"topic": "a"}, {"topic": "b"}])


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "keep: '' names no attribute, and neither does drop; expected one of them to"),
        ({"drop": 5}, "drop: 5 is neither a text nor a list of names"),
        ({"keep": "a", "drop": "b"}, "drop: 'b' cannot be set together with keep"),
        ({"keep": "a", "apply_to": "both"}, "apply_to: 'both' is none of event, context"),
    ],
)
def test_a_wrong_option_of_the_attribute_filter_is_refused(
    pump: PumpRunner, config: dict[str, Any], sentence: str
) -> None:
    AttributeFilter(pump.app, bspump.Pipeline(pump.app, "P"), config=config)
    assert pump.service.configuration_problems == [f"[pipeline:P:AttributeFilter] {sentence}"]


# Content


@pytest.mark.parametrize(("inclusive", "expected"), [("yes", [500, 503]), ("no", [200, 404])])
def test_events_that_match_go_on_or_do_not(pump: PumpRunner, inclusive: str, expected: list[int]) -> None:
    events = [{"status": status} for status in (200, 500, 404, 503)]
    query = {"status": {"$gte": 500}}
    sink = run(pump, ContentFilter, events, query=query, config={"inclusive": inclusive})
    assert [event["status"] for event in sink.events] == expected


def test_a_query_may_come_from_the_configuration(pump: PumpRunner) -> None:
    pump.configure("pipeline:P:ContentFilter", query='{"host": {"$$in": ["a", "b"]}}')
    sink = run(pump, ContentFilter, [{"host": "a"}, {"host": "c"}, {}])
    assert sink.events == [{"host": "a"}]


def test_a_function_may_stand_in_place_of_a_query(pump: PumpRunner) -> None:
    contexts = [{"n": 1}, {"n": 2}, {"n": 3}]
    sink = run(pump, ContentFilter, ["a", "b", "a"], contexts, query=lambda c, e: e == "a" and c["n"] > 1)
    assert (sink.events, sink.contexts) == (["a"], [{"n": 3}])


def test_a_predicate_may_be_overridden(pump: PumpRunner) -> None:
    class Even(ContentFilter):
        def predicate(self, context: bspump.Context, event: int) -> bool:
            return event % 2 == 0

    assert run(pump, Even, list(range(10))).events == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("is_overridden", [False, True])
def test_a_predicate_that_remembers_is_asked_once_about_each_event(pump: PumpRunner, is_overridden: bool) -> None:
    seen: set[int] = set()

    def is_new(context: bspump.Context, event: dict[str, int]) -> bool:
        if event["id"] in seen:
            return False
        seen.add(event["id"])
        return True

    class Fresh(ContentFilter):
        def predicate(self, context: bspump.Context, event: dict[str, int]) -> bool:
            return is_new(context, event)

    events: list[dict[str, Any]] = [{"id": 1}, {"id": 2}, {"id": 1}, {"without": "id"}, {"id": 3}]
    sink = run(pump, Fresh, events) if is_overridden else run(pump, ContentFilter, events, query=is_new)
    assert sink.events == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_an_event_that_cannot_be_asked_fails_alone(pump: PumpRunner) -> None:
    sink = run(pump, ContentFilter, [{"a": 1}, "no dictionary", {"a": 2}, {"a": 1}], query={"a": 1})
    assert sink.events == [{"a": 1}, {"a": 1}]
    assert sink.Pipeline._counts.errors == 1


def test_the_context_may_be_asked(pump: PumpRunner) -> None:
    contexts = [{"topic": "a"}, {"topic": "b"}]
    sink = run(pump, ContentFilter, ["x", "y"], contexts, query={"topic": "b"}, config={"apply_to": "context"})
    assert sink.events == ["y"]


def test_dropped_events_are_counted(pump: PumpRunner) -> None:
    sink = run(pump, ContentFilter, [{"a": n} for n in range(10)], query={"a": {"$lt": 3}})
    assert (sink.Pipeline._counts.out, sink.Pipeline._counts.dropped) == (3, 7)


def test_every_problem_of_a_query_is_said_at_the_start(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    ContentFilter(pump.app, pipeline, query={"a": {"$near": 1}, "$where": "import os", "b": {"$regex": "("}})
    ContentFilter(pump.app, pipeline, id="NoJson", config={"query": "{a: 1}"})
    ContentFilter(pump.app, pipeline, id="Empty")
    problems = pump.service.configuration_problems
    assert len(problems) == 5
    assert problems[0].startswith(
        "[pipeline:P:ContentFilter] query: a: '$near' is not what is expected there, one of $eq"
    )
    assert "'$where' is not what is expected there, a path, or one of $and $or $nor" in problems[1]
    assert "b $regex: '(' is not what is expected there, a regular expression" in problems[2]
    assert problems[3].startswith("[pipeline:P:NoJson] query: '{a: 1}' is no JSON")
    assert problems[4].startswith("[pipeline:P:Empty] query: is empty")


# The language

MATCHES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({}, [{}, {"a": 1}], []),
    ({"a": 1}, [{"a": 1}, {"a": 1.0}, {"a": [2, 1]}], [{"a": 2}, {"a": "1"}, {"a": True}, {}]),
    ({"a": True}, [{"a": True}], [{"a": 1}, {"a": "true"}]),
    ({"a": None}, [{}, {"a": None}, {"a": [None]}], [{"a": 0}, {"a": ""}]),
    ({"a": {"b": 1}}, [{"a": {"b": 1}}], [{"a": {"b": 1, "c": 2}}]),
    ({"a": 1, "b": 2}, [{"a": 1, "b": 2}], [{"a": 1}, {"b": 2}]),
    ({"a.b": 1}, [{"a": {"b": 1}}, {"a": [{"b": 2}, {"b": 1}]}, {"a.b": 1}], [{"a": 1}, {"a": {"b": 2}}]),
    ({"a.1": "y"}, [{"a": ["x", "y"]}, {"a": {"1": "y"}}], [{"a": ["y"]}, {"a": "xy"}]),
    ({"a": {"$gt": 1, "$lte": 3}}, [{"a": 2}, {"a": 3}], [{"a": 1}, {"a": 4}, {"a": "2"}, {"a": None}, {}]),
    ({"a": {"$gte": "b"}}, [{"a": "b"}, {"a": "c"}], [{"a": "a"}, {"a": 5}]),
    ({"a": {"$lt": 0}}, [{"a": -1}, {"a": [5, -1]}], [{"a": 0}, {"a": False}]),
    ({"a": {"$eq": 1}}, [{"a": 1}], [{"a": 2}]),
    ({"a": {"$ne": 1}}, [{"a": 2}, {}, {"a": "1"}], [{"a": 1}, {"a": [1, 2]}]),
    ({"a": {"$in": [1, None]}}, [{"a": 1}, {}, {"a": [3, 1]}], [{"a": 2}]),
    (
        {"a": {"$in": [1, "x", [2, 3], {"b": 4}, float("nan")]}},
        [{"a": 1.0}, {"a": "x"}, {"a": [2, 3]}, {"a": {"b": 4}}, {"a": [[5], "x"]}],
        [{"a": True}, {"a": 2}, {"a": [2]}, {"a": {"b": 5}}, {"a": float("nan")}, {}],
    ),
    ({"a": {"$in": [True]}}, [{"a": True}], [{"a": 1}]),
    ({"a": {"$nin": [1, 2]}}, [{"a": 3}, {}], [{"a": 1}, {"a": [2]}]),
    ({"a": {"$exists": True}}, [{"a": None}, {"a": 0}], [{}, {"b": 1}]),
    ({"a.b": {"$exists": False}}, [{}, {"a": 1}, {"a": {}}], [{"a": {"b": None}}]),
    ({"a": {"$regex": "^b"}}, [{"a": "bc"}, {"a": ["x", "b"]}], [{"a": "ab"}, {"a": 5}, {}]),
    ({"a": {"$regex": "^B.c$", "$options": "is"}}, [{"a": "b\nC"}], [{"a": "abc"}]),
    ({"a": {"$not": {"$gt": 1}}}, [{"a": 1}, {}, {"a": "x"}], [{"a": 2}]),
    ({"$or": [{"a": 1}, {"b": {"$gt": 5}}]}, [{"a": 1}, {"b": 6}], [{"a": 2, "b": 5}, {}]),
    ({"$and": [{"a": 1}, {"b": 2}], "c": 3}, [{"a": 1, "b": 2, "c": 3}], [{"a": 1, "b": 2}]),
    ({"$nor": [{"a": 1}, {"b": 2}]}, [{"a": 2}, {}], [{"a": 1}, {"b": 2}]),
]


@pytest.mark.parametrize(("query", "matching", "others"), MATCHES, ids=lambda value: str(value)[:40])
def test_a_query_matches(query: dict[str, Any], matching: list[Any], others: list[Any]) -> None:
    compiled = Query(query)
    assert [document for document in [*matching, *others] if compiled.match(document)] == matching


@pytest.mark.parametrize(
    "query",
    [
        1,
        "a",
        [{"a": 1}],
        {1: 2},
        {"$unknown": 1},
        {"a": {"$unknown": 1}},
        {"a": {"$gt": 1, "b": 2}},
        {"a": {"$in": "abc"}},
        {"a": {"$exists": "no"}},
        {"a": {"$regex": "("}},
        {"a": {"$regex": 5}},
        {"a": {"$regex": re.compile("a"), "$options": "i"}},
        {"a": {"$regex": "a", "$options": "q"}},
        {"a": {"$options": "i"}},
        {"a": {"$not": 1}},
        {"$or": []},
        {"$and": {"a": 1}},
        {"$or": [1]},
    ],
    ids=str,
)
def test_what_is_no_query_is_refused(query: Any) -> None:
    with pytest.raises(bspump.ConfigurationError, match="is not what is expected there"):
        Query(query)


def test_a_long_list_is_not_gone_through_for_each_event() -> None:
    class Address(str):
        comparisons = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Address.comparisons += 1
            return str.__eq__(self, other)

    query = Query({"ip": {"$in": [f"10.0.0.{number}" for number in range(1000)]}})
    assert query.match({"ip": Address("10.0.0.999")})
    assert not query.match({"ip": Address("10.0.1.0")})
    assert Address.comparisons < 10
