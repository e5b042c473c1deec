"""Triggers begin the cycles of their sources."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import bspump
from bspump.common import IteratorSource
from bspump.testing import MemorySink, PumpRunner, until
from bspump.trigger import (
    CronTrigger,
    OpportunisticTrigger,
    PeriodicTrigger,
    PubSubTrigger,
    RunOnceTrigger,
    Trigger,
)


class Cycles(bspump.TriggerSource):
    """Counts its cycles and brings `events` in each; holds a cycle until the test lets it go on."""

    def __init__(self, app: bspump.BSPumpApplication, pipeline: bspump.Pipeline, events: Any = ()) -> None:
        super().__init__(app, pipeline)
        self.events = events
        self.begun = 0
        self.ended = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        self.begun += 1
        await self.process_batch(list(self.events))
        await self.may_end.wait()
        self.ended += 1


def build(pump: PumpRunner, trigger: Trigger, events: Any = (), id: str = "P") -> tuple[bspump.Pipeline, Cycles]:
    pipeline = bspump.Pipeline(pump.app, id)
    source = Cycles(pump.app, pipeline, events)
    assert source.on(trigger) is source
    pipeline.build(source, MemorySink(pump.app, pipeline))
    return pipeline, source


async def ended(source: Cycles, count: int) -> None:
    await until(lambda: source.ended == count)


# The base


def test_a_trigger_fires_a_cycle_of_each_of_its_sources(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app)
    (p, first), (q, second) = (build(pump, trigger, id=id) for id in "PQ")

    async def scenario() -> None:
        assert trigger.LastFireAt == 0.0
        assert trigger.fire() is True
        assert abs(trigger.LastFireAt - pump.app.time()) < 60
        await until(lambda: first.ended == second.ended == 1)
        trigger.remove(second)
        trigger.fire()
        await until(lambda: first.ended == 2)
        assert second.begun == 1

    assert trigger.Sources == {first, second}
    assert (trigger.Id, Trigger(pump.app, id="X").Id) == ("Trigger", "X")
    pump.run(scenario, p, q)


def test_a_source_may_have_several_triggers(pump: PumpRunner) -> None:
    one, two = Trigger(pump.app), Trigger(pump.app)
    pipeline, source = build(pump, one)
    source.on(two)

    async def scenario() -> None:
        for number, trigger in enumerate((one, two, two), start=1):
            trigger.fire()
            await ended(source, number)

    assert source.Triggers == {one, two}
    pump.run(scenario, pipeline)


def test_firing_a_busy_source_begins_the_next_cycle_after_this_one(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app)
    pipeline, source = build(pump, trigger)
    source.may_end.clear()

    async def scenario() -> None:
        trigger.fire()
        await until(lambda: source.begun == 1)
        trigger.fire()
        await asyncio.sleep(0)
        assert source.begun == 1
        assert source.rest_get() == {"Id": "Cycles", "Class": "Cycles", "triggered": True}
        source.may_end.set()
        await until(lambda: source.ended == 2)
        assert source.rest_get()["triggered"] is False

    pump.run(scenario, pipeline)


def test_max_triggered_limits_how_many_sources_are_busy(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app, max_triggered=1)
    pipeline, source = build(pump, trigger)
    source.may_end.clear()

    async def scenario() -> None:
        assert trigger.fire() is True
        assert trigger.fire() is False
        source.may_end.set()
        await until(lambda: source.ended == 1)
        assert trigger.fire() is True

    pump.run(scenario, pipeline)


def test_a_paused_trigger_fires_nothing(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app)
    pipeline, source = build(pump, trigger)

    async def scenario() -> None:
        trigger.pause()
        assert trigger.fire() is False
        trigger.pause(False)
        pipeline.PubSub.publish("bspump.trigger.pause!", pause=True)
        assert trigger.Paused
        assert trigger.fire() is False
        pipeline.PubSub.publish("bspump.trigger.pause!", pause=False)
        assert trigger.fire() is True
        await until(lambda: source.ended == 1)

    pump.run(scenario, pipeline)


def test_a_cycle_waits_until_the_pipeline_is_ready(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app)
    pipeline, source = build(pump, trigger)
    pipeline.throttle("test")

    async def scenario() -> None:
        trigger.fire()
        await asyncio.sleep(0)
        assert source.begun == 0
        pipeline.throttle("test", False)
        await until(lambda: source.ended == 1)

    pump.run(scenario, pipeline)


def test_the_messages_of_a_cycle(pump: PumpRunner) -> None:
    trigger = Trigger(pump.app)
    pipeline, source = build(pump, trigger)
    heard: list[str] = []

    class Listener:
        def hear(self, message_type: str, pipeline: bspump.Pipeline) -> None:
            heard.append(message_type)

    listener = Listener()
    begin, end, cancelled = (f"bspump.pipeline.cycle_{what}!" for what in ("begin", "end", "canceled"))
    for message in (begin, end, cancelled):
        pipeline.PubSub.subscribe(message, listener.hear)

    async def scenario() -> None:
        trigger.fire()
        await until(lambda: source.ended == 1)
        source.may_end.clear()
        trigger.fire()
        await until(lambda: source.begun == 2)

    pump.run(scenario, pipeline)
    assert heard == [begin, end, begin, cancelled]


def test_arguments_of_an_overridden_main_reach_the_cycle(pump: PumpRunner) -> None:
    got: list[Any] = []

    class Session(bspump.TriggerSource):
        async def main(self, *args: Any, **kwags: Any) -> None:
            await super().main("session", limit=3)

        async def cycle(self, *args: Any, **kwags: Any) -> None:
            got.append((args, kwags))

    pipeline = bspump.Pipeline(pump.app, "P")
    trigger = Trigger(pump.app)
    pipeline.build(Session(pump.app, pipeline).on(trigger), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        trigger.fire()
        await until(lambda: got)

    pump.run(scenario, pipeline)
    assert got == [(("session",), {"limit": 3})]


def test_a_cycle_that_failed_is_begun_again_once_the_error_is_cleared(pump: PumpRunner) -> None:
    class Broken(Cycles):
        is_broken = True

        async def cycle(self, *args: Any, **kwags: Any) -> None:
            await super().cycle()
            if self.is_broken:
                raise OSError("no such table")

    pipeline, trigger = bspump.Pipeline(pump.app, "P"), Trigger(pump.app)
    source = Broken(pump.app, pipeline)
    pipeline.build(source.on(trigger), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        trigger.fire()
        await until(pipeline.is_error)
        source.is_broken = False
        pipeline.set_error(None, None, None)
        await until(lambda: source.ended == 2 and not source.TriggerEvent.is_set())

    pump.run(scenario, pipeline)


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (Trigger, {"max_triggered": 3}),
        (PeriodicTrigger, {"interval": 2.5}),
        (PubSubTrigger, {"message_types": ["a!", "b!"]}),
        (OpportunisticTrigger, {"chilldown_period": 3, "run_immediately": False}),
        (RunOnceTrigger, {}),
        (CronTrigger, {"schedule": "* * * * *"}),
    ],
)
def test_triggers_are_constructed_from_definitions(pump: PumpRunner, kind: type[Trigger], args: Any) -> None:
    async def scenario() -> None:
        trigger = kind.construct(pump.app, {"id": "T", "args": args})
        assert type(trigger) is kind
        assert trigger.Id == "T"

    pump.run(scenario)


# The kinds of triggers


def test_a_periodic_trigger_fires_again_and_again(pump: PumpRunner) -> None:
    pipeline, source = build(pump, PeriodicTrigger(pump.app, 0.001))

    async def scenario() -> None:
        await until(lambda: source.ended >= 3)
        trigger = next(iter(source.Triggers))
        trigger.pause()
        await until(lambda: not source.is_triggered)
        count = source.begun
        await asyncio.sleep(0.01)
        assert source.begun == count
        trigger.pause(False)
        await until(lambda: source.begun > count)

    pump.run(scenario, pipeline)


@pytest.mark.parametrize("interval", [0, -1, "0"], ids=repr)
def test_a_periodic_trigger_needs_an_interval(pump: PumpRunner, interval: Any) -> None:
    with pytest.raises(bspump.ConfigurationError, match=r"PeriodicTrigger interval: .* is not above 0 seconds"):
        PeriodicTrigger(pump.app, interval)


def test_a_periodic_trigger_ends_with_the_application(pump: PumpRunner) -> None:
    trigger = PeriodicTrigger(pump.app, 3600)

    async def scenario() -> None:
        task = trigger._task
        assert task is not None
        pump.app.PubSub.publish("Application.stop!", 1)
        await asyncio.wait({task})

    pump.run(scenario)


def test_a_pubsub_trigger_fires_on_each_of_its_messages(pump: PumpRunner) -> None:
    pipeline, source = build(pump, PubSubTrigger(pump.app, ["a!", "b!"]))

    async def scenario() -> None:
        for number, message in enumerate(("a!", "b!", "a!"), start=1):
            pump.app.PubSub.publish(message, "with arguments", of="any kind")
            await ended(source, number)
        pump.app.PubSub.publish("c!")
        await asyncio.sleep(0)
        assert source.begun == 3

    pump.run(scenario, pipeline)


def test_a_pubsub_trigger_may_listen_elsewhere(pump: PumpRunner) -> None:
    other, _ = build(pump, Trigger(pump.app), id="Other")
    pipeline, source = build(pump, PubSubTrigger(pump.app, "bspump.pipeline.ready!", pubsub=other.PubSub))

    async def scenario() -> None:
        await until(lambda: source.ended == 1)

    pump.run(scenario, pipeline, other)


def test_an_opportunistic_trigger_goes_on_at_once_after_a_cycle_with_events(pump: PumpRunner) -> None:
    pipeline, source = build(pump, OpportunisticTrigger(pump.app, chilldown_period=3600), events=[1, 2])

    async def scenario() -> None:
        await until(lambda: source.ended >= 5)
        source.events = []
        await until(lambda: not source.is_triggered)
        count = source.begun
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.begun == count

    pump.run(scenario, pipeline)


def test_an_opportunistic_trigger_rests_after_a_cycle_without_events(pump: PumpRunner) -> None:
    pipeline, source = build(pump, OpportunisticTrigger(pump.app, chilldown_period=0.001))

    async def scenario() -> None:
        await until(lambda: source.ended >= 3)

    pump.run(scenario, pipeline)


def test_an_opportunistic_trigger_may_begin_with_a_rest(pump: PumpRunner) -> None:
    pipeline, source = build(
        pump, OpportunisticTrigger(pump.app, run_immediately=False, chilldown_period=0.001), events=[1]
    )
    assert not source.TriggerEvent.is_set()

    async def scenario() -> None:
        await until(lambda: source.ended >= 2)

    pump.run(scenario, pipeline)


def test_a_paused_opportunistic_trigger_goes_on_when_the_pause_ends(pump: PumpRunner) -> None:
    trigger = OpportunisticTrigger(pump.app, chilldown_period=3600)
    pipeline, source = build(pump, trigger)

    async def scenario() -> None:
        await until(lambda: source.ended == 1)
        trigger.pause()
        source.events = [1]
        trigger.pause(False)
        await until(lambda: source.ended >= 3)

    pump.run(scenario, pipeline)


def test_run_once_stops_the_application_after_the_last_source(pump: PumpRunner) -> None:
    trigger = RunOnceTrigger(pump.app)
    (p, first), (q, second) = (build(pump, trigger, events=[1], id=id) for id in "PQ")
    second.may_end.clear()

    async def scenario() -> None:
        await until(lambda: first.ended == 1)
        assert pump.app._stop_counter == 0
        second.may_end.set()
        await until(lambda: pump.app._stop_counter == 1)
        assert (first.begun, second.begun) == (1, 1)

    pump.run(scenario, p, q)


def test_many_jobs_that_end_do_not_abort_the_application(pump: PumpRunner) -> None:
    """asab takes a third call of stop() for an emergency and kills the process."""
    built = [build(pump, RunOnceTrigger(pump.app), events=[1], id=f"P{number}") for number in range(4)]

    async def scenario() -> None:
        await until(lambda: all(source.ended for _, source in built))

    pump.run(scenario, *(pipeline for pipeline, _ in built))
    assert pump.app._stop_counter == 1


def test_a_job_reads_its_whole_iterator(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(IteratorSource(pump.app, pipeline, range(10_000)).on(RunOnceTrigger(pump.app)), sink)

    async def scenario() -> None:
        await until(lambda: pump.app._stop_counter)

    pump.run(scenario, pipeline)
    assert sink.events == list(range(10_000))


# Cron


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime.datetime]:
    """The time that cron triggers see: the one item of the list."""
    now = [datetime.datetime(2024, 2, 28, 23, 58, 30, tzinfo=datetime.UTC)]

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return now[0].astimezone(tz)

    monkeypatch.setattr("bspump.trigger.cron.datetime.datetime", Clock)
    return now


@pytest.mark.parametrize(
    ("schedule", "timezone", "expected"),
    [
        ("* * * * *", "UTC", ["2024-02-28T23:59+00:00", "2024-02-29T00:00+00:00", "2024-02-29T00:01+00:00"]),
        ("*/15 * * * *", "UTC", ["2024-02-29T00:00+00:00", "2024-02-29T00:15+00:00", "2024-02-29T00:30+00:00"]),
        ("30 2 * * MON", "UTC", ["2024-03-04T02:30+00:00", "2024-03-11T02:30+00:00", "2024-03-18T02:30+00:00"]),
        ("0 0 29 2 *", "UTC", ["2024-02-29T00:00+00:00", "2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
        ("0 6 * * *", "Europe/Prague", ["2024-02-29T05:00+00:00", "2024-03-01T05:00+00:00", "2024-03-02T05:00+00:00"]),
    ],
)
def test_a_cron_trigger_fires_when_the_schedule_says(
    pump: PumpRunner, clock: list[datetime.datetime], schedule: str, timezone: str, expected: list[str]
) -> None:
    fired: list[datetime.datetime] = []

    class Recording(CronTrigger):
        def fire(self) -> bool:
            fired.append(clock[0])
            return True

        async def _sleep_until(self, due: datetime.datetime) -> None:
            await asyncio.sleep(0)
            clock[0] = due.astimezone(datetime.UTC)

    async def scenario() -> None:
        trigger = Recording(pump.app, schedule, timezone=timezone)
        await until(lambda: len(fired) >= 3)
        assert trigger._task is not None
        trigger._task.cancel()

    pump.run(scenario)
    assert fired[:3] == [datetime.datetime.fromisoformat(time) for time in expected]


def test_a_cron_trigger_fires_its_sources(pump: PumpRunner, clock: list[datetime.datetime]) -> None:
    async def scenario() -> None:
        # A minute that is over by the time the trigger looks at the clock again
        trigger = CronTrigger(pump.app, "* * * * *")
        pipeline, source = build(pump, trigger)
        pipeline.start()
        clock[0] += datetime.timedelta(minutes=1)
        await until(lambda: source.ended == 1)
        await pipeline.stop()

    pump.run(scenario)


@pytest.mark.parametrize("schedule", ["", "* * * *", "61 * * * *", "every minute"])
def test_a_wrong_schedule_is_named(pump: PumpRunner, schedule: str) -> None:
    with pytest.raises(bspump.ConfigurationError, match=f"Night schedule: '.{{{len(schedule)}}}' is no cron schedule"):
        CronTrigger(pump.app, schedule, id="Night")


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../etc/passwd"])
def test_an_unknown_time_zone_is_named(pump: PumpRunner, timezone: str) -> None:
    with pytest.raises(bspump.ConfigurationError, match=r"timezone: '.*' is no known time zone"):
        CronTrigger(pump.app, "* * * * *", timezone=timezone)


def test_cron_follows_the_change_of_the_clocks(pump: PumpRunner, clock: list[datetime.datetime]) -> None:
    clock[0] = datetime.datetime(2024, 3, 30, 12, 0, tzinfo=ZoneInfo("Europe/Prague"))

    async def scenario() -> None:
        trigger = CronTrigger(pump.app, "0 12 * * *", timezone="Europe/Prague")
        first = next(trigger._times)
        assert first.astimezone(datetime.UTC).isoformat() == "2024-03-31T10:00:00+00:00"

    pump.run(scenario)


def test_a_deleted_pipeline_is_no_longer_held_by_its_triggers(pump: PumpRunner) -> None:
    triggers: list[Trigger] = [
        PeriodicTrigger(pump.app, 0.01),
        OpportunisticTrigger(pump.app),
        RunOnceTrigger(pump.app),
    ]
    pipeline = bspump.Pipeline(pump.app, "P", config={"stop_timeout": 0.01})
    source = Cycles(pump.app, pipeline)
    source.may_end.clear()
    for trigger in triggers:
        source.on(trigger)
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        await until(lambda: source.begun == 1)
        pump.service.del_pipeline(pipeline)
        await until(lambda: not any(trigger.Sources for trigger in triggers))
        assert not pump.service.unfinished_jobs
        assert not pipeline._life_cycle.is_running

    pump.run(scenario, pipeline)
    assert pump.app.ExitCode == 0
