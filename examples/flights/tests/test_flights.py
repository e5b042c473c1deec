"""The whole example, as a user runs it, and killed in the middle."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from flightpump import dataset

SCRIPT = dataset.FOLDER / "flights.py"
HEADER, *FLIGHTS = (
    line for line in gzip.decompress(dataset.JANUARY.read_bytes()).splitlines() if b"BROKEN" not in line
)


def write_input(path: Path, flights: list[bytes]) -> Path:
    dataset.write_gzip(path, dataset.with_broken_lines([HEADER, *flights]))
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected_carriers(flights: list[bytes]) -> list[dict[str, str]]:
    """Return the table of carriers, computed in the plainest way."""
    names = dict(csv.reader(gzip.decompress(dataset.AIRLINES.read_bytes()).decode().splitlines()[1:]))
    delays: dict[str, list[int | None]] = defaultdict(list)
    for row in csv.DictReader([HEADER.decode(), *(line.decode() for line in flights)]):
        delays[row["carrier"]].append(None if row["dep_time"] == "NA" else int(row["dep_delay"]))
    table = []
    for carrier, all_delays in sorted(delays.items(), key=lambda item: (-len(item[1]), item[0])):
        flown = sorted(delay for delay in all_delays if delay is not None)
        table.append(
            {
                "carrier": carrier,
                "name": names[carrier],
                "flights": str(len(all_delays)),
                "cancelled": str(len(all_delays) - len(flown)),
                "mean_dep_delay": f"{statistics.fmean(flown):.2f}" if flown else "",
                "p95_dep_delay": str(flown[math.ceil(0.95 * len(flown)) - 1]) if flown else "",
            }
        )
    return table


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The output of a run over January."""
    out = tmp_path_factory.mktemp("january")
    return out, run("--out", out)


