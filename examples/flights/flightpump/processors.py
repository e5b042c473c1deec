"""The processors of the flights: text to values, values to more values, and the cancelled ones out of the way."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import asab

import bspump
import bspump.common

from .lookups import Airlines, Airport, Airports

K = TypeVar("K")
V = TypeVar("V")
Parser: TypeAlias = Callable[[str], object]

# The mean radius R1 of the International Union of Geodesy and Geophysics, 6371.0088 km, in statute miles.
EARTH_RADIUS = 6371.0088 / 1.609344

NOT_AVAILABLE = "NA"

_WHOLE_NUMBER = re.compile("-?[0-9]{1,9}")

# What is different in every line must not fill the memory.
_MOST_REMEMBERED = 8192


def _whole_number(column: str, lowest: int = -9999, highest: int = 9999) -> Parser:
    expectation = f"a whole number from {lowest} to {highest}"

    def parse(text: str) -> int:
        # int() would take " 1_000 " too.
        number = int(text) if _WHOLE_NUMBER.fullmatch(text) else None
        if number is None or not lowest <= number <= highest:
            raise bspump.ProcessingError(f"{column}: {text!r} is not {expectation}")
        return number

    return parse


def _code(column: str) -> Parser:
    def parse(text: str) -> str:
        if text == NOT_AVAILABLE or not (text.isascii() and text.isalnum()):
            raise bspump.ProcessingError(f"{column}: {text!r} is not a code of letters and digits")
        return text

    return parse


def _instant(column: str) -> Parser:
    def parse(text: str) -> str:
        try:
            datetime.datetime.fromisoformat(text)
        except ValueError:
            raise bspump.ProcessingError(f"{column}: {text!r} is not a time according to ISO 8601") from None
        return text

    return parse


def _or_null(parser: Parser) -> Parser:
    return lambda text: None if text == NOT_AVAILABLE else parser(text)


_PARSERS: dict[str, Parser] = {
    "year": _whole_number("year", 1, 9999),
    "month": _whole_number("month", 1, 12),
    "day": _whole_number("day", 1, 31),
    "dep_time": _or_null(_whole_number("dep_time", 0, 2400)),
    "sched_dep_time": _whole_number("sched_dep_time", 0, 2400),
    "dep_delay": _or_null(_whole_number("dep_delay")),
    "arr_time": _or_null(_whole_number("arr_time", 0, 2400)),
    "sched_arr_time": _whole_number("sched_arr_time", 0, 2400),
    "arr_delay": _or_null(_whole_number("arr_delay")),
    "carrier": _code("carrier"),
    "flight": _whole_number("flight", 1, 9999),
    "tailnum": _or_null(_code("tailnum")),
    "origin": _code("origin"),
    "dest": _code("dest"),
    "air_time": _or_null(_whole_number("air_time", 1, 9999)),
    "distance": _whole_number("distance", 1, 9999),
    "hour": _whole_number("hour", 0, 24),
    "minute": _whole_number("minute", 0, 59),
    "time_hour": _instant("time_hour"),
}


class _Remembered(dict[K, V]):
    """What a function returns for its arguments, each of which it is called for once."""

    def __init__(self, function: Callable[[K], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, argument: K) -> V:
        value = self._function(argument)
        if len(self) < _MOST_REMEMBERED:
            self[argument] = value
        return value


class TypedValues(bspump.Processor):
    """Makes values of the texts in a line: whole numbers, and null of ``NA``.

    The times of the day stay numbers such as 1745, as in the data. Adds ``line``, the number of the line in the input.

    Raises:
        ProcessingError: a text is not what its column holds.
    """

    def __init__(self, app: asab.Application, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        # A column has a few thousand different texts at most.
        self._columns = [(column, _Remembered(parser)) for column, parser in _PARSERS.items()]
        self._dates = _Remembered(_check_date)

    def process(self, context: bspump.Context, event: dict[str, str]) -> dict[str, Any]:
        """Return the flight with typed values."""
        flight: dict[str, Any] = {column: values[event[column]] for column, values in self._columns}
        # Raises if there is no such day.
        self._dates[flight["year"], flight["month"], flight["day"]]
        if (flight["dep_time"] is None) is not (flight["dep_delay"] is None):
            raise bspump.ProcessingError("dep_delay: it must be NA where dep_time is, and only there")
        flight["line"] = context["line"]
        return flight


def _check_date(date: tuple[int, int, int]) -> None:
    year, month, day = date
    try:
        datetime.date(year, month, day)
    except ValueError:
        raise bspump.ProcessingError(f"day: {year}-{month:02}-{day:02} is not in the calendar") from None


class Enrich(bspump.Processor):
    """Adds the name of the carrier, names and places of the airports, and the great-circle distance in miles.

    What the lookups do not know is null.
    """

    def __init__(
        self, app: asab.Application, pipeline: bspump.Pipeline, airlines: Airlines, airports: Airports
    ) -> None:
        super().__init__(app, pipeline)
        self._airlines = airlines
        self._airports = airports
        # A year has some seven hundred different ones.
        self._known = _Remembered(self._describe)
        for lookup in (airlines, airports):
            lookup.PubSub.subscribe("bspump.Lookup.changed!", self._forget)

    def process(self, context: bspump.Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the flight with what is known of its carrier and its airports."""
        event.update(self._known[event["carrier"], event["origin"], event["dest"]])
        return event

    def _describe(self, codes: tuple[str, str, str]) -> dict[str, Any]:
        carrier, origin, dest = codes
        start, end = self._airports.get(origin), self._airports.get(dest)
        miles = round(great_circle_miles(start, end), 1) if start is not None and end is not None else None
        return {
            "carrier_name": self._airlines.get(carrier),
            **_describe_airport("origin", start),
            **_describe_airport("dest", end),
            "great_circle_miles": miles,
        }

    def _forget(self, message_type: str) -> None:
        self._known.clear()


def _describe_airport(prefix: str, airport: Airport | None) -> dict[str, Any]:
    name, latitude, longitude = airport if airport is not None else (None, None, None)
    return {f"{prefix}_name": name, f"{prefix}_lat": latitude, f"{prefix}_lon": longitude}


def great_circle_miles(start: Airport, end: Airport) -> float:
    """Return the length of the shortest way between two airports, on a sphere, in statute miles.

    By the haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984), which is exact to
    the last digits for short ways too; that the Earth is no sphere makes a difference of up to half a percent.
    """
    start_latitude, end_latitude = math.radians(start.latitude), math.radians(end.latitude)
    latitudes = end_latitude - start_latitude
    longitudes = math.radians(end.longitude - start.longitude)
    haversine = (
        math.sin(latitudes / 2) ** 2 + math.cos(start_latitude) * math.cos(end_latitude) * math.sin(longitudes / 2) ** 2
    )
    return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(haversine)))


class CancelledRouter(bspump.common.RouterProcessor):
    """Hands the flights that never departed to a pipeline of their own, and lets the others through."""

    Target = "CancelledPipeline.*InternalSource"

    def process(self, context: bspump.Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return the flight if it departed."""
        if event["dep_time"] is not None:
            return event
        self.route(context, event, self.Target, copy_event=False)
        return None
