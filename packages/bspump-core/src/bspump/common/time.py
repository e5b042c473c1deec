"""Times of events."""

from __future__ import annotations

import abc
import datetime
import zoneinfo
from typing import TYPE_CHECKING

from .. import option
from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import wrong_type

if TYPE_CHECKING:
    from .._options import Options


def _read_zone(options: Options, key: str) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(options.text(key))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        options.refuse(key, "is no known time zone (such as Europe/Prague)")
        return datetime.UTC


class TimeZoneNormalizer(Processor):
    """Brings times to UTC. Derive from it and override `process`, calling `normalize` in it."""

    Zone = option.custom(
        _read_zone,
        "CET",
        key="timezone",
        values="name of a time zone",
        schema={"type": "string"},
        help="The IANA name of the time zone of times that say none.",
    )

    def normalize(self, local_time: datetime.datetime) -> datetime.datetime:
        """Return a time in UTC. One without a time zone is taken to be in that of the configuration.

        Raises:
            ProcessingError: it is no time.
        """
        if not isinstance(local_time, datetime.datetime):
            raise wrong_type(self, local_time, "a datetime to normalise")
        if local_time.tzinfo is None:
            local_time = local_time.replace(tzinfo=self.Zone)
        return local_time.astimezone(datetime.UTC)

    @abc.abstractmethod
    def process(self, context: Context, event: Event) -> Event:
        """Normalise the times of an event."""
