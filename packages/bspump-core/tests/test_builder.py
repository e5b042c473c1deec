"""Pumps are built from definitions, and every mistake in one is said with its place."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

import bspump
import bspump.trigger
from bspump import PumpBuilder
from bspump.testing import MemorySink, MemorySource, PumpRunner

HERE = "parts_of_definitions"


class Wire(bspump.Connection):
    ConfigDefaults = {"speed": "10"}


class Words(bspump.TriggerSource):
    def __init__(
        self, app: Any, pipeline: bspump.Pipeline, connection: str, words: Any, id: Any = None, config: Any = None
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.connection = pipeline.locate_connection(app, connection)
        self.words = iter(words)

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        for word in self.words:
            await self.process(word)


class Translate(bspump.Processor):
    ConfigDefaults = {"language": "en"}

    def __init__(self, app: Any, pipeline: bspump.Pipeline, lookup: str, id: Any = None, config: Any = None) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.lookup: Any = app.PumpService.locate_lookup(lookup)

    def process(self, context: bspump.Context, event: Any) -> Any:
        return f"{self.Config['language']}:{self.lookup.get(event, event)}"


class Fussy(bspump.Processor):
    def __init__(self, app: Any, pipeline: bspump.Pipeline, mood: str = "", id: Any = None, config: Any = None) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        if mood == "bug":
            raise ZeroDivisionError("in the class, not in the definition")
        raise bspump.ConfigurationError(f"mood: {mood!r} is not good", "weather: bad too")

    def process(self, context: bspump.Context, event: Any) -> Any:
        return event


class Unfinished(bspump.Processor):
    pass


class OwnWay(bspump.Processor):
    """Is built in its own way from keys of its own."""

    def __init__(self, app: Any, pipeline: bspump.Pipeline, suffix: str) -> None:
        super().__init__(app, pipeline)
        self.suffix = suffix

    @classmethod
    def construct(cls, app: Any, pipeline: bspump.Pipeline, definition: Mapping[str, Any]) -> Self:
        return cls(app, pipeline, definition["suffix"])

    def process(self, context: bspump.Context, event: Any) -> Any:
        return event + self.suffix


def nothing() -> None:
    """Is no class."""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def part(name: str, **keys: Any) -> dict[str, Any]:
    return {"module": HERE, "class": name, **keys}


SOURCE = {
    "module": "bspump.testing",
    "class": "MemorySource",
    "args": {"events": [1]},
}
SINK = {"module": "bspump.testing", "class": "MemorySink"}


def pump_with(*processors: Any, **keys: Any) -> dict[str, Any]:
    return {"pipelines": [{"id": "P", "sources": [SOURCE], "processors": list(processors), "sink": SINK, **keys}]}


def problems_of(pump: PumpRunner, definition: Any) -> list[str]:
    with pytest.raises(bspump.ConfigurationError) as caught:
        PumpBuilder(definition).construct_pump(pump.app, pump.service)
    return list(caught.value.problems)


WHOLE = """
x-note: &english {language: EN}
connections:
  - {id: W, module: parts_of_definitions, class: Wire, config: {speed: 100}}
lookups:
  - id: Names
    module: bspump
    class: DictionaryLookup
    config:
      source_url:
    args:
pipelines:
  - id: P
    config:
      on_error: skip
    sources:
      - id: First
        module: parts_of_definitions
        class: Words
        args: {connection: W, words: [a, b]}
        trigger: {module: bspump.trigger, class: PubSubTrigger, id: T, args: {message_types: go!}}
      - {module: bspump.testing, class: MemorySource, args: {events: [c]}}
    processors:
      - {id: T, module: parts_of_definitions, class: Translate, config: *english, args: {lookup: Names}}
      - {module: parts_of_definitions, class: OwnWay, suffix: "!"}
    sink: {module: bspump.testing, class: MemorySink}
  - id: Q
    sources: [{module: bspump.common, class: InternalSource}]
    processors:
    sink: {module: bspump.common, class: NullSink}
