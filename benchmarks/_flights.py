"""Records like those of departed flights, the same in every run, and what is done with them."""

from __future__ import annotations

import datetime
import itertools
import random
from pathlib import Path
from typing import Any

import orjson

Flight = dict[str, Any]

_NEW_YEAR = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
_MINUTES_OF_YEAR = 365 * 24 * 60
_LETTERS = "ABCDEFGH"
_CARRIERS = ("AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN")
_SKIES = ("clear", "rain", "snow", "fog")
AIRPORTS: dict[str, dict[str, Any]] = {
    "".join(code): {"name": f"{''.join(code).title()} International", "zone": index % 24 - 12}
    for index, code in enumerate(itertools.product(_LETTERS, repeat=3))
}


def keep_delayed(flight: Flight) -> Flight | None:
    """Return a flight that left late, None for others: about a third."""
    return flight if flight["dep_delay"] > 0 else None


def add_airport(flight: Flight) -> Flight:
    """Look the destination up."""
    airport = AIRPORTS.get(flight["dest"])
    if airport is not None:
        flight["dest_name"] = airport["name"]
        flight["dest_zone"] = airport["zone"]
    return flight


def write_flights(path: Path, count: int, distinct: int = 300_000) -> None:
    """Write so many lines; beyond `distinct` of them they repeat."""
    numbers = random.Random(2013)
    codes = list(AIRPORTS)
    lines = [orjson.dumps(_flight(number, numbers, codes)) for number in range(min(count, distinct))]
    with path.open("wb") as file:
        for start in range(0, count, distinct):
            file.write(b"\n".join(lines[: count - start]) + b"\n")


def _flight(number: int, numbers: random.Random, codes: list[str]) -> Flight:
    departure = _NEW_YEAR + datetime.timedelta(minutes=number % _MINUTES_OF_YEAR)
    delay = int(numbers.gauss(12, 30))
    return {
        "id": number,
        "time": departure.isoformat(),
        "carrier": numbers.choice(_CARRIERS),
        "flight": numbers.randrange(1, 6000),
        "tailnum": f"N{numbers.randrange(10000, 99999)}",
        "origin": numbers.choice(codes),
        "dest": numbers.choice(codes),
        "dep_delay": delay,
        "arr_delay": delay + numbers.randrange(-20, 20),
        "air_time": numbers.randrange(30, 500),
        "distance": numbers.randrange(90, 5000),
        "weather": {
            "sky": numbers.choice(_SKIES),
            "wind": numbers.randrange(40),
            "temperature": numbers.randrange(-20, 40),
        },
    }
