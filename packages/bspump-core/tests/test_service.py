"""The registry of an application."""

from __future__ import annotations

from typing import Any

import asab
import pytest

import bspump
from bspump.common import InternalSource, NullSink, RouterSink
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Wire(bspump.Connection):
    pass


class Grid:
    def __init__(self, id: str) -> None:
        self.Id = id


def build(pump: PumpRunner, id: str = "P") -> bspump.Pipeline:
    pipeline = bspump.Pipeline(pump.app, id)
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))
    return pipeline


def test_the_service_is_found_by_its_name(pump: PumpRunner) -> None:
    assert pump.app.get_service("bspump.PumpService") is pump.service is pump.app.PumpService


def test_a_second_component_with_an_id_is_refused(pump: PumpRunner) -> None:
    service = pump.service
    service.add_pipelines(build(pump, "A"), build(pump, "B"))
    service.add_connections(Wire(pump.app, "A"), Wire(pump.app, "B"))
    service.add_lookups(bspump.DictionaryLookup(pump.app, "A"), bspump.DictionaryLookup(pump.app, "B"))
    service.add_matrixes(Grid("A"), Grid("B"))
    with pytest.raises(RuntimeError, match="Pipeline 'A' is registered already"):
        service.add_pipeline(build(pump, "A"))
    with pytest.raises(RuntimeError, match="Connection 'A' is registered already"):
        service.add_connection(Wire(pump.app, "A"))
    with pytest.raises(RuntimeError, match="Lookup 'A' is registered already"):
        service.add_lookup(bspump.DictionaryLookup(pump.app, "A"))
    with pytest.raises(RuntimeError, match="Matrix 'A' is registered already"):
        service.add_matrix(Grid("A"))


def test_adding_returns_the_component_and_locating_finds_it(pump: PumpRunner) -> None:
    service = pump.service
    wire, table, grid = Wire(pump.app), bspump.DictionaryLookup(pump.app, "T"), Grid("G")
    assert service.add_connection(wire) is wire
    assert service.add_lookup(table) is table
    assert service.add_matrix(grid) is grid
    assert service.locate_connection("Wire") is service.locate_connection(wire) is wire
    assert service.locate_lookup("T") is service.locate_lookup(table) is table
    assert service.locate_matrix("G") is service.locate_matrix(grid) is grid
    assert bspump.Pipeline.locate_connection(pump.app, "Wire") is wire
    assert bspump.Pipeline.locate_connection(pump.app, wire) is wire


@pytest.mark.parametrize("what", ["connection", "lookup", "matrix"])
def test_what_is_not_there_is_named_with_what_is(pump: PumpRunner, what: str) -> None:
    service: Any = pump.service
    locate = getattr(service, f"locate_{what}")
    with pytest.raises(KeyError, match=f"Cannot find {what} 'X'; registered: none"):
        locate("X")
    service.add_connections(Wire(pump.app, "B"), Wire(pump.app, "A"))
    service.add_lookups(bspump.DictionaryLookup(pump.app, "B"), bspump.DictionaryLookup(pump.app, "A"))
    service.add_matrixes(Grid("B"), Grid("A"))
    with pytest.raises(KeyError, match=f"Cannot find {what} 'X'; registered: 'A', 'B'"):
        locate("X")


def test_lookup_factories_are_asked_first(pump: PumpRunner) -> None:
    made = bspump.DictionaryLookup(pump.app, "made")
    asked: list[tuple[str, Any]] = []

    class Factory:
        def locate_lookup(self, lookup_id: str, context: Any = None) -> bspump.Lookup | None:
            asked.append((lookup_id, context))
            return made if lookup_id == "M" else None

    own = bspump.DictionaryLookup(pump.app, "T")
    pump.service.add_lookup(own)
    pump.service.add_lookup_factory(Factory())
    assert pump.service.locate_lookup("M", context={"tenant": 1}) is made
    assert pump.service.locate_lookup("T") is own
    assert asked == [("M", {"tenant": 1}), ("T", None)]


def test_a_connection_is_constructed_from_a_definition(pump: PumpRunner) -> None:
    class Cable(bspump.Connection):
        ConfigDefaults = {"speed": 10}

    pump.configure("connection:C", speed="100")
    assert Cable.construct(pump.app, {"id": "C"}).Config["speed"] == "100"
    assert Cable.construct(pump.app, {"id": "C", "config": {"speed": 1}}).Config["speed"] == 1
    assert Cable.construct(pump.app, {}).Id == "Cable"


def test_initialize_may_be_called_again_and_starts_what_is_new(pump: PumpRunner) -> None:
    first, second = build(pump, "A"), build(pump, "B")
    starts: list[str] = []

    class Listener:
        def hear(self, message_type: str, pipeline: bspump.Pipeline) -> None:
            starts.append(pipeline.Id)

    listener = Listener()
    for pipeline in (first, second):
        pipeline.PubSub.subscribe("bspump.pipeline.start!", listener.hear)

    async def scenario() -> None:
        await pump.service.initialize(pump.app)
        pump.service.add_pipeline(second)
        await pump.service.initialize(pump.app)
        await pump.service.initialize(pump.app)
        assert second.is_ready()

    pump.run(scenario, first)
    assert starts == ["A", "B"]


