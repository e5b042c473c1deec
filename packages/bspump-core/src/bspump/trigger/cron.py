"""A trigger that fires by a cron schedule."""

from __future__ import annotations

import asyncio
import datetime
import zoneinfo

import asab
from cronsim import CronSim, CronSimError

from ..errors import ConfigurationError
from .trigger import Trigger

# The longest sleep: a clock that was set meanwhile is noticed after this many seconds.
_LONGEST_SLEEP = 30.0


class CronTrigger(Trigger):
    """Fires by a schedule such as ``*/5 * * * *`` or ``30 2 * * MON`` (as cronsim reads it, which follows Debian).

    Args:
        app: the application.
        schedule: the five fields minute, hour, day of month, month and day of week.
        timezone: the IANA name of the time zone of the schedule; UTC if not given.
        id: the name of the trigger.

    Raises:
        ConfigurationError: the schedule or the time zone cannot be understood.
    """

    def __init__(self, app: asab.Application, schedule: str, timezone: str = "UTC", id: str | None = None) -> None:
        super().__init__(app, id=id)
        try:
            self._zone = zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ConfigurationError(f"{self.Id} timezone: '{timezone}' is no known time zone") from None
        try:
            self._times = CronSim(schedule, datetime.datetime.now(self._zone))
        except CronSimError as error:
            raise ConfigurationError(f"{self.Id} schedule: '{schedule}' is no cron schedule ({error})") from None
        self._run(self._fire_by_schedule())

    async def _fire_by_schedule(self) -> None:
        for due in self._times:
            await self._sleep_until(due)
            self.fire()

    async def _sleep_until(self, due: datetime.datetime) -> None:
        while (seconds := (due - datetime.datetime.now(self._zone)).total_seconds()) > 0:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(min(seconds, _LONGEST_SLEEP))
