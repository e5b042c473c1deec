"""Options that a component declares."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import bspump
from bspump import option
from bspump._component import merged_defaults
from bspump._options import Options
from bspump.option import declared_options
from bspump.testing import MemorySource, PumpRunner


class AcmeSink(bspump.Sink):
    """Sends events to Acme."""

    address = option.text("acme", key="url", aliases=("host",), help="Where Acme listens.")
    token = option.secret(help="What Acme knows us by.")
    level = option.choice("low", ("low", "high"), help="How loud.")
    tries = option.integer(3, minimum=1, help="How often it is tried.")
    share = option.number(0.5, minimum=0, maximum=1, help="Which part is sent.")
    timeout = option.seconds(30.0, help="How long an answer may take.")
    limit = option.size("2k", help="How large an event may be.")
    is_strict = option.boolean(False, help="Whether to be strict.")
    codec = option.encoding("utf-8", help="The text encoding.")

    def process(self, context: bspump.Context, event: Any) -> None: ...


class LoudSink(AcmeSink):
    """Is loud."""

    ConfigDefaults = {"level": "high", "undeclared": 1}


class NamedSink(bspump.Sink):
    """Needs a name."""

    name = option.text(required=True, help="Its name.")
    old = option.text("x", deprecated="0.2, use name", help="Its former name.")

    def process(self, context: bspump.Context, event: Any) -> None: ...


def test_values_have_the_type_that_was_declared(pump: PumpRunner) -> None:
    pump.configure("pipeline:P:Acme", url="here", tries="5", share="0.25", timeout="2m", limit="1M", is_strict="yes")
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = AcmeSink(pump.app, pipeline, "Acme", config={"codec": "latin-1"})
    assert (sink.address, sink.tries, sink.share, sink.timeout, sink.limit) == ("here", 5, 0.25, 120.0, 1 << 20)
    assert (sink.is_strict, sink.codec, sink.level, sink.token) == (True, "latin-1", "low", "")
    assert pump.service.configuration_problems == []


def test_defaults_are_values_too(pump: PumpRunner) -> None:
    sink = AcmeSink(pump.app, bspump.Pipeline(pump.app, "P"))
    assert (sink.address, sink.limit, sink.is_strict) == ("acme", 2048, False)
    assert sink.Config["limit"] == "2k"


def test_a_text_that_is_nothing_is_empty(pump: PumpRunner) -> None:
    assert AcmeSink(pump.app, bspump.Pipeline(pump.app, "P"), config={"url": None}).address == ""


def test_a_derived_class_changes_a_default(pump: PumpRunner) -> None:
    sink = LoudSink(pump.app, bspump.Pipeline(pump.app, "P"))
    assert (sink.level, sink.tries) == ("high", 3)
    assert merged_defaults(LoudSink)["undeclared"] == 1
    assert list(declared_options(LoudSink)) == [
        "url", "token", "level", "tries", "share", "timeout", "limit", "is_strict", "codec",
    ]  # fmt: skip


def test_an_option_may_have_another_key(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    assert AcmeSink(pump.app, pipeline, config={"host": "there"}).address == "there"


def test_a_derived_class_that_declares_an_attribute_under_another_key_has_that_key_alone(pump: PumpRunner) -> None:
    class OtherKey(AcmeSink):
        timeout = option.seconds(5.0, key="patience", help="How long an answer may take.")

    class Impatient(OtherKey):
        ConfigDefaults = {"patience": 1.0}

    assert {"timeout", "patience"} & declared_options(OtherKey).keys() == {"patience"}
    assert {"timeout", "patience"} & merged_defaults(OtherKey).keys() == {"patience"}
    assert declared_options(AcmeSink)["timeout"].default == merged_defaults(AcmeSink)["timeout"] == 30.0
    pipeline = bspump.Pipeline(pump.app, "P")
    assert OtherKey(pump.app, pipeline, config={"patience": "2m", "timeout": 3}).timeout == 120.0
    assert Impatient(pump.app, pipeline, "I").timeout == 1.0


def test_a_key_that_is_free_again_may_be_that_of_another_attribute(pump: PumpRunner) -> None:
    class Swapped(AcmeSink):
        tries = option.integer(1, key="most_tries", help="How often it is tried.")
        repetitions = option.integer(9, key="tries", help="Something else.")

    assert {"tries", "most_tries"} <= merged_defaults(Swapped).keys()
    sink = Swapped(pump.app, bspump.Pipeline(pump.app, "P"), config={"tries": 2})
    assert (sink.tries, sink.repetitions) == (1, 2)


def test_a_value_may_be_read_by_a_function_of_its_own(pump: PumpRunner) -> None:
    def read_point(options: Options, key: str) -> tuple[int, ...]:
        value = options.raw(key)
        try:
            return tuple(map(int, value.split(",") if isinstance(value, str) else value))
        except (TypeError, ValueError):
            options.refuse(key, "is no point (such as 1, 2)")
            return (0, 0)

    class Pointed(bspump.Sink):
        point = option.custom(read_point, "1, 2", values="point", schema={"type": "string"}, help="Where it is.")

        def process(self, context: bspump.Context, event: Any) -> None: ...

    pipeline = bspump.Pipeline(pump.app, "P")
    assert Pointed(pump.app, pipeline).point == (1, 2)
    assert Pointed(pump.app, pipeline, config={"point": [3, 4]}).point == (3, 4)
    assert Pointed(pump.app, pipeline, "Far", config={"point": "away"}).point == (0, 0)
    assert pump.service.configuration_problems == ["[pipeline:P:Far] point: 'away' is no point (such as 1, 2)"]


def test_an_encoding_may_be_empty_if_the_declaration_says_what_that_means(pump: PumpRunner) -> None:
    class Text(bspump.Sink):
        free = option.encoding("", help="May be empty.")
        usual = option.encoding("utf-8", empty="latin-1", help="May be empty too.")
        strict = option.encoding("utf-8", help="May not be empty.")

        def process(self, context: bspump.Context, event: Any) -> None: ...

    pipeline = bspump.Pipeline(pump.app, "P")
    sink = Text(pump.app, pipeline)
    assert (sink.free, sink.usual, sink.strict) == ("", "utf-8", "utf-8")
    sink = Text(pump.app, pipeline, "T", config={"free": " ", "usual": " ", "strict": ""})
    assert (sink.free, sink.usual, sink.strict) == ("", "latin-1", "utf-8")
    assert pump.service.configuration_problems == [
        "[pipeline:P:T] strict: '' is no known text encoding (such as utf-8)"
    ]


@pytest.mark.parametrize("value", ["a: 1\n\n b : x:y\nc:", {"a": 1, "b": "x:y", "c": ""}])
def test_a_mapping_has_a_name_and_a_value_on_each_line(pump: PumpRunner, value: object) -> None:
    class Labelled(bspump.Sink):
        labels = option.mapping(help="What is said of it.")

        def process(self, context: bspump.Context, event: Any) -> None: ...

    pipeline = bspump.Pipeline(pump.app, "P")
    assert Labelled(pump.app, pipeline, config={"labels": value}).labels == {"a": "1", "b": "x:y", "c": ""}
    assert Labelled(pump.app, pipeline).labels == {}
    assert pump.service.configuration_problems == []
    assert Labelled(pump.app, pipeline, "L", config={"labels": "a: 1\nhush"}).labels == {}
    assert pump.service.configuration_problems == [
        "[pipeline:P:L] labels: number 2 is not of the form 'Name: value', on a line of its own"
    ]


def test_a_default_that_cannot_be_printed_is_shown_in_quotes() -> None:
    class Lines(bspump.Sink):
        """Ends lines."""

        end = option.text("\n", help="What ends a line.")

        def process(self, context: bspump.Context, event: Any) -> None: ...

    assert (inspect.getdoc(Lines) or "").endswith("end: What ends a line (text; default: '\\n').")


def test_every_value_that_cannot_be_read_is_told_at_once(pump: PumpRunner) -> None:
    config = {"level": "medium", "tries": "0", "share": 2, "timeout": "soon", "limit": "big", "is_strict": "maybe"}
    AcmeSink(pump.app, bspump.Pipeline(pump.app, "P"), "A", config={**config, "codec": "utf-9"})
    assert pump.service.configuration_problems == [
        "[pipeline:P:A] level: 'medium' is none of low, high",
        "[pipeline:P:A] tries: '0' is below 1",
        "[pipeline:P:A] share: 2 is above 1",
        "[pipeline:P:A] timeout: 'soon' is not a duration in seconds (such as 5, 1.5s, 2m, 1h)",
        "[pipeline:P:A] limit: 'big' is not a size in bytes (such as 100, 64k, 16MB, 1G)",
        "[pipeline:P:A] is_strict: 'maybe' is not yes or no (true/false, on/off, 1/0)",
        "[pipeline:P:A] codec: 'utf-9' is no known text encoding (such as utf-8)",
    ]


def test_what_is_required_and_missing_is_told(pump: PumpRunner) -> None:
    NamedSink(pump.app, bspump.Pipeline(pump.app, "P"))
    assert pump.service.configuration_problems == [
        "[pipeline:P:NamedSink] name: '' is missing; it has to be set (text)"
    ]


def test_a_deprecated_option_that_is_used_is_warned_of(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    NamedSink(pump.app, pipeline, config={"name": "n"})
    assert "deprecated" not in caplog.text
    NamedSink(pump.app, pipeline, config={"name": "n", "old": "y"})
    assert "[pipeline:P:NamedSink] old: deprecated since 0.2, use name" in caplog.text


def test_a_secret_is_not_shown_when_it_is_refused(pump: PumpRunner) -> None:
    class Strict(AcmeSink):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            with self.options() as options:
                options.refuse("token", "is too short")

    Strict(pump.app, bspump.Pipeline(pump.app, "P"), "S", config={"token": "hush"})
    assert pump.service.configuration_problems == ["[pipeline:P:S] token: the value is too short"]


def test_the_help_of_a_class_has_its_own_options() -> None:
    assert inspect.getdoc(NamedSink) == (
        "Needs a name.\n\nOptions:\n    name: Its name (text; required).\n"
        "    old: Its former name (text; default: x; deprecated since 0.2, use name)."
    )
    assert "is_strict: Whether to be strict (yes or no; default: no)." in (inspect.getdoc(AcmeSink) or "")
    assert "token: What Acme knows us by (text; secret)." in (inspect.getdoc(AcmeSink) or "")
    assert inspect.getdoc(LoudSink) == "Is loud."


def test_a_source_takes_declared_options_from_the_section_of_its_pipeline(pump: PumpRunner) -> None:
    class Wide(MemorySource):
        """Is configured by its pipeline."""

        color = option.text("red", help="A color.")

    pump.configure("pipeline:P", color="green")
    pipeline = bspump.Pipeline(pump.app, "P")
    assert Wide(pump.app, pipeline).color == "green"
    assert Wide(pump.app, pipeline, config={"color": "blue"}).color == "blue"


def test_each_option_has_a_json_schema() -> None:
    schemas = {key: one.schema for key, one in declared_options(AcmeSink).items()}
    assert schemas["level"] == {"enum": ["low", "high"]}
    assert schemas["tries"] == {"type": "integer", "minimum": 1}
    assert schemas["share"] == {"type": "number", "minimum": 0, "maximum": 1}
