"""Every processor of bspump.common and its neighbours, alike: wrong events, wrong options, batches, single events."""

from __future__ import annotations

import copy
import datetime
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import bspump
import bspump.common
import bspump.filter
import bspump.random
import bspump.subprocess
from bspump.abc.processor import ProcessorBase
from bspump.testing import MemorySink, MemorySource, PumpRunner

Make = Callable[[Any, bspump.Pipeline], ProcessorBase]


class Renaming(bspump.common.MappingTransformator):
    def build(self, app: Any) -> dict[Any, Any]:
        return {"a": lambda key, value: ("b", value)}


class Normalising(bspump.common.TimeZoneNormalizer):
    def process(self, context: bspump.Context, event: Any) -> Any:
        return self.normalize(event)


class Case(NamedTuple):
    """A processor, events that it takes, and those that it does not, with what it says that it expects."""

    name: str
    make: Make
    good: list[Any]
    bad: list[Any]
    expects: str


def of(kind: Any, **config: Any) -> Make:
    return lambda app, pipeline: kind(app, pipeline, id="X", config=config)


def strings(app: Any, pipeline: bspump.Pipeline) -> ProcessorBase:
    strategy = bspump.common.StringAggregationStrategy()
    return bspump.common.Aggregator(app, pipeline, strategy, id="X", config={"completion_size": 1})


PRINTERS: list[Any] = [
    bspump.common.PrintSink,
    bspump.common.PPrintSink,
    bspump.common.PrintProcessor,
    bspump.common.PPrintProcessor,
    bspump.common.PrintContextProcessor,
    bspump.common.PPrintContextProcessor,
]


def printing(kind: Any) -> Make:
    return lambda app, pipeline: kind(app, pipeline, id="X", stream=io.StringIO())


def query(app: Any, pipeline: bspump.Pipeline) -> ProcessorBase:
    return bspump.filter.ContentFilter(app, pipeline, query={"a": {"$gt": 1}}, id="X")


DICTIONARIES: list[Any] = [{"a": 1}, {}, {"a": 2, "b": {"c": [1]}}, {"a": 3, "z": None}]
NO_MAPPINGS: list[Any] = ["x", b"x", 5, [1], ("a", 1), True]
BYTES: list[Any] = [b"abc", b"", bytearray(b"x"), b"12"]
UNSERIALISABLE: list[Any] = [object(), {"a": object()}, {1, 2}, {"a": b"x"}, [1j]]
TIMES: list[Any] = [datetime.datetime.fromisoformat("2022-07-01T12:00"), datetime.datetime.now(datetime.UTC)]