def test_january_is_complete(january: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, result = january
    assert result.returncode == 0, result.stderr
    flights, cancelled, dead = (read(out / name) for name in ("flights.jsonl", "cancelled.jsonl", "dead-letter.jsonl"))
    assert (len(flights), len(cancelled), len(dead)) == (26_483, 521, 7)
    lines = [flight["line"] for flight in [*flights, *cancelled]] + [letter["context"]["line"] for letter in dead]
    assert sorted(lines) == list(range(2, 27_013))
    assert all(flight["dep_time"] is not None for flight in flights)
    assert all(flight["dep_time"] is None for flight in cancelled)
    assert sorted(path.name for path in out.iterdir()) == [
        ".run", "cancelled.jsonl", "carriers.csv", "dead-letter.jsonl", "flights.jsonl",
    ]  # fmt: skip


def test_every_value_of_january_is_that_of_its_line(january: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, _ = january
    airports = {
        row["faa"]: row for row in csv.DictReader(gzip.decompress(dataset.AIRPORTS.read_bytes()).decode().splitlines())
    }
    texts = {"carrier", "tailnum", "origin", "dest", "time_hour"}
    lines = gzip.decompress(dataset.JANUARY.read_bytes()).splitlines()
    columns = HEADER.decode().split(",")
    for flight in [*read(out / "flights.jsonl"), *read(out / "cancelled.jsonl")]:
        for column, text in zip(columns, lines[flight["line"] - 1].decode().split(","), strict=True):
            value = None if text == "NA" else text if column in texts else int(text)
            assert flight[column] == value
        for end in ("origin", "dest"):
            airport = airports.get(flight[end])
            assert flight[f"{end}_name"] == (airport["name"] if airport else None)
            assert flight[f"{end}_lat"] == (float(airport["lat"]) if airport else None)
            assert flight[f"{end}_lon"] == (float(airport["lon"]) if airport else None)
        if flight["dest"] in airports:
            assert flight["great_circle_miles"] == pytest.approx(flight["distance"], rel=0.02, abs=3)
        else:
            assert flight["dest"] in {"BQN", "SJU", "STT", "PSE"}
            assert flight["great_circle_miles"] is None


def test_carriers_are_those_of_an_independent_computation(
    january: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, result = january
    with (out / "carriers.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == expected_carriers(FLIGHTS)
    for row in rows:
        assert row["name"] in result.stdout


def test_broken_lines_are_dead_letters_with_their_reasons(
    january: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = january
    reasons = {letter["context"]["line"]: letter["exception"]["message"] for letter in read(out / "dead-letter.jsonl")}
    assert list(reasons) == [502, 4003, 8004, 12005, 16006, 20007, 24008]
    for line, *words in [
        (502, "4", "19"),
        (4003, "21", "19"),
        (8004, "dep_delay: 'late' is not a whole number"),
        (12005, "month: '13' is not a whole number from 1 to 12"),
        (16006, r"tailnum: 'BROKEN\\xff\\xfe\\x80' is not a code of letters and digits"),
        (20007, "4", "19"),
        (24008, "carrier: 'NA' is not a code of letters and digits"),
    ]:
        assert all(str(word) in reasons[line] for word in words)


def test_the_report_says_what_arrived_and_where(january: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, result = january
    assert "There is no earlier run in this folder: starting from the beginning." in result.stdout
    words = [line.split() for line in result.stdout.splitlines()]
    assert ["in", "27,011"] in words
    assert ["=", "flights", "26,483", str(out / "flights.jsonl")] in words
    assert ["+", "cancelled", "521", str(out / "cancelled.jsonl")] in words
    assert ["+", "dead", "letter", "7", str(out / "dead-letter.jsonl")] in words
    assert ["duplicates", "0"] in words
    assert result.stdout.rstrip().endswith("events/s")


# Interruptions


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An input that takes long enough to be interrupted several times, and the output of a run that was not."""
    folder = tmp_path_factory.mktemp("long")
    path = write_input(folder / "flights.csv.gz", FLIGHTS * 4)
    result = run("--input", path, "--out", folder / "out")
    assert result.returncode == 0, result.stderr
    return path, folder / "out"


@pytest.fixture
def often_committing(tmp_path: Path) -> Path:
    """A configuration with as many commits as there can be."""
    path = tmp_path / "flights.conf"
    text = (dataset.FOLDER / "flights.conf").read_text()
    path.write_text(text.replace("post = noop", "post = noop\ncommit_interval = 0.01"))
    return path


def committed_line(out: Path) -> int:
    """Return the line of the input up to which everything is durable."""
    try:
        files = json.loads((out / ".run" / "positions" / "FlightsPipeline.FileCSVSource.json").read_bytes())["files"]
    except FileNotFoundError:
        return 0
    return max((int(file["line"]) for file in files.values()), default=0)


def start_and_interrupt(signal_number: int, out: Path, *arguments: str | Path) -> int:
    """Start a run and send it a signal once it has committed something and written more. Returns its exit code."""
    output = out / "flights.jsonl"
    before = committed_line(out)
    process = subprocess.Popen(command("--out", out, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and committed_line(out) <= before:
            time.sleep(0.001)
        size = output.stat().st_size if output.exists() else 0
        while process.poll() is None and output.stat().st_size <= size:
            time.sleep(0.001)
        process.send_signal(signal_number)
    finally:
        code = process.wait(30)
    return code


def test_killed_several_times_nothing_is_missing_and_the_carriers_are_right(
    long_run: tuple[Path, Path], tmp_path: Path, often_committing: Path
) -> None:
    path, complete = long_run
    out = tmp_path / "out"
    arguments = ("--input", path, "-c", often_committing)
    kills = 0
    while kills < 3 and start_and_interrupt(signal.SIGKILL, out, *arguments) == -signal.SIGKILL:
        kills += 1
        assert 0 < committed_line(out) < 4 * len(FLIGHTS)
    assert kills >= 1
    result = run("--out", out, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "The last run was interrupted: going on with it." in result.stdout
    repetitions = 0
    for name in ("flights.jsonl", "cancelled.jsonl"):
        expected = set((complete / name).read_bytes().splitlines())
        found = (out / name).read_bytes().splitlines()
        assert set(found) == expected
        repetitions += len(found) - len(expected)
    expected_letters, letters = (
        [letter["context"] for letter in read(x / "dead-letter.jsonl")] for x in (complete, out)
    )
    assert [letter for letter in expected_letters if letter not in letters] == []
    repetitions += len(letters) - len(expected_letters)
    assert (out / "carriers.csv").read_bytes() == (complete / "carriers.csv").read_bytes()
    assert ["duplicates", f"{repetitions:,}"] in [line.split() for line in result.stdout.splitlines()]


def test_stopped_by_a_signal_it_goes_on_without_duplicates(
    long_run: tuple[Path, Path], tmp_path: Path, often_committing: Path
) -> None:
    path, complete = long_run
    out = tmp_path / "out"
    assert start_and_interrupt(signal.SIGINT, out, "--input", path, "-c", often_committing) == 1
    assert not (out / "carriers.csv").exists()
    assert 0 < committed_line(out) < 4 * len(FLIGHTS)
    result = run("--input", path, "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("flights.jsonl", "cancelled.jsonl", "carriers.csv"):
        assert (out / name).read_bytes() == (complete / name).read_bytes()


def mark_unfinished(out: Path) -> None:
    """Make a run look as if it had been killed right before its end."""
    description = out / ".run" / "run.json"
    description.write_text(description.read_text().replace('"finished": true', '"finished": false'))


def test_killed_after_the_last_event_the_next_run_only_finishes(
    january: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    complete, _ = january
    out = tmp_path / "out"
    shutil.copytree(complete, out)
    (out / "carriers.csv").unlink()
    mark_unfinished(out)
    result = run("--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("flights.jsonl", "carriers.csv"):
        assert (out / name).read_bytes() == (complete / name).read_bytes()


def test_if_everything_comes_again_the_carriers_are_still_right(
    january: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    complete, _ = january
    out = tmp_path / "out"
    shutil.copytree(complete, out)
    shutil.rmtree(out / ".run" / "positions")
    mark_unfinished(out)
    result = run("--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ["duplicates", "27,011"] in [line.split() for line in result.stdout.splitlines()]
    assert (out / "carriers.csv").read_bytes() == (complete / "carriers.csv").read_bytes()


def test_a_loss_is_noticed(january: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    complete, _ = january
    out = tmp_path / "out"
    shutil.copytree(complete, out)
    lines = (out / "flights.jsonl").read_bytes().splitlines(keepends=True)
    (out / "flights.jsonl").write_bytes(b"".join(lines[:100] + lines[101:]))
    mark_unfinished(out)
    result = run("--out", out)
    assert result.returncode == 1
    assert "The input has 27,011 lines, but flights, cancelled and dead letter have 27,010." in result.stdout


# Other inputs


def test_a_short_input_of_ones_own_and_a_second_run_from_the_beginning(tmp_path: Path) -> None:
    flights = FLIGHTS[:1500]
    path = write_input(tmp_path / "my flights [1].csv.gz", flights)
    first = run("--input", path, "--out", tmp_path / "out")
    assert first.returncode == 0, first.stdout + first.stderr
    second = run("--input", path, "--out", tmp_path / "out")
    assert "The last run has finished: starting from the beginning." in second.stdout
    with (tmp_path / "out" / "carriers.csv").open(newline="") as stream:
        assert list(csv.DictReader(stream)) == expected_carriers(flights)
    assert len(read(tmp_path / "out" / "dead-letter.jsonl")) == 7
    lines = [flight["line"] for name in ("flights", "cancelled") for flight in read(tmp_path / "out" / f"{name}.jsonl")]
    assert len(lines) == len(set(lines)) == 1500


def test_an_input_without_a_flight(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_bytes(HEADER + b"\n")
    result = run("--input", path, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "out" / "carriers.csv").read_text().splitlines() == [
        "carrier,name,flights,cancelled,mean_dep_delay,p95_dep_delay"
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--input", "{tmp}/nothing.csv"], "nothing.csv' cannot be read: No such file or directory"),
        (["--input", "{tmp}"], "cannot be read: Is a directory"),
        (["--input", "{tmp}/other.csv"], "other.csv' does not begin with the names of the columns"),
        (["--input", "{tmp}/other.csv.gz"], "other.csv.gz' cannot be read: Not a gzipped file"),
        (["--out", "{tmp}/other.csv"], "other.csv' is not a folder"),
        (["--out", "/dev/null/out"], "'/dev/null/out/.run' cannot be used: Not a directory"),
        (["--full", "--input", str(dataset.JANUARY)], "not allowed with argument --full"),
        (["--everything"], "unrecognized arguments: --everything"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(tmp_path: Path, arguments: list[str], problem: str) -> None:
    for name in ("other.csv", "other.csv.gz"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.returncode == 2
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


def test_the_whole_year_without_a_network_gets_one_sentence(tmp_path: Path) -> None:
    code = "from pathlib import Path; from flightpump import application, dataset; import sys;"
    code += f"dataset.CACHE = Path({str(tmp_path / 'cache')!r}); sys.exit(application.main(['--full', '--out', 'out']))"
    environment = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_NO_INDEX": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(dataset.FOLDER)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "without a network, run the example without --full" in result.stderr
    assert "Traceback" not in result.stderr


def test_progress_is_a_bar_on_a_terminal(tmp_path: Path) -> None:
    path = write_input(tmp_path / "flights.csv.gz", FLIGHTS[:1500])
    controller, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        command("--input", path, "--out", tmp_path / "out"), stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    output = b""
    while block := read_terminal(controller):
        output += block
    os.close(controller)
    assert process.wait(30) == 0
    text = output.decode()
    assert "1507/1507" in text
    assert "100%" in text
    assert "events/s" in text
    assert "left" in text


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is closed
        return b""
