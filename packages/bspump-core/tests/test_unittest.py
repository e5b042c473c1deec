"""Tests that were written for earlier versions go on working."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

import bspump
import bspump.common
import bspump.unittest


def run(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


class Doubling(bspump.Processor):
    def __init__(self, app: Any, pipeline: Any, factor: int = 2, id: Any = None, config: Any = None) -> None:
        super().__init__(app, pipeline, id, config)
        self.factor = factor

    def process(self, context: bspump.Context, event: Any) -> Any:
        context["seen"] = True
        return event * self.factor if event != 0 else None


def test_events_go_through_a_processor_and_come_out_with_their_contexts() -> None:
    class Case(bspump.unittest.ProcessorTestCase):
        def test_once(self) -> None:
            self.set_up_processor(Doubling)
            output = self.execute([(None, 1), ({"a": 1}, 2), (None, 0)])
            assert output == [({"seen": True}, 2), ({"a": 1, "seen": True}, 4)]

        def test_again_with_arguments(self) -> None:
            self.set_up_processor(Doubling, factor=3, id="Tripling")
            assert self.Pipeline is not None
            assert self.Pipeline.Processor.Id == "Tripling"
            assert [event for _, event in self.execute([(None, 1)])] == [3]

    result = run(Case)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_what_generators_and_aggregators_hold_back_comes_out() -> None:
    class Case(bspump.unittest.ProcessorTestCase):
        def test_generator(self) -> None:
            self.set_up_processor(bspump.common.IteratorGenerator)
            assert [event for _, event in self.execute([(None, [1, 2, 3])])] == [1, 2, 3]

        def test_aggregator(self) -> None:
            self.set_up_processor(
                bspump.common.Aggregator, bspump.common.ListEventAggregationStrategy(), config={"completion_size": 2}
            )
            assert [event for _, event in self.execute([(None, 1), (None, 2), (None, 3)])] == [[1, 2], [3]]

    result = run(Case)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_what_stops_the_pipeline_is_raised() -> None:
    class Case(bspump.unittest.ProcessorTestCase):
        def test_wrong(self) -> None:
            self.set_up_processor(bspump.common.StringToBytesParser)
            with pytest.raises(
                bspump.ProcessingError, match=r"StringToBytesParser\('UnitTestPipeline\.StringToBytesParser'\)"
            ):
                self.execute([(None, 1)])

        def test_nothing_set_up(self) -> None:
            with pytest.raises(RuntimeError, match=r"call set_up_processor\(\) first"):
                self.execute([])

    result = run(Case)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_each_test_has_an_application_of_its_own() -> None:
    applications: list[object] = []

    class Case(bspump.unittest.TestCase):
        def test_one(self) -> None:
            applications.append(self.App)

        def test_two(self) -> None:
            applications.append(self.App)

    assert run(Case).errors == []
    assert applications[0] is not applications[1]
