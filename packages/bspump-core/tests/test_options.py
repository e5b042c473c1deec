"""Options are read from strings and from Python values, and their problems are reported together."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
import bspump.common
from bspump._component import Component
from bspump._options import Options
from bspump.testing import MemorySource, PumpRunner

DEFAULTS = {
    "yes": True,
    "no": "no",
    "count": 5,
    "share": 0.5,
    "pause": "1.5s",
    "size": "8MB",
    "mode": "fast",
}


def options(**config: Any) -> Options:
    return Options("section", {**DEFAULTS, **config}, DEFAULTS)


@pytest.mark.parametrize("value", [True, "true", "Yes", " ON ", "1", 1, "t", "y"], ids=repr)
def test_words_for_true(value: Any) -> None:
    assert options(no=value).boolean("no") is True


@pytest.mark.parametrize("value", [False, "false", "No", "off", "0", 0, "F", "n"], ids=repr)
def test_words_for_false(value: Any) -> None:
    assert options(yes=value).boolean("yes") is False


@pytest.mark.parametrize(("value", "number"), [(7, 7), ("7", 7), (" 7 ", 7), ("-7", -7), ("1_000", 1000)], ids=repr)
def test_whole_numbers(value: Any, number: int) -> None:
    assert options(count=value).integer("count") == number


@pytest.mark.parametrize(
    ("value", "number"), [(0.25, 0.25), ("0.25", 0.25), ("1e-3", 0.001), (1, 1.0), ("1", 1.0)], ids=repr
)
def test_numbers(value: Any, number: float) -> None:
    assert options(share=value).number("share", minimum=0, maximum=1) == number


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.5, 0.5), ("5", 5.0), ("1.5s", 1.5), ("20ms", 0.02), ("2m", 120.0), ("1 h", 3600.0), ("1D", 86400.0)],
    ids=repr,
)
def test_durations(value: Any, seconds: float) -> None:
    assert options(pause=value).seconds("pause") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "size"),
    [(100, 100), ("100", 100), ("64k", 65536), ("16MB", 2**24), ("1.5 KB", 1536), ("1G", 2**30), ("10B", 10)],
    ids=repr,
)
def test_sizes(value: Any, size: int) -> None:
    assert options(size=value).size("size") == size


def test_choices() -> None:
    assert options(mode=" slow ").choice("mode", ("fast", "slow")) == "slow"


def test_text_is_always_a_string() -> None:
    assert options(mode=12).text("mode") == "12"


@pytest.mark.parametrize(
    ("method", "key", "value", "default", "expectation"),
    [
        ("boolean", "yes", "maybe", True, "is not yes or no (true/false, on/off, 1/0)"),
        ("boolean", "no", "", False, "is not yes or no (true/false, on/off, 1/0)"),
        ("integer", "count", "1.5", 5, "is not a whole number"),
        ("integer", "count", "", 5, "is not a whole number"),
        ("number", "share", "half", 0.5, "is not a number"),
        ("number", "share", "nan", 0.5, "is not a number"),
        ("seconds", "pause", "soon", 1.5, "is not a duration in seconds (such as 5, 1.5s, 2m, 1h)"),
        ("seconds", "pause", "nan", 1.5, "is not a duration in seconds (such as 5, 1.5s, 2m, 1h)"),
        ("seconds", "pause", "-1", 1.5, "is below 0 seconds"),
        ("size", "size", "heavy", 2**23, "is not a size in bytes (such as 100, 64k, 16MB, 1G)"),
        ("size", "size", "inf", 2**23, "is not a size in bytes (such as 100, 64k, 16MB, 1G)"),
        ("size", "size", "-1", 2**23, "is not a size in bytes (such as 100, 64k, 16MB, 1G)"),
        ("size", "size", "5TB", 2**23, "is not a size in bytes (such as 100, 64k, 16MB, 1G)"),
    ],
)
def test_a_problem_names_section_option_value_and_expectation_and_the_default_stands_in(
    method: str, key: str, value: Any, default: Any, expectation: str
) -> None:
    read = options(**{key: value})
    assert getattr(read, method)(key) == default
    assert read.problems == [f"[section] {key}: {value!r} {expectation}"]


def test_limits_and_choices_are_named() -> None:
    read = options(count="0", share="1.5", mode="warp")
    assert read.integer("count", minimum=1) == 5
    assert read.number("share", minimum=0.0, maximum=1.0) == 0.5
    assert read.number("share", minimum=2.0) == 0.5
    assert read.choice("mode", ("fast", "slow")) == "fast"
    read.refuse("count", "is unlucky")
    assert read.problems == [
        "[section] count: '0' is below 1",
        "[section] share: '1.5' is above 1",
        "[section] share: '1.5' is below 2",
        "[section] mode: 'warp' is none of fast, slow",
        "[section] count: '0' is unlucky",
    ]
    with pytest.raises(bspump.ConfigurationError) as raised:
        read.raise_problems()
    assert raised.value.problems == tuple(read.problems)
    assert str(raised.value).splitlines() == read.problems


def test_no_problem_raises_nothing() -> None:
    options().raise_problems()


def test_the_most_derived_default_wins_then_the_file_then_the_argument(pump: PumpRunner) -> None:
    class Base(Component):
        ConfigDefaults = {"a": 1, "b": 1, "c": 1, "d": 1}

    class Derived(Base):
        ConfigDefaults = {"b": 2, "c": 2, "d": 2}

    pump.configure("section", c="3", d="3")
    component = Derived(pump.app, "section", config={"d": 4})
    assert [component.Config[key] for key in "abcd"] == [1, 2, "3", 4]
    assert component.declares("a")
    assert not component.declares("e")


def test_strings_of_a_file_become_what_the_components_need(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", async_concurency_limit="7", reset_profiler="off", stop_timeout="2m", on_error=" skip ")
    pump.configure("pipeline:P:MemorySource", commit_interval="20ms")
    pump.configure("pipeline:P:InternalSource", queue_max_size="20", backpressure="0.5")
    pump.configure("pipeline:P:Aggregator", completion_size="3", completion_timeout="1m")
    pipeline = bspump.Pipeline(pump.app, "P")
    assert (pipeline.AsyncConcurencyLimit, pipeline.ResetProfiler, pipeline.stop_timeout) == (7, False, 120.0)
    assert MemorySource(pump.app, pipeline).commit_interval == 0.02
    source = bspump.common.InternalSource(pump.app, pipeline)
    assert (source.Queue.maxsize, source._high) == (20, 10)
    aggregator = bspump.common.Aggregator(pump.app, pipeline)
    assert (aggregator.CompletionSize, aggregator.CompletionTimeout) == (3, 60.0)
    assert pump.service.configuration_problems == []


def test_problems_of_all_components_are_collected(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", on_error="explode", stop_timeout="never", async_concurency_limit="0")
    pump.configure("pipeline:P:InternalSource", queue_max_size="-1", backpressure="80%")
    pump.configure("pipeline:P:Aggregator", completion_timeout="1", completion_interval="1")
    pump.configure("pipeline:P:DictToJsonBytesParser", encoding="klingon")
    pipeline = bspump.Pipeline(pump.app, "P")
    bspump.common.InternalSource(pump.app, pipeline)
    bspump.common.Aggregator(pump.app, pipeline)
    bspump.common.DictToJsonBytesParser(pump.app, pipeline)
    assert pump.service.configuration_problems == [
        "[pipeline:P] async_concurency_limit: '0' is below 1",
        "[pipeline:P] on_error: 'explode' is none of stop, skip, dead_letter",
        "[pipeline:P] stop_timeout: 'never' is not a duration in seconds (such as 5, 1.5s, 2m, 1h)",
        "[pipeline:P:InternalSource] queue_max_size: '-1' is below 0",
        "[pipeline:P:InternalSource] backpressure: '80%' is not a number",
        "[pipeline:P:Aggregator] completion_interval: '1' cannot be set together with completion_timeout",
        "[pipeline:P:DictToJsonBytesParser] encoding: 'klingon' is no known text encoding (such as utf-8)",
    ]