CASES = [
    Case("str to bytes", of(bspump.common.StringToBytesParser), ["a", "ž", ""], [b"a", 5, {}], "expects str"),
    Case("bytes to str", of(bspump.common.BytesToStringParser), BYTES, ["a", 5, {}, [b"a"]], "expects bytes"),
    Case("hexlify", of(bspump.common.HexlifyProcessor), [*BYTES, memoryview(b"x")], ["a", 5, {}], "expects bytes"),
    Case("flatten", of(bspump.common.FlattenDictProcessor), DICTIONARIES, NO_MAPPINGS, "expects a dictionary"),
    Case("keys", of(bspump.common.MappingKeysProcessor), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("values", of(bspump.common.MappingValuesProcessor), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("items", of(bspump.common.MappingItemsProcessor), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("each key", of(bspump.common.MappingKeysGenerator), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("each value", of(bspump.common.MappingValuesGenerator), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("each item", of(bspump.common.MappingItemsGenerator), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("iterator", of(bspump.common.IteratorGenerator), [[1], "ab", {"a": 1}, ()], [5, 1.5, object()], "iterated"),
    Case("transform", of(Renaming), DICTIONARIES, NO_MAPPINGS, "expects a mapping"),
    Case("time zone", of(Normalising), TIMES, ["2022-07-01", 5, TIMES[0].date()], "a datetime"),
    Case("parse", of(bspump.common.StdJsonToDictParser), ["1", b"{}", "[1]"], [5, {}, [b"1"]], "JSON as str or bytes"),
    Case("lazy", of(bspump.common.CySimdJsonParser), [b"{}", bytearray(b"[1]")], ["{}", 5, {}], "JSON as bytes"),
    Case(
        "dump", of(bspump.common.StdDictToJsonParser), [*DICTIONARIES, "x", 1], UNSERIALISABLE, "expects dictionaries"
    ),
    Case(
        "dump bytes",
        of(bspump.common.DictToJsonBytesParser),
        [*DICTIONARIES, "x", 2**70, {1: float("nan")}],
        UNSERIALISABLE,
        "expects dictionaries",
    ),
    Case(
        "dump latin",
        of(bspump.common.DictToJsonBytesParser, encoding="latin-1"),
        [{"a": "é"}, {"a": "€"}, {"a": TIMES[1]}],
        UNSERIALISABLE,
        "expects dictionaries",
    ),
    Case("strings", strings, ["a", 5, {}], [b"a", bytearray(b"b")], "expects text"),
    Case("keep", of(bspump.filter.AttributeFilter, keep="a"), DICTIONARIES, NO_MAPPINGS, "expects a dictionary"),
    Case("drop", of(bspump.filter.AttributeFilter, drop="a"), DICTIONARIES, NO_MAPPINGS, "expects a dictionary"),
    Case("query", query, DICTIONARIES, NO_MAPPINGS, "expects a dictionary"),
    Case("enrich", of(bspump.random.RandomEnricher, seed=1), DICTIONARIES, NO_MAPPINGS, "expects a dictionary"),
]
# These take whatever comes.
ANYTHING = [
    Case("null", of(bspump.common.NullSink), [1, "a", b"b"], [], ""),
    Case("random drop", of(bspump.random.RandomDrop, seed=1), [*range(50)], [], ""),
    *(Case(kind.__name__, printing(kind), [1, "a", {}], [], "") for kind in PRINTERS),
]


def run(pump: PumpRunner, case: Case, events: list[Any], one_by_one: bool) -> tuple[list[Any], list[Any], list[str]]:
    """Return what came out, what failed, and why."""
    failed: list[Any] = []
    reasons: list[str] = []

    class Pipeline(bspump.Pipeline):
        def handle_error(self, exception: BaseException, context: bspump.Context | None, event: Any) -> bool:
            assert isinstance(exception, bspump.ProcessingError), repr(exception)
            failed.append(event)
            reasons.append(str(exception))
            return False

    pipeline = Pipeline(pump.app, "P", config={"on_error": "skip"})
    contexts: list[bspump.Context] = [{"n": number} for number in range(len(events))]
    source = MemorySource(pump.app, pipeline, copy_all(events), contexts=contexts, one_by_one=one_by_one)
    processor, sink = case.make(pump.app, pipeline), MemorySink(pump.app, pipeline)
    pipeline.build(source, processor, *([] if isinstance(processor, bspump.Sink) else [sink]))

    async def scenario() -> None:
        await source.finished.wait()
        await pipeline.checkpoint()

    pump.run(scenario, pipeline)
    assert not pipeline.is_error()
    assert pipeline._counts.errors == len(failed)
    assert source.commits[-1:] == [len(events)]
    stream = getattr(processor, "Stream", None)
    # What each event has become, with the context that it has; and what was printed.
    pairs = [
        (type(event), comparable(event), context) for event, context in zip(sink.events, sink.contexts, strict=True)
    ]
    return [*pairs, *([stream.getvalue()] if isinstance(stream, io.StringIO) else [])], failed, reasons


def copy_all(events: list[Any]) -> list[Any]:
    return [copy.deepcopy(event) if isinstance(event, dict) else event for event in events]


def comparable(event: Any) -> Any:
    return event.export() if hasattr(event, "export") else event


def mixed(case: Case) -> list[Any]:
    """Return good events with a bad one after each."""
    pairs = zip(case.good * len(case.bad), case.bad * len(case.good), strict=True)
    return [*case.good, *(event for pair in pairs for event in pair), *case.good]


@pytest.mark.parametrize("one_by_one", [False, True], ids=["batch", "single"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_type_ends_in_a_sentence_and_goes_the_way_of_on_error(
    pump: PumpRunner, case: Case, one_by_one: bool
) -> None:
    events = [case.good[0], *case.bad, case.good[0]]
    _, failed, reasons = run(pump, case, events, one_by_one)
    assert len(failed) == len(case.bad)
    for event, reason in zip(case.bad, reasons, strict=True):
        assert f"got {type(event).__name__}" in reason
        assert case.expects in reason
        assert "\n" not in reason
        assert "('P.X')" in reason


@pytest.mark.parametrize("case", [*CASES, *ANYTHING], ids=lambda case: case.name)
def test_a_batch_gives_the_same_as_each_event_alone(case: Case) -> None:
    results = []
    for events in (case.good, mixed(case) if case.bad else case.good):
        for one_by_one in (False, True):
            with PumpRunner() as pump:
                results.append(run(pump, case, events, one_by_one))
    batch, single, mixed_batch, mixed_single = results
    assert batch == single
    assert [repr(item) for item in mixed_batch[0]] == [repr(item) for item in mixed_single[0]]
    assert mixed_batch[2] == mixed_single[2]
    assert batch[0] or case.name == "null"


@pytest.mark.parametrize("case", [*CASES, *ANYTHING], ids=lambda case: case.name)
def test_process_batch_itself_gives_what_process_gives_or_has_done_nothing(pump: PumpRunner, case: Case) -> None:
    """With a bad event in the middle it raises, before anything of the batch has gone anywhere."""
    pipeline = bspump.Pipeline(pump.app, "P")
    processor, again = case.make(pump.app, pipeline), case.make(pump.app, pipeline)
    process_batch = getattr(processor, "process_batch", None)
    if process_batch is None or isinstance(processor, bspump.Generator):
        return
    contexts: list[bspump.Context] = [{"n": number} for number in range(len(case.good))]
    outcome = process_batch(copy.deepcopy(contexts), copy_all(case.good))
    singles = [
        (context, again.process(context, event))
        for context, event in zip(copy.deepcopy(contexts), copy_all(case.good), strict=True)
    ]
    kept = [(context, comparable(event)) for context, event in singles if event is not None]
    if isinstance(processor, bspump.Sink):
        assert outcome is None
    else:
        assert repr(list(zip(outcome[0], map(comparable, outcome[1]), strict=True))) == repr(kept)
    for bad in case.bad:
        events = [copy.deepcopy(case.good[0]), bad, copy.deepcopy(case.good[0])]
        with pytest.raises(Exception):  # noqa: B017, PT011 - the chain takes the events one by one, whatever it is
            process_batch([{}, {}, {}], events)


WRONG_OPTIONS: list[tuple[Any, dict[str, Any], list[str]]] = [
    (bspump.common.StringToBytesParser, {"encoding": "utf-9"}, ["encoding: 'utf-9' is no known text encoding"]),
    (bspump.common.BytesToStringParser, {"encoding": "hex"}, ["encoding: 'hex' is no known text encoding"]),
    (bspump.common.DictToJsonBytesParser, {"encoding": ""}, ["encoding: '' is no known text encoding"]),
    (Normalising, {"timezone": "Europe"}, ["timezone: 'Europe' is no known time zone"]),
    (
        bspump.common.Aggregator,
        {"completion_size": "ten", "completion_timeout": "1s", "completion_interval": 1},
        ["completion_size: 'ten' is not a whole number", "completion_interval: 1 cannot be set together with"],
    ),
    (
        bspump.common.InternalSource,
        {"queue_max_size": -1, "backpressure": 2},
        ["queue_max_size: -1 is below 0", "backpressure: 2 is above 1"],
    ),
    (bspump.filter.AttributeFilter, {"keep": "a", "drop": "b"}, ["drop: 'b' cannot be set together with keep"]),
    (
        bspump.filter.ContentFilter,
        {"query": "{", "inclusive": "so"},
        ["inclusive: 'so' is not", "query: '{' is no JSON"],
    ),
    (bspump.random.RandomDrop, {"drop_probability": "half"}, ["drop_probability: 'half' is not a number"]),
    (bspump.random.RandomEnricher, {"lower_bound": "a"}, ["lower_bound: 'a' is not a whole number"]),
    (bspump.random.RandomSource, {"number": "all"}, ["number: 'all' is not a whole number"]),
    (bspump.subprocess.SubProcessSource, {"restart": "x"}, ["command: '' is empty", "restart: 'x' is none of"]),
]


def test_all_wrong_options_are_said_together_and_nothing_starts(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """As a configuration file has them: every value is text."""
    pipeline = bspump.Pipeline(pump.app, "P")
    for kind, options, _ in WRONG_OPTIONS:
        kind(pump.app, pipeline, config={key: str(value) for key, value in options.items()})
    source, sink = MemorySource(pump.app, pipeline, [1]), MemorySink(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline)
    for kind, _, sentences in WRONG_OPTIONS:
        for sentence in sentences:
            sentence = sentence.replace(": -1", ": '-1'").replace(": 2 ", ": '2' ").replace(": 1 ", ": '1' ")
            assert f"[pipeline:P:{kind.__name__}] {sentence}" in caplog.text
    assert sink.events == []


@pytest.mark.parametrize("strategy", [bspump.common.ListAggregationStrategy, "list"])
def test_what_is_no_strategy_is_refused(pump: PumpRunner, strategy: Any) -> None:
    with pytest.raises(bspump.ConfigurationError, match="but expects an object of an AggregationStrategy"):
        bspump.common.Aggregator(pump.app, bspump.Pipeline(pump.app, "P"), strategy)


def test_what_is_no_iterator_is_refused(pump: PumpRunner) -> None:
    with pytest.raises(TypeError, match=r"IteratorSource\('P.\*IteratorSource'\) got int, but expects"):
        bspump.common.IteratorSource(pump.app, bspump.Pipeline(pump.app, "P"), 5)  # type: ignore[arg-type]
