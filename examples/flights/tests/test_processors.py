from __future__ import annotations

from typing import Any

import pytest
from flightpump.lookups import Airlines, Airport, Airports
from flightpump.processors import EARTH_RADIUS, CancelledRouter, Enrich, TypedValues, great_circle_miles

import bspump
import bspump.common
from bspump.testing import MemorySink, MemorySource, PumpRunner

LINE = {
    "year": "2013", "month": "1", "day": "31", "dep_time": "517", "sched_dep_time": "515", "dep_delay": "2",
    "arr_time": "830", "sched_arr_time": "819", "arr_delay": "-11", "carrier": "UA", "flight": "1545",
    "tailnum": "N14228", "origin": "JFK", "dest": "LAX", "air_time": "227", "distance": "2475", "hour": "5",
    "minute": "15", "time_hour": "2013-01-31T10:00:00Z",
}  # fmt: skip
JFK = Airport("John F Kennedy Intl", 40.639751, -73.778925)
LAX = Airport("Los Angeles Intl", 33.942536, -118.408075)


class Empty(bspump.Pipeline):
    """A pipeline for processors that are called directly."""


@pytest.fixture
def pipeline(pump: PumpRunner) -> bspump.Pipeline:
    return Empty(pump.app)


def typed(pipeline: bspump.Pipeline, **changes: str) -> dict[str, Any]:
    return TypedValues(pipeline.App, pipeline).process({"filename": "f", "line": 7}, {**LINE, **changes})


def test_texts_become_numbers_and_the_line_is_added(pipeline: bspump.Pipeline) -> None:
    flight = typed(pipeline)
    assert flight == {
        "year": 2013, "month": 1, "day": 31, "dep_time": 517, "sched_dep_time": 515, "dep_delay": 2,
        "arr_time": 830, "sched_arr_time": 819, "arr_delay": -11, "carrier": "UA", "flight": 1545,
        "tailnum": "N14228", "origin": "JFK", "dest": "LAX", "air_time": 227, "distance": 2475, "hour": 5,
        "minute": 15, "time_hour": "2013-01-31T10:00:00Z", "line": 7,
    }  # fmt: skip


def test_not_available_becomes_null(pipeline: bspump.Pipeline) -> None:
    columns = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"]
    flight = typed(pipeline, **dict.fromkeys(columns, "NA"))
    assert [column for column, value in flight.items() if value is None] == [
        "dep_time", "dep_delay", "arr_time", "arr_delay", "tailnum", "air_time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("dep_delay", "late", "dep_delay: 'late' is not a whole number from -9999 to 9999"),
        ("dep_delay", "", "dep_delay: '' is not a whole number from -9999 to 9999"),
        ("month", "13", "month: '13' is not a whole number from 1 to 12"),
        ("month", "NA", "month: 'NA' is not a whole number from 1 to 12"),
        ("distance", "1_000", "distance: '1_000' is not a whole number from 1 to 9999"),
        ("dep_delay", "NA", "dep_delay: it must be NA where dep_time is, and only there"),
        ("minute", "-1", "minute: '-1' is not a whole number from 0 to 59"),
        ("carrier", "NA", "carrier: 'NA' is not a code of letters and digits"),
        ("origin", "", "origin: '' is not a code of letters and digits"),
        ("tailnum", "N1\\xff", r"tailnum: 'N1\\xff' is not a code of letters and digits"),
        ("time_hour", "noon", "time_hour: 'noon' is not a time according to ISO 8601"),
    ],
)
def test_a_text_that_does_not_fit_its_column_is_an_error_with_the_reason(
    pipeline: bspump.Pipeline, column: str, text: str, reason: str
) -> None:
    with pytest.raises(bspump.ProcessingError) as raised:
        typed(pipeline, **{column: text})
    assert str(raised.value) == reason


def test_a_day_that_the_month_does_not_have_is_an_error(pipeline: bspump.Pipeline) -> None:
    with pytest.raises(bspump.ProcessingError, match="2013-02-29 is not in the calendar"):
        typed(pipeline, month="2", day="29")


def test_great_circle_of_known_routes() -> None:
    # The Great Circle Mapper, which calculates on the ellipsoid, gives 2,475 statute miles.
    assert great_circle_miles(JFK, LAX) == pytest.approx(2475, rel=0.005)
    # Rosetta Code, "Haversine formula": from Nashville to Los Angeles it is 2887.2599506 km if the radius is 6372.8 km.
    angle = great_circle_miles(Airport("BNA", 36.12, -86.67), Airport("LAX", 33.94, -118.4)) / EARTH_RADIUS
    assert angle == pytest.approx(2887.2599506 / 6372.8, rel=1e-9)


