"""Pipelines are put together, changed and addressed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Add(bspump.Processor):
    def __init__(
        self,
        app: bspump.BSPumpApplication,
        pipeline: bspump.Pipeline,
        number: int,
        id: str,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.number = number

    def process(self, context: bspump.Context, event: int) -> int:
        return event + self.number


class Twice(bspump.Generator):
    async def generate(self, context: bspump.Context, event: int, depth: int) -> None:
        for _ in range(2):
            self.Pipeline.inject(context, event, depth)


class Shelf:
    """A pipeline P: a source, the processors A and B, a sink."""

    def __init__(self, pump: PumpRunner, events: range = range(3)) -> None:
        self.app = pump.app
        self.pipeline = bspump.Pipeline(pump.app, "P")
        self.source = MemorySource(pump.app, self.pipeline, events, id="In")
        self.sink = MemorySink(pump.app, self.pipeline, id="Out")
        self.pipeline.build(self.source, self.add(1, "A"), self.add(10, "B"), self.sink)

    def add(self, number: int, id: str) -> Add:
        return Add(self.app, self.pipeline, number, id)

    def ids(self) -> list[list[str]]:
        return [[processor.Id for processor in depth] for depth in self.pipeline.Processors]


@pytest.fixture
def shelf(pump: PumpRunner) -> Shelf:
    return Shelf(pump)


def test_build_takes_a_list_of_sources_whose_events_all_arrive(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    sources = [MemorySource(pump.app, pipeline, range(start, start + 10), id=f"In{start}") for start in (0, 10)]
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(sources, sink)

    async def scenario() -> None:
        await sink.wait_for(20)

    pump.run(scenario, pipeline)
    assert pipeline.Sources == sources
    assert sorted(sink.events) == list(range(20))
    assert [source.commits[-1] for source in sources] == [10, 10]


def test_set_source_adds_to_the_sources_that_are_there(shelf: Shelf) -> None:
    second = MemorySource(shelf.app, shelf.pipeline, id="In2")
    shelf.pipeline.set_source(second)
    assert shelf.pipeline.Sources == [shelf.source, second]


def test_a_generator_ends_its_depth(shelf: Shelf) -> None:
    generators = [Twice(shelf.app, shelf.pipeline, id=f"G{number}") for number in range(2)]
    pipeline = bspump.Pipeline(shelf.app, "Q")
    pipeline.build(MemorySource(shelf.app, pipeline), *generators, MemorySink(shelf.app, pipeline))
    assert pipeline.Processors == [[generators[0]], [generators[1]], [pipeline.Processors[2][0]]]
    assert [generator.PipelineDepth for generator in generators] == [0, 1]


def test_an_inserted_generator_splits_its_depth_and_moves_those_behind_it(pump: PumpRunner, shelf: Shelf) -> None:
    late, early = (Twice(shelf.app, shelf.pipeline, id=id) for id in ("Late", "Early"))
    assert shelf.pipeline.insert_after("B", late) is True
    assert shelf.pipeline.insert_before("A", early) is True
    assert shelf.ids() == [["Early"], ["A", "B", "Late"], ["Out"]]
    assert (early.PipelineDepth, late.PipelineDepth) == (0, 1)

    async def scenario() -> None:
        await shelf.sink.wait_for(12)

    pump.run(scenario, shelf.pipeline)
    assert sorted(shelf.sink.events) == [event for event in (11, 12, 13) for _ in range(4)]


def test_removing_a_generator_joins_the_depths(shelf: Shelf) -> None:
    shelf.pipeline.insert_after("A", Twice(shelf.app, shelf.pipeline))
    assert shelf.ids() == [["A", "Twice"], ["B", "Out"]]
    shelf.pipeline.remove_processor("Twice")
    assert shelf.ids() == [["A", "B", "Out"]]


def test_insert_tells_whether_it_found_the_place(shelf: Shelf) -> None:
    assert shelf.pipeline.insert_before("A", shelf.add(0, "First")) is True
    assert shelf.pipeline.insert_after("A", shelf.add(0, "Second")) is True
    assert shelf.pipeline.insert_before("Nowhere", shelf.add(0, "Lost")) is False
    assert shelf.pipeline.insert_after("Nowhere", shelf.add(0, "Lost")) is False
    assert shelf.ids() == [["First", "A", "Second", "B", "Out"]]


def test_removing_an_unknown_processor_names_it(shelf: Shelf) -> None:
    shelf.pipeline.remove_processor("A")
    assert shelf.ids() == [["B", "Out"]]
    with pytest.raises(KeyError, match="'P' has no processor 'A'"):
        shelf.pipeline.remove_processor("A")


def test_nothing_follows_a_sink(shelf: Shelf) -> None:
    with pytest.raises(RuntimeError, match="cannot follow the sink"):
        shelf.pipeline.append_processor(shelf.add(1, "C"))
    with pytest.raises(RuntimeError, match="cannot follow the sink"):
        shelf.pipeline.insert_after("Out", shelf.add(1, "C"))
    with pytest.raises(RuntimeError, match="cannot follow the sink"):
        shelf.pipeline.insert_before("Out", MemorySink(shelf.app, shelf.pipeline, id="Early"))
    with pytest.raises(RuntimeError, match="cannot follow the sink"):
        shelf.pipeline.insert_after("A", MemorySink(shelf.app, shelf.pipeline, id="Early"))
    assert shelf.ids() == [["A", "B", "Out"]]


def test_a_wrong_type_is_refused_where_it_is_added(shelf: Shelf) -> None:
    pipeline = bspump.Pipeline(shelf.app, "Q")
    processor = shelf.add(1, "C")
    with pytest.raises(TypeError, match="'Q' needs a source first"):
        pipeline.set_source(processor)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'Q' needs a source first"):
        pipeline.set_source([shelf.source, processor])  # type: ignore[list-item]
    assert pipeline.Sources == []
    with pytest.raises(TypeError, match="takes processors, generators and a sink"):
        pipeline.append_processor(shelf.source)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes processors, generators and a sink"):
        shelf.pipeline.insert_before("A", shelf.source)  # type: ignore[arg-type]


def test_a_second_component_with_the_same_id_is_warned_of(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shelf.pipeline.insert_after("A", shelf.add(1, "A"))
        shelf.pipeline.set_source(MemorySource(shelf.app, shelf.pipeline, id="In"))
    assert "two processors with the id 'A'" in caplog.text
    assert "two sources with the id 'In'" in caplog.text


def test_components_are_found_by_their_addresses(pump: PumpRunner, shelf: Shelf) -> None:
    pump.service.add_pipeline(shelf.pipeline)
    assert shelf.pipeline.locate_source("In") is shelf.source
    assert shelf.pipeline.locate_source("A") is None
    assert shelf.pipeline.locate_processor("Out") is shelf.sink
    assert shelf.pipeline.locate_processor("In") is None
    for processor in shelf.pipeline.iter_processors():
        assert pump.service.locate(processor.locate_address()) is processor
    assert pump.service.locate(shelf.source.locate_address()) is shelf.source
    assert shelf.source.locate_address() == "P.*In"
    assert shelf.sink.locate_address() == "P.Out"
    assert pump.service.locate("P") is shelf.pipeline
    for missing in ("", "Q", "Q.A", "P.C", "P.*A", "P.*"):
        assert pump.service.locate(missing) is None


def test_an_id_with_dots_is_located(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "site.north")
    source, sink = MemorySource(pump.app, pipeline, id="In"), MemorySink(pump.app, pipeline, id="to.disk")
    pipeline.build(source, sink)
    pump.service.add_pipeline(pipeline)
    assert pump.service.locate("site.north") is pipeline
    assert pump.service.locate("site.north.*In") is source
    assert pump.service.locate("site.north.to.disk") is sink


def test_the_id_of_a_component_is_its_class_by_default(pump: PumpRunner) -> None:
    class Weather(bspump.Pipeline):
        pass

    pipeline = Weather(pump.app)
    assert pipeline.Id == "Weather"
    assert MemorySink(pump.app, pipeline).Id == "MemorySink"
    assert MemorySource(pump.app, pipeline).locate_address() == "Weather.*MemorySource"


def test_components_are_constructed_from_definitions(shelf: Shelf) -> None:
    source = MemorySource.construct(
        shelf.app, shelf.pipeline, {"id": "S", "config": {"commit_interval": 3}, "args": {"events": [1, 2]}}
    )
    assert (source.Id, source.events, source.Config["commit_interval"]) == ("S", [1, 2], 3)
    processor = Add.construct(shelf.app, shelf.pipeline, {"id": "C", "args": {"number": 4}})
    assert (processor.Id, processor.number) == ("C", 4)
    sink = MemorySink.construct(shelf.app, shelf.pipeline, {"id": "T"})
    assert sink.locate_address() == "P.T"
    assert MemorySink.construct(shelf.app, shelf.pipeline, {}).Id == "MemorySink"


def test_rest_get_describes_the_pipeline(pump: PumpRunner, shelf: Shelf) -> None:
    shelf.pipeline.insert_after("A", Twice(shelf.app, shelf.pipeline))
    shelf.pipeline.throttle("a test")
    description = shelf.pipeline.rest_get()
    assert description["Id"] == "P"
    assert description["Ready"] is False
    assert description["Throttles"] == ["a test"]
    assert description["Sources"] == [
        {"Id": "In", "Class": "MemorySource", "Position": None, "CommittedPosition": None}
    ]
    assert [[processor["Id"] for processor in depth] for depth in description["Processors"]] == shelf.ids()
    assert description["Processors"][0][0] == {"Id": "A", "Class": "Add", "PipelineId": "P"}
    assert "Error" not in description


def test_a_processor_inserted_into_a_running_pipeline_takes_part_at_once(pump: PumpRunner, shelf: Shelf) -> None:
    internal = bspump.common.InternalSource(pump.app, shelf.pipeline)
    shelf.pipeline.set_source(internal)

    async def scenario() -> None:
        await shelf.sink.wait_for(3)
        assert shelf.pipeline.insert_before("Out", shelf.add(100, "C"))
        internal.put(None, 0)
        await shelf.sink.wait_for(4)
        shelf.pipeline.remove_processor("A")
        internal.put(None, 0)
        await shelf.sink.wait_for(5)
        with pytest.raises(RuntimeError, match="cannot be inserted or removed while events flow"):
            shelf.pipeline.insert_after("B", Twice(pump.app, shelf.pipeline))

    pump.run(scenario, shelf.pipeline)
    assert shelf.sink.events[3:] == [111, 110]


def test_components_are_opened_in_order_and_closed_once(pump: PumpRunner) -> None:
    diary: list[str] = []

    class Diarist(bspump.Processor):
        async def open(self) -> None:
            await asyncio.sleep(0)
            diary.append(f"open {self.Id}")

        async def close(self) -> None:
            diary.append(f"close {self.Id}")

        def process(self, context: bspump.Context, event: int) -> int:
            diary.append(f"process {self.Id}")
            return event

    pipeline = bspump.Pipeline(pump.app, "P")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(
        MemorySource(pump.app, pipeline, [1]),
        Diarist(pump.app, pipeline, "A"),
        Diarist(pump.app, pipeline, "B"),
        sink,
    )

    async def scenario() -> None:
        assert not pipeline.is_ready()
        await sink.wait_for(1)
        await asyncio.gather(pipeline.stop(), pipeline.stop())
        await pipeline.stop()

    pump.run(scenario, pipeline)
    assert diary == ["open A", "open B", "process A", "process B", "close A", "close B"]


def test_an_option_of_a_source_may_stand_in_the_pipelines_section(pump: PumpRunner) -> None:
    pump.configure("pipeline:P", commit_interval="7", queue_max_size="3", undeclared="x")
    pump.configure("pipeline:P:B", commit_interval="9")
    pipeline = bspump.Pipeline(pump.app, "P")
    first = bspump.common.InternalSource(pump.app, pipeline, id="A")
    assert (first.Config["commit_interval"], first.Queue.maxsize) == ("7", 3)
    assert "undeclared" not in first.Config
    assert bspump.common.InternalSource(pump.app, pipeline, id="B").Config["commit_interval"] == "9"
    third = bspump.common.InternalSource(pump.app, pipeline, id="C", config={"queue_max_size": 5})
    assert third.Queue.maxsize == 5


def test_a_generator_outside_a_pipeline_says_so(shelf: Shelf) -> None:
    with pytest.raises(RuntimeError, match="before it was put into a pipeline"):
        Twice(shelf.app, shelf.pipeline).process({}, 1)


def test_until_gives_up(pump: PumpRunner) -> None:
    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await until(lambda: False, limit=0.01)

    pump.run(scenario)
