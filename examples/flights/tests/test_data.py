from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

from flightpump import dataset

LINES = gzip.decompress(dataset.JANUARY.read_bytes()).splitlines()


def test_january_has_its_flights_and_the_broken_lines() -> None:
    broken = [line for line in LINES if b"BROKEN" in line]
    assert broken == [line for _, line, _ in dataset.BROKEN_LINES]
    flights = [line for line in LINES[1:] if b"BROKEN" not in line]
    assert len(flights) == 27_004
    assert all(line.startswith(b"2013,1,") and line.count(b",") == 18 for line in flights)
    assert LINES[0].decode() == dataset.HEADER


def test_the_broken_lines_are_where_the_readme_says() -> None:
    text = (dataset.DATA / "README.md").read_text()
    described = [
        (int(line), what) for line, what in re.findall(r"^\| (\d+) \| (.*?)(?: \(.*)? \|$", text, re.MULTILINE)
    ]
    found = [number for number, line in enumerate(LINES, 1) if b"BROKEN" in line]
    assert described == list(zip(found, [broken.what for broken in dataset.BROKEN_LINES], strict=True))


def test_the_readme_counts_airlines_and_airports_right() -> None:
    text = (dataset.DATA / "README.md").read_text()
    for path, words in ((dataset.AIRLINES, "names of {:,} airlines"), (dataset.AIRPORTS, "places of {:,} airports")):
        rows = list(csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines()))
        assert words.format(len(rows) - 1) in text


def test_broken_lines_are_added_to_a_short_input_too() -> None:
    lines = list(dataset.with_broken_lines([b"header", *[b"flight"] * 600]))
    assert lines.index(dataset.BROKEN_LINES[0].line) == 501
    assert lines[602:] == [broken.line for broken in dataset.BROKEN_LINES[1:]]


def test_the_same_lines_make_the_same_file(tmp_path: Path) -> None:
    for name in ("one.gz", "other.gz"):
        dataset.write_gzip(tmp_path / name, [b"a", b"b"])
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "other.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.gz").read_bytes()) == b"a\nb\n"
