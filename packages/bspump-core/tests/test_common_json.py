"""The JSON parsers understand what the standard library understands, event by event, alone and in a batch."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.common.json import parse_json, parse_json_batch
from bspump.testing import MemorySink, MemorySource, PumpRunner

VALID: list[str | bytes] = [
    "1",
    "-0",
    "-0.0",
    "1e400",
    "-1e400",
    "1E5",
    "0.1",
    "5e-324",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775809",
    "1234567890123456789.5",
    "NaN",
    "Infinity",
    "-Infinity",
    '{"a": NaN, "b": [Infinity]}',
    '{"a": 1, "a": 2}',
    r'"\ud800"',
    r'{"\udfff": "\ud83d\ude00"}',
    '"ž\u2028"',
    '"\x7f"',
    " \t\r\n[ ] \n",
    "true",
    "false",
    '""',
    "{}",
    '{"": {"": [[], {}, null]}}',
    '"a\\u0000b"',
    r'"\/\b\f\n\r\t\"\\"',
    "[" * 100 + "]" * 100,
    b'{"a": "\xc5\xbe"}',
    b'\xef\xbb\xbf{"bom": 1}',
    '{"wide": true}'.encode("utf-16"),
    '"wide"'.encode("utf-32-le"),
]

INVALID: list[str | bytes] = [
    "",
    " ",
    "[1",
    "2]",
    "1,2",
    '"a',
    'b"',
    '"a","b"',
    "{}{}",
    "1 2",
    "01",
    "1.",
    ".5",
    "+1",
    "nan",
    "[1,]",
    '{"a":1,}',
    "{'a': 1}",
    "{1: 2}",
    '"\n"',
    '"\x00"',
    r'"\x41"',
    r'"\u12"',
    "// comment",
    "[1] // comment",
    "\ufeff1",
    "\xa01",
    "[",
    "]",
    "[]]",
    b'"\xff"',
    b"\x80",
]


def same(left: Any, right: Any) -> bool:
    """Compare with types, the order of keys, and NaN being equal to itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and str(left) == str(right))
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def parse(pump: PumpRunner, events: list[Any], one_by_one: bool = False) -> tuple[list[Any], list[Any]]:
    """Return what the parser makes of the events, and the events at which it fails."""
    bad: list[Any] = []

    class Pipeline(bspump.Pipeline):
        def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
            assert isinstance(exception, ValueError | bspump.ProcessingError)
            bad.append(event)
            return True

    pipeline = Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, events, one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, bspump.common.StdJsonToDictParser(pump.app, pipeline), sink)
    pump.run(source.finished.wait, pipeline)
    return sink.events, bad


@pytest.mark.parametrize("text", VALID, ids=lambda text: ascii(text)[:40])
def test_valid_json_is_what_the_standard_library_makes_of_it(text: str | bytes) -> None:
    assert same(parse_json(text), json.loads(text))
    values = parse_json_batch([text, text])
    if values is not None:
        assert same(values, [json.loads(text)] * 2)


@pytest.mark.parametrize("text", INVALID, ids=lambda text: ascii(text)[:40])
def test_invalid_json_is_refused_as_by_the_standard_library(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the standard library raises
        json.loads(text)
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text)
    assert parse_json_batch([text, text]) is None


@pytest.mark.parametrize("one_by_one", [False, True])
def test_one_bad_line_does_not_take_the_others_along(pump: PumpRunner, one_by_one: bool) -> None:
    events = ['{"n": 1}', "[1", "2]", "1,2", '{"n": 2}', "null", "NaN", '{"n": 123456789012345678901}']
    good, bad = parse(pump, events, one_by_one)
    assert bad == ["[1", "2]", "1,2", "null"]
    assert same(good, [{"n": 1}, {"n": 2}, math.nan, {"n": 123456789012345678901}])


@pytest.mark.parametrize(
    "events",
    [
        ["[1", "2]"],
        ["1,2", "[3", "4]"],
        ['"a', 'b"'],
        ["1", "2],[3", "4"],
        ["{}", ""],
        ["[", "]"],
        ['1,"x",2', "[3", "4]"],
    ],
    ids=str,
)
def test_lines_that_are_valid_only_together_are_refused(pump: PumpRunner, events: list[str]) -> None:
    good, bad = parse(pump, events)
    expected = [event for event in events if event in ("1", "4", "{}")]
    assert bad == [event for event in events if event not in expected]
    assert good == [json.loads(event) for event in expected]


def test_str_bytes_and_bytearray_may_be_mixed(pump: PumpRunner) -> None:
    good, bad = parse(pump, ["1", b"2", bytearray(b"3"), 4, None, {"a": 5}, memoryview(b"6")])
    assert good == [1, 2, 3]
    assert len(bad) == 4


def test_a_batch_of_bytearrays(pump: PumpRunner) -> None:
    assert parse(pump, [bytearray(b"[1]"), bytearray(b"[2]")]) == ([[1], [2]], [])


def random_json(dice: random.Random, depth: int = 0) -> Iterator[str]:
    kind = dice.randrange(9 if depth < 4 else 6)
    if kind == 0:
        yield str(dice.choice((0, -1, 7, 2**53 + 1, 2**63, 2**64, -(2**70))))
    elif kind == 1:
        yield repr(dice.choice((0.5, -1e22, 1e-7, 3.141592653589793, 1.7976931348623157e308)))
    elif kind == 2:
        yield dice.choice(("true", "false", "null", "NaN", "-Infinity"))
    elif kind < 6:
        yield json.dumps("".join(chr(dice.choice((32, 34, 92, 65, 0x17E, 0xD800, 0x1F600))) for _ in range(5)))
    elif kind < 8:
        items = [f'"{dice.choice("abc")}" : ' + "".join(random_json(dice, depth + 1)) for _ in range(dice.randrange(4))]
        yield "{" + dice.choice((",", ", \n")).join(items) + "}"
    else:
        yield "[" + ",".join("".join(random_json(dice, depth + 1)) for _ in range(dice.randrange(4))) + "]"


