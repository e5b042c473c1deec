"""Random events, values and drops: within their bounds, and the same each time if a seed says so."""

from __future__ import annotations

from typing import Any

import pytest

import bspump
from bspump.random import RandomDrop, RandomEnricher, RandomSource
from bspump.testing import MemorySink, MemorySource, PumpRunner, until
from bspump.trigger import PubSubTrigger


def draw(choice: Any = None, cycles: int = 1, **config: Any) -> list[Any]:
    """Return what a source brings."""
    with PumpRunner() as pump:
        pipeline = bspump.Pipeline(pump.app, "P")
        source = RandomSource(pump.app, pipeline, choice=choice, config=config)
        sink = MemorySink(pump.app, pipeline)
        pipeline.build(source.on(PubSubTrigger(pump.app, "go!")), sink)

        async def scenario() -> None:
            for _ in range(cycles):
                pump.app.PubSub.publish("go!")
                await until(lambda: not source.is_triggered)

        pump.run(scenario, pipeline)
        return sink.events


def through(
    processor: type[bspump.Processor], events: list[Any], one_by_one: bool = False, **options: Any
) -> list[Any]:
    """Return what a processor makes of events."""
    with PumpRunner() as pump:
        pipeline = bspump.Pipeline(pump.app, "P")
        source, sink = MemorySource(pump.app, pipeline, events, one_by_one=one_by_one), MemorySink(pump.app, pipeline)
        arguments = {key: options.pop(key) for key in ["choice"] if key in options}
        pipeline.build(source, processor(pump.app, pipeline, config=options, **arguments), sink)
        pump.run(source.finished.wait, pipeline)
        return sink.events


def test_each_trigger_brings_the_number_of_events() -> None:
    assert len(draw(cycles=3, number="1234")) == 3 * 1234


def test_numbers_reach_both_bounds_and_stay_within() -> None:
    assert set(draw(number=2000, lower_bound="-2", upper_bound="2")) == {-2, -1, 0, 1, 2}


def test_a_prefix_makes_text_and_a_field_a_dictionary() -> None:
    events = draw(number=200, field="host", prefix="node-", lower_bound=1, upper_bound=2)
    assert {event["host"] for event in events} == {"node-1", "node-2"}
    assert events[0] is not events[1]


def test_a_choice_is_drawn_from_by_its_weights() -> None:
    assert set(draw(choice=["a", "b"], number=200)) == {"a", "b"}
    assert set(draw(choice={"a": 1, "b": 0}, number=200)) == {"a"}


def test_the_same_seed_brings_the_same() -> None:
    assert draw(seed=7) == draw(seed="7") != draw(seed=8)
    assert draw() != draw()


def test_an_enricher_puts_a_value_into_each_event() -> None:
    events = through(RandomEnricher, [{"n": n} for n in range(500)], field="dice", lower_bound=1, upper_bound=6)
    assert [event["n"] for event in events] == list(range(500))
    assert {event["dice"] for event in events} == {1, 2, 3, 4, 5, 6}


def test_an_enricher_gives_the_same_one_by_one_as_in_a_batch() -> None:
    for options in ({"seed": 3}, {"seed": 3, "choice": "abc"}):
        batch = through(RandomEnricher, [{} for _ in range(300)], **options)
        assert batch == through(RandomEnricher, [{} for _ in range(300)], one_by_one=True, **options)


def test_a_share_of_the_events_is_dropped_and_the_order_kept() -> None:
    kept = through(RandomDrop, list(range(4000)), drop_probability="0.75", seed=1)
    assert 800 < len(kept) < 1200
    assert kept == sorted(kept)
    assert kept == through(RandomDrop, list(range(4000)), one_by_one=True, drop_probability=0.75, seed=1)


@pytest.mark.parametrize(("probability", "expected"), [(0, 1000), (1, 0)])
def test_all_or_nothing_is_dropped_at_the_ends(probability: float, expected: int) -> None:
    assert len(through(RandomDrop, list(range(1000)), drop_probability=probability)) == expected


def test_wrong_options_are_refused_all_together(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    RandomSource(pump.app, pipeline, config={"number": -1, "lower_bound": 5, "upper_bound": "1"})
    RandomDrop(pump.app, pipeline, config={"drop_probability": 1.5})
    RandomEnricher(pump.app, pipeline, config={"field": ""})
    assert pump.service.configuration_problems == [
        "[pipeline:P:RandomSource] number: -1 is below 0",
        "[pipeline:P:RandomSource] lower_bound: 5 is above the upper_bound 1",
        "[pipeline:P:RandomDrop] drop_probability: 1.5 is above 1",
        "[pipeline:P:RandomEnricher] field: '' is empty, but the value needs a key",
    ]


@pytest.mark.parametrize("choice", [[], {}, {"a": 0}, {"a": 1, "b": -1}])
def test_a_choice_of_nothing_is_refused(pump: PumpRunner, choice: Any) -> None:
    with pytest.raises(bspump.ConfigurationError, match=r"RandomSource\('P\.\*RandomSource'\) got"):
        RandomSource(pump.app, bspump.Pipeline(pump.app, "P"), choice=choice)