@pytest.mark.parametrize(
    ("start", "end", "quarters"),
    [((0, 0), (0, 90), 1), ((0, 0), (90, 0), 1), ((0, 0), (0, 180), 2), ((8, 9), (8, 9), 0)],
)
def test_great_circle_of_parts_of_the_circumference(
    start: tuple[float, float], end: tuple[float, float], quarters: int
) -> None:
    quarter = 6371.0088 * 3.141592653589793 / 2 / 1.609344
    assert great_circle_miles(Airport("", *start), Airport("", *end)) == pytest.approx(quarters * quarter)


def enrich(pump: PumpRunner, pipeline: bspump.Pipeline) -> tuple[Enrich, Airports]:
    airlines, airports = Airlines(pump.app), Airports(pump.app)
    airlines.set({"UA": "United"})
    airports.set({"JFK": JFK, "LAX": LAX})
    return Enrich(pump.app, pipeline, airlines, airports), airports


def test_enrich_adds_the_carrier_both_airports_and_the_distance(pump: PumpRunner, pipeline: bspump.Pipeline) -> None:
    processor, _ = enrich(pump, pipeline)
    assert processor.process({}, {"carrier": "UA", "origin": "JFK", "dest": "LAX"}) == {
        "carrier": "UA",
        "origin": "JFK",
        "dest": "LAX",
        "carrier_name": "United",
        "origin_name": JFK.name,
        "origin_lat": JFK.latitude,
        "origin_lon": JFK.longitude,
        "dest_name": LAX.name,
        "dest_lat": LAX.latitude,
        "dest_lon": LAX.longitude,
        "great_circle_miles": 2469.5,
    }


def test_what_the_lookups_do_not_know_is_null(pump: PumpRunner, pipeline: bspump.Pipeline) -> None:
    processor, _ = enrich(pump, pipeline)
    flight = processor.process({}, {"carrier": "ZZ", "origin": "JFK", "dest": "SJU"})
    assert flight["origin_name"] == JFK.name
    unknown = ["carrier_name", "dest_name", "dest_lat", "dest_lon", "great_circle_miles"]
    assert {key: flight[key] for key in unknown} == dict.fromkeys(unknown)


def test_enrich_follows_a_change_of_the_airports(pump: PumpRunner, pipeline: bspump.Pipeline) -> None:
    processor, airports = enrich(pump, pipeline)
    processor.process({}, {"carrier": "UA", "origin": "JFK", "dest": "LAX"})
    airports.set({"JFK": JFK, "LAX": LAX._replace(name="Los Angeles")})
    flight = processor.process({}, {"carrier": "UA", "origin": "JFK", "dest": "LAX"})
    assert flight["dest_name"] == "Los Angeles"


@pytest.mark.parametrize(
    ("lookup", "data", "problem"),
    [
        (Airlines, b"code,name\nUA,United\n", "column 'carrier' is missing"),
        (Airports, b"faa,name,lat,lon\nJFK,Kennedy,north,west\n", "could not convert"),
        (Airlines, b"\xff\xfe", "decode"),
    ],
)
def test_a_lookup_refuses_a_file_of_something_else(
    pump: PumpRunner, lookup: type[Airlines | Airports], data: bytes, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        lookup(pump.app).deserialize(data)


class Departures(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, flights: list[dict[str, Any]]) -> None:
        super().__init__(app)
        self.source = MemorySource(app, self, flights)
        self.sink = MemorySink(app, self)
        self.build(self.source, CancelledRouter(app, self), self.sink)


class CancelledPipeline(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication) -> None:
        super().__init__(app)
        self.sink = MemorySink(app, self)
        self.build(bspump.common.InternalSource(app, self), self.sink)


def test_flights_without_departure_go_to_the_other_pipeline_only(pump: PumpRunner) -> None:
    flights = [{"line": line, "dep_time": None if line % 3 else line} for line in range(1, 101)]
    departures = Departures(pump.app, flights)
    cancelled = CancelledPipeline(pump.app)

    async def scenario() -> None:
        await departures.source.finished.wait()

    pump.run(scenario, departures, cancelled)
    assert departures.sink.events == [flight for flight in flights if flight["dep_time"] is not None]
    assert cancelled.sink.events == [flight for flight in flights if flight["dep_time"] is None]
