"""What is known of each carrier: how many flights, and how late they left."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Any, NamedTuple

COLUMNS = ("carrier", "name", "flights", "cancelled", "mean_dep_delay", "p95_dep_delay")


@dataclasses.dataclass(slots=True)
class Carrier:
    """The flights of one carrier.

    The delays are whole minutes, so that a histogram of them is small and still gives exact percentiles.
    """

    name: str | None
    flights: int = 0
    cancelled: int = 0
    delays: dict[int, int] = dataclasses.field(default_factory=dict)

    def add(self, dep_delay: int | None) -> None:
        """Count a scheduled flight; one without a departure delay never departed."""
        self.flights += 1
        if dep_delay is None:
            self.cancelled += 1
        else:
            self.delays[dep_delay] = self.delays.get(dep_delay, 0) + 1

    def mean_delay(self) -> float | None:
        """Return the mean departure delay of the flown flights in minutes; None if there are none."""
        flown = self.flights - self.cancelled
        return sum(delay * count for delay, count in self.delays.items()) / flown if flown else None

    def delay_percentile(self, percent: int) -> int | None:
        """Return a percentile of the departure delays of the flown flights by the nearest-rank method.

        It is the value at the place ceil(percent / 100 * n) of the n sorted delays, thus always one that occurred: the
        smallest that at least `percent` of the flights do not exceed. This is "inverted_cdf", definition 1 in Hyndman
        and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996).
        """
        rank = -(-percent * (self.flights - self.cancelled) // 100)
        for delay in sorted(self.delays):
            rank -= self.delays[delay]
            if rank <= 0:
                return delay
        return None


class Row(NamedTuple):
    """A row of the table of carriers."""

    carrier: str
    name: str | None
    flights: int
    cancelled: int
    mean_dep_delay: float | None
    p95_dep_delay: int | None


class CarrierTable:
    """The carriers by their codes."""

    def __init__(self) -> None:
        self._carriers: dict[str, Carrier] = {}

    def add(self, code: str, name: str | None, dep_delay: int | None) -> None:
        """Count a flight."""
        carrier = self._carriers.get(code)
        if carrier is None:
            carrier = self._carriers[code] = Carrier(name)
        carrier.add(dep_delay)

    def rows(self) -> list[Row]:
        """Return the table, the carrier with the most flights first."""
        rows = [
            Row(code, item.name, item.flights, item.cancelled, item.mean_delay(), item.delay_percentile(95))
            for code, item in self._carriers.items()
        ]
        return sorted(rows, key=lambda row: (-row.flights, row.carrier))

    def to_json(self) -> dict[str, Any]:
        """Return all that `from_json` needs, fit for JSON. It is no copy: write it down before the next `add`."""
        return {
            code: {"name": item.name, "flights": item.flights, "cancelled": item.cancelled, "delays": item.delays}
            for code, item in self._carriers.items()
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CarrierTable:
        """Return the table that `to_json` described."""
        table = cls()
        for code, fields in content.items():
            # Keys in JSON are strings.
            delays = {int(delay): count for delay, count in fields.pop("delays").items()}
            table._carriers[code] = Carrier(**fields, delays=delays)
        return table


def to_csv(rows: Iterable[Row]) -> str:
    """Return rows as CSV with a header; what is not known is empty, the mean has two decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        mean = "" if row.mean_dep_delay is None else f"{row.mean_dep_delay:.2f}"
        writer.writerow([row.carrier, row.name, row.flights, row.cancelled, mean, row.p95_dep_delay])
    return text.getvalue()
