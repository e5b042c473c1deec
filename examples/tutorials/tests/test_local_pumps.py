"""The tutorials that need nothing but the core."""

from __future__ import annotations

from examples.tutorials.tests.harness import MakeTutorial


def test_configuration_sets_an_option_in_three_ways(tutorial: MakeTutorial) -> None:
    pump = tutorial("configuration").start("three_ways.py", "-c", "three_ways.conf")
    assert pump.finish() == 0, pump.log
    assert sorted(pump.printed.splitlines()) == [
        "('Alan',)",
        "('Hopper',)",
        "(1, 'Ada', 'Lovelace')",
        "(2, 'Alan', 'Turing')",
        "(3, 'Grace', 'Hopper')",
    ]
    assert pump.complaints == []


def test_an_event_that_is_no_json_does_not_stop_the_pipeline(tutorial: MakeTutorial) -> None:
    pump = tutorial("handle_error").start("handle_error.py")
    pump.wait_for("{'number': 3}\n")
    assert pump.stop() == 0
    assert pump.printed.splitlines() == ["{'number': 1}", "{'number': 3}"]


def test_a_generator_makes_events_of_an_answer_and_of_its_items(tutorial: MakeTutorial) -> None:
    pump = tutorial("generator").start("generator.py")
    assert pump.finish() == 0, pump.log
    # The API knows no colour 7, so the second car ends on its way.
    assert sorted(pump.printed.splitlines()) == ["('car', 'Octavia')", "('color', 'green')", "('color_id', '2')"]
    assert pump.complaints == []