""".replace("      source_url:\n", "      use_cache: no\n")


@pytest.mark.parametrize("form", ["dictionary", "json", "yaml", "yml"])
def test_a_pump_is_built_and_runs(pump: PumpRunner, tmp_path: Path, form: str) -> None:
    import yaml

    content = yaml.safe_load(WHOLE)
    path = tmp_path / f"pump.{form}"
    path.write_text(json.dumps(content) if form == "json" else WHOLE)
    PumpBuilder(content if form == "dictionary" else str(path)).construct_pump(pump.app, pump.service)
    service = pump.service
    assert (list(service.Connections), list(service.Lookups), list(service.Pipelines)) == (["W"], ["Names"], ["P", "Q"])
    assert service.locate_connection("W").Config["speed"] == 100
    names = service.locate_lookup("Names")
    assert isinstance(names, bspump.DictionaryLookup)
    names.set({"a": "Anna"})
    pipeline = service.Pipelines["P"]
    assert pipeline.Config["on_error"] == "skip"
    first, second = pipeline.Sources
    assert isinstance(first, Words)
    assert first.connection is service.locate_connection("W")
    [trigger] = first.Triggers
    assert (type(trigger), trigger.Id) == (bspump.trigger.PubSubTrigger, "T")
    assert isinstance(second, MemorySource)
    assert [processor.Id for processor in pipeline.iter_processors()] == ["T", "OwnWay", "MemorySink"]
    sink = service.locate("P.MemorySink")
    assert isinstance(sink, MemorySink)

    async def scenario() -> None:
        await second.finished.wait()
        pump.app.PubSub.publish("go!")
        await sink.wait_for(3)

    pump.run(scenario)
    assert sink.events == ["EN:c!", "EN:Anna!", "EN:b!"]


def test_the_configuration_file_has_a_say_too(pump: PumpRunner) -> None:
    pump.configure("connection:W", speed="1")
    pump.configure("connection:V", speed="1")
    connections = [part("Wire", id="W"), part("Wire", id="V", config={"speed": "2"})]
    PumpBuilder({"connections": connections}).construct_pump(pump.app, pump.service)
    assert [connection.Config["speed"] for connection in pump.service.Connections.values()] == ["1", "2"]


def test_parts_may_be_built_one_by_one(pump: PumpRunner) -> None:
    builder = PumpBuilder({})
    wire = builder.construct_connection(pump.app, pump.service, part("Wire", id="W"))
    assert pump.service.locate_connection("W") is wire
    pipeline = bspump.Pipeline(pump.app, "P")
    [source] = builder.construct_sources(pump.app, pump.service, pipeline, [SOURCE])
    processor = builder.construct_processor(pump.app, pump.service, pipeline, part("OwnWay", suffix="?"))
    sink = builder.construct_processor(pump.app, pump.service, pipeline, SINK)
    assert pipeline.Sources == [source]
    assert list(pipeline.iter_processors()) == [processor, sink]
    trigger = builder.construct_trigger(
        pump.app, pump.service, {"module": "bspump.trigger", "class": "PubSubTrigger", "args": {"message_types": "go!"}}
    )
    assert isinstance(trigger, bspump.trigger.PubSubTrigger)
    with pytest.raises(bspump.ConfigurationError, match=r"^class: 'parts_of_definitions' has no class 'Wires'"):
        builder.construct_connection(pump.app, pump.service, part("Wires"))


def test_a_pump_may_be_built_in_steps(pump: PumpRunner) -> None:
    PumpBuilder({"connections": [part("Wire", id="W")]}).construct_pump(pump.app, pump.service)
    source = part("Words", args={"connection": "W", "words": []})
    PumpBuilder(pump_with(sources=[source])).construct_pump(pump.app, pump.service)
    assert problems_of(pump, {"connections": [part("Wire", id="W")], **pump_with()}) == [
        "connections[0].id: 'W' is registered already; give it another id",
        "pipelines[0].id: 'P' is registered already; give it another id",
    ]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (5, "expected an object with the keys id, module, class, config, args, got int"),
        ({}, ".module: is missing"),
        (part("Translate", args={}), ".args: do not fit Translate: missing a required argument: 'lookup'"),
        (part("Fussy", args={"moo": 1}), ".args: do not fit Fussy: got an unexpected keyword argument 'moo'"),
        (part("Fussy", args={"config": {}}), ".args.config: is to stand beside 'args', as 'config'"),
        (part("Fussy", args=["a"]), ".args: expected an object, got a list"),
        (part("Fussy", config="a"), ".config: expected an object, got a text"),
        (part("Fussy", config={True: 1}), ".config: the name True is no text; put it in quotes"),
        (part("Fussy", config={"path": None}), ".config.path: has no value; leave it out to get the default"),
        (part("Fussy", id=5), ".id: expected a text, got int"),
        (part("Fussy", arg={}), ".arg: there is no such key; did you mean 'args'?"),
        (part("Fussy", trigger={}), ".trigger: there is no such key; the keys are id, module, class, config, args"),
        (part("Translated"), ".class: 'parts_of_definitions' has no class 'Translated'; did you mean 'Translate'?"),
        (part("Words"), ".class: 'Words' is no processor"),
        (part("nothing"), ".class: 'nothing' is no processor"),
        (part("Unfinished"), ".class: 'Unfinished' is abstract: it does not define process"),
        (SINK, ".class: 'MemorySink' is a sink, so its place is 'sink'"),
        ({"module": "no.such", "class": "X"}, ".module: there is no module 'no.such'"),
        (
            {"module": "bspump.moon.phases", "class": "X"},
            ".module: there is no module 'bspump.moon.phases'",
        ),
        ({"module": ".", "class": "X"}, ".module: '.' cannot be imported: "),
        ({"module": 5, "class": "X"}, ".module: expected a text, got int"),
        (part("Fussy", args={"mood": "bad"}), ": cannot be built: mood: 'bad' is not good"),
        (part("OwnWay"), ": cannot be built: the key 'suffix' is missing"),
        (
            part("Translate", args={"lookup": "L"}),
            ": cannot be built: Cannot find lookup 'L'; registered: none",
        ),
    ],
)
def test_what_is_wrong_with_a_part_is_said_with_its_place(pump: PumpRunner, wrong: Any, problem: str) -> None:
    first = problems_of(pump, pump_with(part("OwnWay", suffix=""), wrong))[0]
    assert first.removeprefix("pipelines[0].processors[1]").removeprefix(": ").startswith(problem.removeprefix(": "))
    assert first.startswith("pipelines[0].processors[1]")
    assert "P" not in pump.service.Pipelines


def test_all_mistakes_are_said_at_once(pump: PumpRunner) -> None:
    definition = {
        "conections": [],
        "_comment": "JSON has no comments",
        "connections": [part("Wire", id="W"), part("Wire", id="W"), part("Wire", args={})],
        "lookups": {"id": "L"},
        "pipelines": [
            {"id": "P", "sources": [part("Words", trigger={"module": "bspump.trigger", "class": "Abracadabra"})]},
            {"sources": [], "processors": [part("Wire")], "sink": part("Words"), "on_error": "skip"},
            {"id": "R", "sources": [{**SOURCE, "trigger": {}}], "sink": SINK},
            "P",
        ],
    }
    assert problems_of(pump, definition) == [
        "conections: there is no such key; did you mean 'connections'?",
        "connections[2].args: there is no such key; the keys are id, module, class, config",
        "connections[1].id: 'W' is the id of connections[0] too; give it another id",
        "lookups: expected a list, got an object",
        "pipelines[0].sources[0].args: do not fit Words: missing a required argument: 'connection'",
        "pipelines[0].sources[0].trigger.class: 'bspump.trigger' has no class 'Abracadabra'",
        "pipelines[0].sink: is missing; a pipeline needs one",
        "pipelines[1].on_error: there is no such key; the keys are id, config, sources, processors, sink",
        "pipelines[1].id: is missing",
        "pipelines[1].sources: is missing; a pipeline needs one source at least",
        "pipelines[1].processors[0].class: 'Wire' is no processor",
        "pipelines[1].sink.class: 'Words' is no sink",
        "pipelines[2].sources[0].trigger: 'MemorySource' is no TriggerSource, it works without a trigger",
        "pipelines[2].sources[0].trigger.module: is missing",
        "pipelines[2].sources[0].trigger.class: is missing",
        "pipelines[3]: expected an object with the keys id, config, sources, processors, sink, got a text",
    ]
    assert not pump.service.Connections


def test_all_that_constructors_refuse_is_said_at_once(pump: PumpRunner) -> None:
    trigger = {"module": "bspump.trigger", "class": "CronTrigger", "args": {"schedule": "never"}}
    definition: dict[str, Any] = {
        "connections": [part("Wire", id="W")],
        "pipelines": [
            {
                "id": name,
                "sources": [part("Words", args={"connection": "X", "words": []}), SOURCE],
                "processors": [part("Fussy", args={"mood": "bad"})],
                "sink": SINK,
            }
            for name in ("P", "Q")
        ],
    }
    definition["pipelines"][1]["sources"] = [
        part("Words", args={"connection": "W", "words": 5}),
        {"module": "bspump.common", "class": "IteratorSource", "args": {"iterator": []}, "trigger": trigger},
    ]
    problems = problems_of(pump, definition)
    assert problems[:5] == [
        "pipelines[0].sources[0]: cannot be built: Cannot find connection 'X'; registered: 'W'",
        "pipelines[0].processors[0]: cannot be built: mood: 'bad' is not good",
        "pipelines[0].processors[0]: cannot be built: weather: bad too",
        "pipelines[1].sources[0]: cannot be built: TypeError: 'int' object is not iterable",
        problems[4],
    ]
    assert problems[4].startswith("pipelines[1].sources[1].trigger: cannot be built: CronTrigger schedule: 'never'")
    assert not pump.service.Pipelines


def test_a_bug_in_a_class_is_not_called_a_mistake_in_the_definition(pump: PumpRunner) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        PumpBuilder(pump_with(part("Fussy", args={"mood": "bug"}))).construct_pump(pump.app, pump.service)
    assert "processors[0] of the definition" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pump.yaml", b"pipelines: [\n- a: secret: b", "expected YAML in UTF-8: line 2: "),
        ("pump.yaml", b"a: !!python/object/apply:os.getcwd []", "expected YAML in UTF-8: line 1: could not determine"),
        ("pump.yaml", b"a: \xff", "expected YAML in UTF-8: "),
        ("pump.yaml", b"a: \x00", "expected YAML in UTF-8: "),
        ("pump.json", b'{"a": secret}', "expected JSON in UTF-8: Expecting value: line 1 column 7"),
        ("pump.json", b"[1]", "expected an object with the keys connections, lookups, pipelines, got a list"),
        (
            "pump.json",
            b'{"pipelines": [{"id": "P", "id": "Q"}]}',
            "expected JSON in UTF-8: the key 'id' is there twice",
        ),
        ("pump.yaml", b"pipelines:\n- id: P\n  id: Q\n", "expected YAML in UTF-8: line 3: the key 'id' is there twice"),
        ("pump.yml", b"", "expected an object with the keys connections, lookups, pipelines, got NoneType"),
        ("pump.json", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_definition_is_named(
    pump: PumpRunner, tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    [said] = problems_of(pump, path)
    assert said.startswith(f"{path}: {problem}")
    assert "secret" not in said


def test_an_application_with_mistakes_in_its_definition_says_them_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "pump.yaml").write_text("pipelines:\n  - id: P\n  - id: Q\n")
    (tmp_path / "pump.py").write_text(
        textwrap.dedent("""
        import bspump

        app = bspump.BSPumpApplication()
        bspump.PumpBuilder("pump.yaml").construct_pump(app, app.PumpService)
        app.run()
        """)
    )
    done = subprocess.run(
        [sys.executable, "pump.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pump.yaml: pipelines[0].sources: is missing; a pipeline needs one source at least\n" in done.stderr
    assert "pump.yaml: pipelines[1].sink: is missing; a pipeline needs one\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("bspump.kafka", "bspump-kafka"), ("bspump.socket", "bspump-ipc"), ("bspump.matrix", "bspump-analyzer")],
)
def test_the_package_that_has_a_missing_module_is_named(
    monkeypatch: pytest.MonkeyPatch, pump: PumpRunner, module: str, distribution: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(bspump.ConfigurationError) as caught:
        bspump.PumpBuilder({}).construct_connection(pump.app, pump.service, {"module": module, "class": "X"})
    assert str(caught.value) == (
        f"module: there is no module '{module}'; is the package installed (pip install {distribution})?"
    )
