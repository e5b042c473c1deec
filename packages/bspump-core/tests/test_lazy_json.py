"""Objects of cysimdjson stay what they are as long as anybody has them, or anything that was taken out of them."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import bspump
from bspump.common import (
    Aggregator,
    CySimdJsonParser,
    IteratorGenerator,
    ListEventAggregationStrategy,
    MappingValuesGenerator,
    TeeProcessor,
    TeeSource,
)
from bspump.common._lazy_json import LazyObject, parse_lazily
from bspump.testing import MemorySink, MemorySource, PumpRunner

cysimdjson = pytest.importorskip("cysimdjson")


def text(number: int) -> bytes:
    return json.dumps({"n": number, "inner": {"name": f"name {number}", "list": [number, {"x": str(number)}]}}).encode()


def run(
    pump: PumpRunner, events: list[Any], *processors: type[bspump.Processor] | type[bspump.Generator], expected: int
) -> MemorySink:
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "skip"})
    source, sink = MemorySource(pump.app, pipeline, events), MemorySink(pump.app, pipeline)
    pipeline.build(source, *[processor(pump.app, pipeline) for processor in processors], sink)
    pump.run(lambda: sink.wait_for(expected), pipeline)
    return sink


def test_it_yields_what_cysimdjson_yields(pump: PumpRunner) -> None:
    sink = run(pump, [text(7), b"[1, 2]", b'"x"'], CySimdJsonParser, expected=3)
    first, second, third = sink.events
    assert isinstance(first, cysimdjson.JSONObject)
    assert isinstance(second, cysimdjson.JSONArray)
    assert isinstance(third, cysimdjson.JSONElement)
    assert first.export() == json.loads(text(7))
    assert (list(second), third.get_value()) == ([1, 2], "x")
    assert first.at_pointer("/inner/list/1/x") == "7"


def test_an_object_is_a_mapping_and_an_array_a_sequence() -> None:
    value = parse_lazily(b'{"a": 1, "b": {"c": [1, null, 2.5, true]}}')
    assert isinstance(value, LazyObject)
    assert isinstance(value, Mapping)
    assert (list(value), len(value), "a" in value, 5 in value, value.get("z", 0)) == (["a", "b"], 2, True, False, 0)
    assert next(iter(value.items())) == ("a", 1)
    inner = value["b"]["c"]
    assert isinstance(inner, Sequence)
    assert (list(inner), inner[1], len(inner), 2.5 in inner) == ([1, None, 2.5, True], None, 4, True)
    assert repr(value["b"]) == "LazyObject({'c': [1, None, 2.5, True]})"
    with pytest.raises(KeyError):
        value["z"]
    with pytest.raises(IndexError):
        inner[4]


def test_events_that_are_kept_stay_as_they_were_while_others_are_parsed(pump: PumpRunner) -> None:
    sink = run(pump, [text(number) for number in range(20_000)], CySimdJsonParser, expected=20_000)
    assert [event.export() for event in sink.events] == [json.loads(text(number)) for number in range(20_000)]


def test_what_is_taken_out_of_an_event_outlives_it() -> None:
    events = [parse_lazily(text(number)) for number in range(2000)]
    inner = [event["inner"] for event in events]
    lists = [dict(event.items())["inner"]["list"] for event in events]
    pointed = [event.at_pointer("/inner/list/1") for event in events]
    listed = [list(items)[1] for items in lists]
    keys = [iter(event) for event in events]
    del events
    gc.collect()
    for number in range(5000):
        parse_lazily(text(-number))
    assert [value["name"] for value in inner] == [f"name {number}" for number in range(2000)]
    assert [items[0] for items in lists] == list(range(2000))
    assert [value["x"] for value in pointed] == [value["x"] for value in listed] == [str(n) for n in range(2000)]
    assert {tuple(key) for key in keys} == {("n", "inner")}


def test_values_that_generators_bring_stay_valid(pump: PumpRunner) -> None:
    texts = [b'{"a": [{"n": %d}, {"n": %d}]}' % (number, number + 1) for number in range(0, 4000, 2)]
    sink = run(pump, texts, CySimdJsonParser, MappingValuesGenerator, IteratorGenerator, expected=4000)
    gc.collect()
    assert sorted(event["n"] for event in sink.events) == list(range(4000))


def test_events_that_an_aggregator_and_a_tee_hold_stay_valid(pump: PumpRunner) -> None:
    main, other = bspump.Pipeline(pump.app, "Main"), bspump.Pipeline(pump.app, "Other")
    source = MemorySource(pump.app, main, [text(number) for number in range(1000)])
    sink, copies = MemorySink(pump.app, main), MemorySink(pump.app, other)
    main.build(
        source,
        CySimdJsonParser(pump.app, main),
        TeeProcessor(pump.app, main).bind("Other.*TeeSource"),
        Aggregator(pump.app, main, ListEventAggregationStrategy(), config={"completion_size": 250}),
        sink,
    )
    other.build(TeeSource(pump.app, other), copies)

    async def scenario() -> None:
        await sink.wait_for(4)
        await copies.wait_for(1000)

    pump.run(scenario, main, other)
    expected = [json.loads(text(number)) for number in range(1000)]
    assert [event.export() for aggregate in sink.events for event in aggregate] == expected
    assert [event.export() for event in copies.events] == expected


def test_copies_are_the_same_thing_and_pickling_is_refused_in_a_sentence() -> None:
    value = parse_lazily(text(1))
    assert copy.deepcopy([value])[0] is value
    assert copy.copy(value) is value
    with pytest.raises(TypeError, match=r"LazyObject cannot be pickled; pickle what its export\(\) returns"):
        pickle.dumps(value)


@pytest.mark.parametrize("bad", [b"", b"{", b"{}{}", b'"\xff"', b"NaN", b"1" * 30])
def test_one_bad_text_does_not_take_the_others_along(pump: PumpRunner, bad: bytes) -> None:
    sink = run(pump, [b"{}", bad, bytearray(b'{"a":1}')], CySimdJsonParser, expected=2)
    assert [event.export() for event in sink.events] == [{}, {"a": 1}]


def test_memory_goes_with_the_events() -> None:
    def count() -> int:
        gc.collect()
        return sum(isinstance(thing, LazyObject) for thing in gc.get_objects())

    before = count()
    kept = [parse_lazily(b"{}") for _ in range(3)]
    assert count() == before + 3
    del kept[:2]
    assert count() == before + 1


WITHOUT = """
import sys, importlib.abc
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "cysimdjson":
            raise ModuleNotFoundError("No module named 'cysimdjson'", name="cysimdjson")
sys.meta_path.insert(0, Hidden())
import bspump, bspump.common
app = bspump.BSPumpApplication(args=[])
try:
    bspump.common.CySimdJsonParser(app, bspump.Pipeline(app, "P"))
except bspump.PluginError as error:
    print(error)
"""


def test_without_the_package_a_sentence_says_what_to_install() -> None:
    output = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == (
        "CySimdJsonParser('P.CySimdJsonParser') needs a package: pip install 'bspump-core[simdjson]'"
    )
