"""The small converting processors of bspump.common."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner


def run(
    pump: PumpRunner, make: type[bspump.Processor] | type[bspump.Generator], events: list[Any], **options: Any
) -> list[Any]:
    """Return what a processor makes of events; a failing one stops the pipeline and is raised."""
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, events), MemorySink(pump.app, pipeline)
    pipeline.build(source, make(pump.app, pipeline, config=options), sink)

    async def scenario() -> None:
        while not source.finished.is_set() and not pipeline.is_error():
            await pipeline.checkpoint()
        await pipeline.checkpoint()
        error = pipeline._errors.error
        if error is not None:
            raise error.exception

    pump.run(scenario, pipeline)
    return sink.events


@pytest.mark.parametrize(
    ("make", "event", "expected"),
    [
        (bspump.common.StringToBytesParser, "žluť", "žluť".encode()),
        (bspump.common.BytesToStringParser, "žluť".encode(), "žluť"),
        (bspump.common.HexlifyProcessor, b"\x00\xff", b"00ff"),
        (bspump.common.MappingKeysProcessor, {"a": 1, "b": 2}, ["a", "b"]),
        (bspump.common.MappingValuesProcessor, {"a": 1, "b": 2}, [1, 2]),
        (bspump.common.MappingItemsProcessor, {"a": 1, "b": 2}, [("a", 1), ("b", 2)]),
        (
            bspump.common.FlattenDictProcessor,
            {"person": {"name": {"first": "John"}, "tags": ["a", {"b": 1}], "none": {}}, "x": 1},
            {"person.name.first": "John", "person.tags": ["a", {"b": 1}], "person.none": {}, "x": 1},
        ),
        (bspump.common.FlattenDictProcessor, {}, {None: {}}),
    ],
)
def test_an_event_is_converted(pump: PumpRunner, make: type[bspump.Processor], event: Any, expected: Any) -> None:
    assert run(pump, make, [event, event]) == [expected, expected]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (bspump.common.MappingKeysGenerator, ["a", "b"]),
        (bspump.common.MappingValuesGenerator, [1, 2]),
        (bspump.common.MappingItemsGenerator, [("a", 1), ("b", 2)]),
    ],
)
def test_a_mapping_becomes_several_events(pump: PumpRunner, make: type[bspump.Generator], expected: list[Any]) -> None:
    assert run(pump, make, [{"a": 1, "b": 2}]) == expected


def test_another_encoding_is_used(pump: PumpRunner) -> None:
    assert run(pump, bspump.common.StringToBytesParser, ["ž"], encoding="latin2") == ["ž".encode("latin2")]


@pytest.mark.parametrize(
    ("make", "event", "sentence"),
    [
        (
            bspump.common.StringToBytesParser,
            b"x",
            "StringToBytesParser('P.StringToBytesParser') got bytes, but expects",
        ),
        (bspump.common.BytesToStringParser, "x", "got str, but expects bytes"),
        (bspump.common.HexlifyProcessor, "x", "got str, but expects bytes"),
        (bspump.common.MappingKeysProcessor, [1], "got list, but expects a mapping"),
        (bspump.common.FlattenDictProcessor, "x", "got str, but expects a dictionary"),
        (bspump.common.StdJsonToDictParser, {}, "got dict, but expects JSON as str or bytes"),
    ],
)
def test_a_wrong_type_is_said_in_a_sentence(
    pump: PumpRunner, make: type[bspump.Processor], event: Any, sentence: str
) -> None:
    with pytest.raises(bspump.ProcessingError) as caught:
        run(pump, make, [event])
    assert sentence in str(caught.value)


def test_deeply_nested_events_are_flattened(pump: PumpRunner) -> None:
    event: dict[str, Any] = {"end": 1}
    for _ in range(5000):
        event = {"a": event}
    (flat,) = run(pump, bspump.common.FlattenDictProcessor, [event])
    assert flat == {"a." * 5000 + "end": 1}


class Upper(bspump.common.MappingTransformator):
    def build(self, app: Any) -> dict[Any, Any]:
        return {"name": lambda key, value: ("NAME", value.upper())}


def test_a_mapping_is_transformed_item_by_item(pump: PumpRunner) -> None:
    assert run(pump, Upper, [{"name": "john", "age": 3}]) == [{"NAME": "JOHN", "age": 3}]


class Normalise(bspump.common.TimeZoneNormalizer):
    def process(self, context: bspump.Context, event: datetime.datetime) -> datetime.datetime:
        return self.normalize(event)


def test_times_are_normalised_to_utc(pump: PumpRunner) -> None:
    summer = datetime.datetime.fromisoformat("2022-07-01T12:00")
    aware = datetime.datetime(2022, 7, 1, 12, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))
    assert run(pump, Normalise, [summer, aware], timezone="Europe/Prague") == [
        datetime.datetime(2022, 7, 1, 10, 0, tzinfo=datetime.UTC),
        datetime.datetime(2022, 7, 1, 17, 0, tzinfo=datetime.UTC),
    ]


def test_an_unknown_time_zone_is_a_configuration_problem(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    Normalise(pump.app, pipeline, config={"timezone": "Mars/Olympus"})
    assert pump.service.configuration_problems == [
        "[pipeline:P:Normalise] timezone: 'Mars/Olympus' is no known time zone (such as Europe/Prague)"
    ]