def test_a_connection_that_cannot_be_closed_does_not_keep_the_next_from_it(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    class Cable(bspump.Connection):
        async def close(self) -> None:
            closed.append(self.Id)
            if self.Id == "A":
                raise OSError("stuck")

    pump.service.add_connections(Cable(pump.app, "A"), Cable(pump.app, "B"))

    async def scenario() -> None:
        pass

    pump.run(scenario)
    assert closed == ["A", "B"]
    assert "Connection 'A' could not be closed" in caplog.text


def test_configuration_problems_stop_the_start_once(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pump.configure("pipeline:A", on_error="dead_letter", dead_letter="Nowhere")
    pump.configure("pipeline:B", stop_timeout="soon")
    pipelines = build(pump, "A"), build(pump, "B"), build(pump, "C")

    async def scenario() -> None:
        # As user services do that initialise the pump themselves.
        for _ in range(4):
            await pump.service.initialize(pump.app)
        assert not any(pipeline.is_ready() for pipeline in pipelines)

    pump.run(scenario, *pipelines)
    assert "[pipeline:A] dead_letter: 'Nowhere' is no pipeline" in caplog.text
    assert "[pipeline:B] stop_timeout: 'soon' is not a duration" in caplog.text
    assert "does not start: 2 configuration problem(s)" in caplog.text
    # asab takes the third call of stop() for an emergency.
    assert (pump.app._stop_counter, pump.app.ExitCode) == (1, 1)


def test_a_pipeline_that_cannot_start_does_not_keep_the_others_from_it(pump: PumpRunner) -> None:
    class Broken(MemorySource):
        def start(self, loop: Any) -> None:
            raise OSError("no such port")

    bad, good = bspump.Pipeline(pump.app, "A"), build(pump, "B")
    bad.build(Broken(pump.app, bad), NullSink(pump.app, bad))

    async def scenario() -> None:
        assert bad.is_error()
        assert "no such port" in bad.rest_get()["Error"]
        assert good.is_ready()

    pump.run(scenario, bad, good)


def test_an_application_without_the_service_is_told_what_is_missing(pump: PumpRunner) -> None:
    class Plain(asab.Application):
        def __init__(self) -> None:
            pass

        def get_service(self, name: str) -> None:
            return None

    with pytest.raises(
        RuntimeError, match=r"Plain has no bspump\.PumpService; derive it from bspump\.BSPumpApplication"
    ):
        bspump.Pipeline.locate_connection(Plain(), "C")


def test_a_router_may_be_located_in_the_constructor_if_the_target_was_added_before(pump: PumpRunner) -> None:
    class Route(RouterSink):
        def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline) -> None:
            super().__init__(app, pipeline)
            self.target = self.locate("Q.*InternalSource")

        def process(self, context: bspump.Context, event: Any) -> None:
            self.route(context, event, "Q.*InternalSource")

    target = bspump.Pipeline(pump.app, "Q")
    sink = MemorySink(pump.app, target)
    target.build(InternalSource(pump.app, target), sink)
    feeder = bspump.Pipeline(pump.app, "P")
    with pytest.raises(bspump.ConfigurationError, match="cannot route to 'Q"):
        Route(pump.app, feeder)
    pump.service.add_pipeline(target)
    feeder.build(MemorySource(pump.app, feeder, [1, 2]), Route(pump.app, feeder))

    async def scenario() -> None:
        await sink.wait_for(2)

    pump.run(scenario, feeder)


class ToQ(RouterSink):
    def process(self, context: bspump.Context, event: Any) -> None:
        self.route(context, event, "Q.*InternalSource")


def build_target(pump: PumpRunner) -> tuple[bspump.Pipeline, MemorySink]:
    pipeline = bspump.Pipeline(pump.app, "Q")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(InternalSource(pump.app, pipeline), sink)
    return pipeline, sink


def test_a_pipeline_that_takes_the_place_of_another_is_fed(pump: PumpRunner) -> None:
    feeder = bspump.Pipeline(pump.app, "P")
    source = InternalSource(pump.app, feeder)
    feeder.build(source, ToQ(pump.app, feeder))
    first, first_sink = build_target(pump)

    async def scenario() -> None:
        source.put({}, 1)
        await first_sink.wait_for(1)
        pump.service.del_pipeline(first)
        await until(lambda: not first._life_cycle.is_running)
        second, second_sink = build_target(pump)
        pump.service.add_pipeline(second)
        await pump.service.initialize(pump.app)
        source.put({}, 2)
        await second_sink.wait_for(1)
        assert (first_sink.events, second_sink.events) == ([1], [2])

    pump.run(scenario, feeder, first)
    assert pump.app.ExitCode == 0


@pytest.mark.parametrize("is_running", [True, False])
def test_what_feeds_a_pipeline_that_is_gone_is_told_and_not_held_for_ever(pump: PumpRunner, is_running: bool) -> None:
    feeder = bspump.Pipeline(pump.app, "P")
    source = InternalSource(pump.app, feeder)
    router = ToQ(pump.app, feeder)
    feeder.build(source, router)
    target, _ = build_target(pump)

    async def scenario() -> None:
        router.locate("Q.*InternalSource")
        if not is_running:
            await target.stop()
        pump.service.del_pipeline("Q")
        await until(feeder.is_ready)
        source.put({}, 1)
        await until(feeder.is_error)
        assert "cannot route to 'Q.*InternalSource'" in feeder.rest_get()["Error"]

    pump.run(scenario, feeder, target)


def test_a_linked_pipeline_that_is_gone_holds_its_ancestor_no_longer(pump: PumpRunner) -> None:
    ancestor, child = build(pump, "A"), build(pump, "C")
    child.link(ancestor)

    async def scenario() -> None:
        child.throttle("test")
        assert not ancestor.is_ready()
        pump.service.del_pipeline(child)
        await until(ancestor.is_ready)

    pump.run(scenario, ancestor, child)
