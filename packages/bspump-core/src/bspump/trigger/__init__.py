"""Triggers: what begins the cycles of a `bspump.TriggerSource`."""

from __future__ import annotations

from .cron import CronTrigger
from .opportunistic import OpportunisticTrigger
from .periodic import PeriodicTrigger
from .pubsub import PubSubTrigger
from .runonce import RunOnceTrigger
from .trigger import Trigger

__all__ = ["CronTrigger", "OpportunisticTrigger", "PeriodicTrigger", "PubSubTrigger", "RunOnceTrigger", "Trigger"]
