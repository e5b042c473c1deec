"""Times of events."""

from __future__ import annotations

import abc
import datetime
import zoneinfo
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import wrong_type

if TYPE_CHECKING:
    from ..pipeline import Pipeline


class TimeZoneNormalizer(Processor):
    """Brings times to UTC. Derive from it and override `process`, calling `normalize` in it.

    Options:
        timezone: the IANA name of the time zone of times that say none.
    """

    ConfigDefaults: dict[str, Any] = {
        "timezone": "CET",
    }

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Zone: datetime.tzinfo = datetime.UTC
        with self.options() as options:
            try:
                self.Zone = zoneinfo.ZoneInfo(options.text("timezone"))
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                options.refuse("timezone", "is no known time zone (such as Europe/Prague)")

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
