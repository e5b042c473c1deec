"""The tutorials that need a server: Elasticsearch, Kafka."""

from __future__ import annotations

import importlib.util
import os
import uuid

import pytest

from examples.tutorials.tests.harness import MakeTutorial

pytestmark = pytest.mark.integration

SOON = {"PeriodicTrigger(app, 5)": "PeriodicTrigger(app, 0.1)"}


def server(package: str, variable: str) -> str:
    """Return where the server for a package listens, or skip the test."""
    if importlib.util.find_spec(f"bspump.{package}") is None:
        pytest.skip(f"bspump-{package} is not installed")
    if variable not in os.environ:
        # Whoever runs the tests for everybody has to have the server.
        if os.environ.get("CI"):
            pytest.fail(f"{variable} names no server")
        pytest.skip(f"{variable} names no server")
    return os.environ[variable]


def test_elasticsearch_takes_the_weather_and_gives_it_back(tutorial: MakeTutorial) -> None:
    url = server("elasticsearch", "BSPUMP_TEST_ELASTICSEARCH_URL")
    names = {"http://127.0.0.1:9200/": url, "weather-pump-test": f"weather-{uuid.uuid4().hex}"}
    pumps = tutorial("elasticsearch", {**SOON, **names})
    sink = pumps.start("es_sink.py", "-c", "es_sink.conf")
    sink.wait_for("1 pipeline(s) ready.")
    source = pumps.start("es_source.py", "-c", "es_source.conf")
    source.wait_for("'name': 'London'")
    assert source.stop() == 0
    assert sink.stop() == 0


def test_kafka_takes_the_price_and_hands_it_on_to_the_selected_topic(tutorial: MakeTutorial) -> None:
    servers = server("kafka", "BSPUMP_TEST_KAFKA_URL")
    run = uuid.uuid4().hex
    names = {"127.0.0.1:9092": servers} | {
        f'"{name}"': f'"{name}-{run}"' for name in ("coindesk-data", "heavy", "light", "tutorial", "tutorial-print")
    }
    pumps = tutorial("kafka", {**SOON, **names})
    prices = pumps.start("coindesk_to_kafka.py", "-c", "kafka.conf")
    pipelines = pumps.start("kafka_pipeline.py", "-c", "kafka.conf")
    pipelines.wait_for("Bitcoin")
    assert prices.stop() == 0
    assert pipelines.stop() == 0
