"""Anomalies are opened once, looked after, and told when they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bspump
import bspump.anomaly
from bspump.anomaly import AnomalyAnalyzer, AnomalyManager, AnomalyStorage, GeneralAnomaly
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


def test_a_general_anomaly_ends_when_it_was_last_seen() -> None:
    anomaly = GeneralAnomaly(100.0, idle=30, host="a")
    anomaly.seen(110.0)
    anomaly.seen(105.0)
    asyncio.run(anomaly.on_tick(139.0))
    assert not anomaly.is_closed()
    asyncio.run(anomaly.on_tick(140.0))
    assert anomaly == {
        "type": "General",
        "host": "a",
        "count": 3,
        "status": "closed",
        "ts_start": 100.0,
        "ts_last": 110.0,
        "ts_end": 110.0,
        "D": 10.0,
    }


def test_times_may_be_given_by_name() -> None:
    anomaly = GeneralAnomaly(100.0, idle=30)
    asyncio.run(anomaly.on_tick(t=110.0))
    assert not anomaly.is_closed()
    with pytest.raises(TypeError, match=r"GeneralAnomaly.close\(\) needs the time of the end"):
        anomaly.close()
    anomaly.close(t=112.0)
    other = bspump.anomaly.Anomaly(ts_start=110.0)
    other.close(current_time=112.0)
    assert anomaly["ts_end"] == other["ts_end"] == 112.0
    assert (anomaly["D"], other["D"]) == (12.0, 2.0)


def test_a_storage_has_one_open_anomaly_for_each_key() -> None:
    storage = AnomalyStorage()
    first = GeneralAnomaly(1.0)
    storage.add("a", first)
    with pytest.raises(ValueError, match="An anomaly with the key 'a' is open already"):
        storage.add("a", GeneralAnomaly(2.0))
    assert storage.get("a") is first
    assert storage.get("b") is None
    assert storage.take_closed() == []
    first.close(3.0)
    assert storage.take_closed() == [first]
    assert len(storage) == 0


class Listener:
    def __init__(self) -> None:
        self.heard: list[bspump.Anomaly] = []

    def hear(self, message_type: str, anomaly: bspump.Anomaly) -> None:
        self.heard.append(anomaly)


def test_a_manager_says_which_have_ended(pump: PumpRunner) -> None:
    manager = AnomalyManager(pump.app)
    listener = Listener()
    manager.PubSub.subscribe("Anomaly closed!", listener.hear)
    short, long = GeneralAnomaly(100.0, idle=10), GeneralAnomaly(100.0, idle=100)
    assert manager.open("short", short) is short
    assert manager.open("long", long) is long
    assert manager.open("short", GeneralAnomaly(105.0)) is short

    async def scenario() -> None:
        assert await manager.on_tick(105.0) == []
        assert await manager.on_tick(120.0) == [short]
        assert await manager.on_tick(121.0) == []

    pump.run(scenario)
    assert listener.heard == [short]
    assert list(manager.Storage) == [long]


class Failures(AnomalyAnalyzer):
    """Finds failures of hosts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended: list[bspump.Anomaly] = []

    def predicate(self, context: bspump.Context, event: dict[str, Any]) -> bool:
        return "failure" in event

    def evaluate(self, context: bspump.Context, event: dict[str, Any]) -> None:
        self.Manager.open(event["host"], GeneralAnomaly(self.time(), idle=0.01, host=event["host"]))

    async def on_closed(self, anomaly: bspump.Anomaly) -> None:
        self.ended.append(anomaly)


class P(bspump.Pipeline):
    pass


def test_an_analyzer_opens_anomalies_and_the_clock_ends_them(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Failures(pump.app, pipeline, config={"analyze_period": 0.005})
    events = [{"host": "a", "failure": 1}, {"host": "b"}, {"host": "a", "failure": 2}, {"host": "c", "failure": 1}]
    pipeline.build(MemorySource(pump.app, pipeline, events), analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: len(analyzer.ended) == 2)

    pump.run(scenario, pipeline)
    assert [anomaly["host"] for anomaly in analyzer.ended] == ["a", "c"]
    assert all(anomaly.is_closed() for anomaly in analyzer.ended)
    assert len(analyzer.Manager.Storage) == 0


class Reports(Failures):
    """Fails to report the first time."""

    has_failed = False

    async def on_closed(self, anomaly: bspump.Anomaly) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("nobody answers")
        await super().on_closed(anomaly)


def test_an_anomaly_whose_end_could_not_be_reported_is_reported_later_and_so_are_the_others(pump: PumpRunner) -> None:
    pipeline = P(pump.app)
    analyzer = Reports(pump.app, pipeline, config={"analyze_period": 0.005})
    events = [{"host": host, "failure": 1} for host in "abc"]
    pipeline.build(MemorySource(pump.app, pipeline, events), analyzer, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(pipeline.is_error)
        pipeline.set_error(None, None, None)
        await until(lambda: len(analyzer.ended) >= 3)

    pump.run(scenario, pipeline)
    assert [anomaly["host"] for anomaly in analyzer.ended] == ["a", "b", "c"]