def test_random_json_is_what_the_standard_library_makes_of_it() -> None:
    dice = random.Random(1)
    for _ in range(300):
        batch = ["".join(random_json(dice)) for _ in range(dice.randrange(1, 5))]
        expected = [json.loads(text) for text in batch]
        assert same([parse_json(text) for text in batch], expected)
        values = parse_json_batch(batch)
        assert values is None or same(values, expected)
        damaged = [text.replace(dice.choice('{}[]":,'), "", 1) for text in batch]
        values = parse_json_batch(damaged)
        if values is not None:
            assert same(values, [json.loads(text) for text in damaged])


# Serialising


@dataclasses.dataclass
class Price:
    amount: int
    unit: str


def serialise(pump: PumpRunner, kind: Any, events: list[Any], one_by_one: bool = False, **config: Any) -> list[Any]:
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "skip"})
    source = MemorySource(pump.app, pipeline, events, one_by_one=one_by_one)
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, kind(pump.app, pipeline, config=config), sink)
    pump.run(source.finished.wait, pipeline)
    return sink.events


EVENTS: list[Any] = [
    {"a": [1, 2.5, None, True, "ž"]},
    {"a": 2**70},
    {1: "number", None: "nothing", False: "truth"},
    [],
    "text",
    {"lone": "\ud800"},
]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_dictionaries_become_the_text_of_the_standard_library(pump: PumpRunner, one_by_one: bool) -> None:
    texts = serialise(pump, bspump.common.StdDictToJsonParser, EVENTS, one_by_one)
    assert texts == [json.dumps(event) for event in EVENTS]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_dictionaries_become_bytes_that_parse_to_the_same(pump: PumpRunner, one_by_one: bool) -> None:
    texts = serialise(pump, bspump.common.DictToJsonBytesParser, EVENTS, one_by_one)
    assert len(texts) == len(EVENTS)
    for text, event in zip(texts, EVENTS, strict=True):
        assert isinstance(text, bytes)
        assert same(json.loads(text), json.loads(json.dumps(event)))
    assert texts[0] == '{"a":[1,2.5,null,true,"ž"]}'.encode()


NOT_FINITE: list[tuple[Any, Any]] = [
    ({"a": math.nan}, {"a": None}),
    ([math.inf, -math.inf, 1.5], [None, None, 1.5]),
    (math.nan, None),
    # What orjson leaves to the standard library
    ({"a": math.nan, "b": 2**70}, {"a": None, "b": 2**70}),
    ({1: {"a": (math.inf, "NaN")}}, {"1": {"a": [None, "NaN"]}}),
    ({math.nan: 1, 2: 3}, {"null": 1, "2": 3}),
    ({"a": {1: 2}, "b": math.nan, "c": datetime.date(2022, 7, 1)}, {"a": {"1": 2}, "b": None, "c": "2022-07-01"}),
]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "utf-16"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_nan_becomes_null_since_json_has_none(pump: PumpRunner, one_by_one: bool, encoding: str) -> None:
    events = [event for event, _ in NOT_FINITE]
    texts = serialise(pump, bspump.common.DictToJsonBytesParser, events, one_by_one, encoding=encoding)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    values = [json.loads(text.decode(encoding), parse_constant=refuse) for text in texts]
    assert values == [expected for _, expected in NOT_FINITE]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_times_uuids_and_dataclasses_are_serialised_alike_in_every_encoding(pump: PumpRunner, encoding: str) -> None:
    event = {"at": datetime.datetime(2022, 7, 1, tzinfo=datetime.UTC), "id": uuid.UUID(int=5), "price": Price(3, "€")}
    texts = serialise(pump, bspump.common.DictToJsonBytesParser, [event, {**event, "n": 2**70}], encoding=encoding)
    expected = {
        "at": "2022-07-01T00:00:00+00:00",
        "id": "00000000-0000-0000-0000-000000000005",
        "price": {"amount": 3, "unit": "€"},
    }
    assert [json.loads(text.decode(encoding)) for text in texts] == [expected, {**expected, "n": 2**70}]


def test_what_contains_itself_fails_alone() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for kind in (bspump.common.DictToJsonBytesParser, bspump.common.StdDictToJsonParser):
        with PumpRunner() as runner:
            texts = serialise(runner, kind, [{"a": 1}, circle, {"a": 2}])
        assert [json.loads(text) for text in texts] == [{"a": 1}, {"a": 2}]


def test_another_encoding_escapes_what_it_does_not_have(pump: PumpRunner) -> None:
    [text] = serialise(pump, bspump.common.DictToJsonBytesParser, [{"a": "é", "b": "€"}], encoding="latin-1")
    assert json.loads(text.decode("latin-1")) == {"a": "é", "b": "€"}


def test_what_cannot_be_serialised_fails_alone(pump: PumpRunner) -> None:
    events = [{"a": 1}, {"a": object()}, {"a": {1, 2}}, {"a": 2}]
    assert serialise(pump, bspump.common.DictToJsonBytesParser, events) == [b'{"a":1}', b'{"a":2}']


def test_the_other_names_of_the_parsers() -> None:
    assert bspump.common.JSONParserProcessor is bspump.common.StdJsonToDictParser
    assert bspump.common.JsonToDictParser is bspump.common.StdJsonToDictParser
    assert bspump.common.DictToJsonParser is bspump.common.StdDictToJsonParser
