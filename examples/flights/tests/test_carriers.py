from __future__ import annotations

import csv
import io
import json
import math
import random
import statistics

import pytest
from flightpump.carriers import Carrier, CarrierTable, to_csv


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 99, 100, 101, 1000])
def test_mean_and_percentile_are_those_of_the_sorted_delays(count: int) -> None:
    source = random.Random(count)
    delays = [source.randint(-40, 900) for _ in range(count)]
    carrier = Carrier("Some Air")
    for delay in delays:
        carrier.add(delay)
    assert carrier.mean_delay() == pytest.approx(statistics.fmean(delays))
    assert carrier.delay_percentile(95) == sorted(delays)[math.ceil(count * 95 / 100) - 1]
    assert carrier.delay_percentile(100) == max(delays)


def test_cancelled_flights_count_as_flights_but_have_no_delay() -> None:
    carrier = Carrier("Some Air")
    for delay in [None, 10, None, 20, None]:
        carrier.add(delay)
    assert (carrier.flights, carrier.cancelled) == (5, 3)
    assert carrier.mean_delay() == 15
    assert carrier.delay_percentile(95) == 20


def test_a_carrier_that_never_flew_has_neither_mean_nor_percentile() -> None:
    table = CarrierTable()
    table.add("ZZ", None, None)
    assert to_csv(table.rows()).splitlines()[1:] == ["ZZ,,1,1,,"]


def test_rows_begin_with_the_most_flights_and_the_csv_can_be_read_back() -> None:
    table = CarrierTable()
    for code, name, delay in [("B", "Bee, Inc.", 1), ("C", "Sea", 1), ("B", "Bee, Inc.", 2), ("A", "Ay", 0)]:
        table.add(code, name, delay)
    rows = list(csv.DictReader(io.StringIO(to_csv(table.rows()))))
    assert [row["carrier"] for row in rows] == ["B", "A", "C"]
    assert rows[0] == {
        "carrier": "B",
        "name": "Bee, Inc.",
        "flights": "2",
        "cancelled": "0",
        "mean_dep_delay": "1.50",
        "p95_dep_delay": "2",
    }


def test_a_table_that_went_through_json_goes_on_as_the_original() -> None:
    original = CarrierTable()
    for delay in [-3, None, 7, 7, 120]:
        original.add("AA", "American", delay)
    restored = CarrierTable.from_json(json.loads(json.dumps(original.to_json())))
    for table in (original, restored):
        table.add("AA", "American", -3)
    assert restored.rows() == original.rows()
