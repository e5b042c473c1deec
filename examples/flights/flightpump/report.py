"""The end of a run: whether everything has arrived, and what there is to see."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import rich.box
import rich.console
import rich.table

from .carriers import Row
from .run import Outputs


@dataclasses.dataclass(frozen=True)
class Arrivals:
    """What the input had and what came out, counted from the files themselves.

    Attributes:
        lines: the lines of the input, without the header.
        flights, cancelled, dead_letter: how many different lines of the input arrived there.
        duplicates: how many lines of the output are repetitions, left behind by an interrupted run.
        carriers: the rows of the table of carriers.
        counted, counted_cancelled: the flights in the table of carriers, and the cancelled ones of them.
    """

    lines: int
    flights: int
    cancelled: int
    dead_letter: int
    duplicates: int
    carriers: int
    counted: int
    counted_cancelled: int

    def problems(self) -> list[str]:
        """Return what does not add up, in sentences."""
        problems = []
        arrived = self.flights + self.cancelled + self.dead_letter
        if arrived != self.lines:
            problems.append(
                f"The input has {self.lines:,} lines, but flights, cancelled and dead letter have {arrived:,}."
            )
        if self.counted != self.flights + self.cancelled:
            problems.append(
                f"The carriers have {self.counted:,} flights, "
                f"but the flown and the cancelled ones are {self.flights + self.cancelled:,}."
            )
        if self.counted_cancelled != self.cancelled:
            problems.append(
                f"The carriers have {self.counted_cancelled:,} cancelled flights, "
                f"but {self.cancelled:,} were put aside as cancelled."
            )
        return problems


def count_arrivals(outputs: Outputs, lines: int, rows: list[Row]) -> Arrivals:
    """Count what has arrived."""
    flights = list(_line_numbers(outputs.flights))
    cancelled = list(_line_numbers(outputs.cancelled))
    dead_letter = list(_line_numbers(outputs.dead_letter))
    arrivals = [*flights, *cancelled, *dead_letter]
    return Arrivals(
        lines=lines,
        flights=len(set(flights)),
        cancelled=len(set(cancelled)),
        dead_letter=len(set(dead_letter)),
        duplicates=len(arrivals) - len(set(arrivals)),
        carriers=len(rows),
        counted=sum(row.flights for row in rows),
        counted_cancelled=sum(row.cancelled for row in rows),
    )


def _line_numbers(path: Path) -> Iterator[int]:
    """Yield the number of the input line that each line of an output file comes from."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            event: dict[str, Any] = orjson.loads(line)
            number: int = event["line"] if "line" in event else _line_of_context(event["context"])
            yield number


def _line_of_context(context: dict[str, Any]) -> int:
    """Return the line of a dead letter; behind a tee or a router, the context is wrapped in another one."""
    while "line" not in context:
        context = context["ancestor"]
    line: int = context["line"]
    return line


def print_report(console: rich.console.Console, arrivals: Arrivals, rows: list[Row], outputs: Outputs) -> None:
    """Print the table of carriers, the balance, where the files are, and how long it took."""
    console.print(_table_of_carriers(rows))
    console.print(_balance(arrivals, outputs), markup=False)
    for problem in arrivals.problems():
        console.print(f"It does not add up: {problem}", style="bold red")


def _table_of_carriers(rows: list[Row]) -> rich.table.Table:
    table = rich.table.Table(title="Carriers; departure delays in minutes", box=rich.box.SIMPLE_HEAD)
    table.add_column("carrier")
    table.add_column("name", no_wrap=True)
    for heading in ("flights", "cancelled", "mean", "p95"):
        table.add_column(heading, justify="right")
    for row in rows:
        mean = "" if row.mean_dep_delay is None else f"{row.mean_dep_delay:.2f}"
        p95 = "" if row.p95_dep_delay is None else str(row.p95_dep_delay)
        table.add_row(row.carrier, row.name, f"{row.flights:,}", f"{row.cancelled:,}", mean, p95)
    return table


def _balance(arrivals: Arrivals, outputs: Outputs) -> str:
    lines: list[tuple[str, int, Path | None]] = [
        ("in", arrivals.lines, None),
        ("= flights", arrivals.flights, outputs.flights),
        ("+ cancelled", arrivals.cancelled, outputs.cancelled),
        ("+ dead letter", arrivals.dead_letter, outputs.dead_letter),
        ("duplicates", arrivals.duplicates, None),
        ("carriers", arrivals.carriers, outputs.carriers),
    ]
    return "\n".join(f"{what:13} {count:>9,}  {_shown(path) if path else ''}".rstrip() for what, count, path in lines)


def _shown(path: Path) -> str:
    """Return a path as short as it can be from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
