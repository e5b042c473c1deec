"""Measuring two sides in turns, and judging the ratio of their medians.

A benchmark is a module with a function ``compare(plan)`` that returns rows. What it measures runs in processes of its
own: ``measure`` starts the module again, whose ``main`` does one job and prints the figures.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A machine on which others use less than so many CPUs counts as quiet.
_QUIET = 0.1

Figures = dict[str, float]
Job = Callable[..., Figures]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How thoroughly to measure."""

    runs: int
    is_quick: bool

    def choose(self, full: int, quick: int) -> int:
        """Return the size of a workload."""
        return quick if self.is_quick else full


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a ratio has to be."""

    limit: float
    is_upper: bool = False

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        return ratio <= self.limit if self.is_upper else ratio >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.is_upper else '>='} {self.limit:g}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison: the figures of both sides, run by run, in the same order.

    Attributes:
        benchmark: the module that measured it.
        name: what is compared with what.
        unit: of the figures.
        ours, theirs: the figures. The ratio is ours to theirs.
        goal: what the ratio has to be; None where it is only of interest.
        other_load: how many CPUs others have used meanwhile, run by run, where that was watched.
        detail: anything else that was found, for the JSON.
    """

    benchmark: str
    name: str
    unit: str
    ours: list[float]
    theirs: list[float]
    goal: Goal | None = None
    other_load: list[float] = dataclasses.field(default_factory=list)
    detail: dict[str, object] = dataclasses.field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The ratio of the medians."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of one run."""
        ratios = [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.goal is None:
            return ""
        return "met" if self.goal.is_met(self.ratio) else "MISSED"

    def as_json(self) -> dict[str, object]:
        """Return everything about the row, fit for JSON."""
        return {
            **dataclasses.asdict(self),
            "goal": str(self.goal) if self.goal is not None else None,
            "median_ours": statistics.median(self.ours),
            "median_theirs": statistics.median(self.theirs),
            "ratio": self.ratio,
            "spread": self.spread,
            "verdict": self.verdict or None,
        }


def measure(module: str, *arguments: object) -> Figures:
    """Run one job of a benchmark in a process of its own and return its figures.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode != 0 or not process.stdout.strip():
        raise RuntimeError(
            f"{' '.join(command[1:])} ended with {process.returncode} and no figures:\n{process.stdout}{process.stderr}"
        )
    figures: Figures = json.loads(process.stdout.splitlines()[-1])
    return figures


def serve(**jobs: Job) -> None:
    """Do the job that the command line names, with the numbers or words behind it, and print its figures."""
    name, *arguments = sys.argv[1:]
    figures = jobs[name](*(int(word) if word.isdigit() else word for word in arguments))
    print(json.dumps(figures), flush=True)


def in_turns(sides: Sequence[str], runs: int) -> Iterator[tuple[str, ...]]:
    """Yield the order of the sides for each run, so that none is always the first."""
    for run in range(runs):
        turn = run % len(sides)
        yield (*sides[turn:], *sides[:turn])


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured: the figures of each side, run by run, and the load from elsewhere during each run, in CPUs."""

    figures: dict[str, list[Figures]]
    other_load: list[float]

    def rates(self, side: str, events: int) -> list[float]:
        """Return events per second of the measured seconds."""
        return [events / figures["seconds"] for figures in self.figures[side]]


def alternate(sides: Sequence[str], runs: int, job: Callable[[str], Figures]) -> Measured:
    """Measure each side once per run, in changing order.

    As long as something else is at work on the machine, runs are repeated, up to twice as many. The quietest count.
    """
    measured: list[tuple[float, dict[str, Figures]]] = []
    for order in in_turns(sides, 2 * runs):
        before = _Usage.now()
        figures = {side: job(side) for side in order}
        measured.append((_Usage.now().other_load_since(before), figures))
        if sum(load < _QUIET for load, _ in measured) == runs:
            break
    quietest = sorted(measured, key=lambda run: run[0])[:runs]
    return Measured(
        {side: [figures[side] for _, figures in quietest] for side in sides}, [round(load, 2) for load, _ in quietest]
    )


@dataclasses.dataclass(frozen=True)
class _Usage:
    """How much time the CPUs have spent up to some moment, in seconds: at work, and at work for us."""

    when: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> _Usage:
        own = os.times()
        return cls(time.monotonic(), _busy_seconds(), own.user + own.system + own.children_user + own.children_system)

    def other_load_since(self, before: _Usage) -> float:
        """Return how many CPUs have worked for others, or were taken away by them."""
        others = (self.busy - before.busy) - (self.own - before.own)
        return max(0.0, others / (self.when - before.when))


def _busy_seconds() -> float:
    statistics_of_system = Path("/proc/stat")
    if not statistics_of_system.exists():
        return 0.0  # not Linux: nobody knows
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, statistics_of_system.read_text("ascii").split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
