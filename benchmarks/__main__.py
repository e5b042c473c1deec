"""``python -m benchmarks``: measure, print a table, keep the figures as JSON, fail if a goal is missed."""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from ._harness import Plan, Row

BENCHMARKS = ("five_processors", "json_lines", "acknowledgements", "memory", "imports")
# From so much load on, in CPUs, the figures are not to be relied upon.
_BUSY = 0.5
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Measure what the command line asks for."""
    arguments = _parse_arguments()
    plan = Plan(runs=arguments.runs or (3 if arguments.quick else 7), is_quick=arguments.quick)
    started = datetime.datetime.now(datetime.UTC)
    load_before = os.getloadavg()
    rows: list[Row] = []
    for name in arguments.only or BENCHMARKS:
        print(f"{name} ... ", end="", file=sys.stderr, flush=True)
        began = time.monotonic()
        benchmark = importlib.import_module(f"benchmarks.{name}")
        rows.extend(benchmark.compare(plan))
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print_table(rows)
    conditions = {
        "started": started.isoformat(timespec="seconds"),
        "runs": plan.runs,
        "quick": plan.is_quick,
        "load_before": load_before,
        "load_after": os.getloadavg(),
        **describe_machine(),
    }
    if load_before[0] > _BUSY or any(load > _BUSY for row in rows for load in row.other_load):
        print("\nOther work was going on on the machine: look at the spread, or repeat it with more --runs.")
    print(f"\nKept in {keep(conditions, rows, started)}")
    has_missed = any(row.verdict == "MISSED" for row in rows)
    return 1 if has_missed and not plan.is_quick else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition(": ")[2])
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="measure this one; may be repeated")
    parser.add_argument("--runs", type=_positive, help="how often each side is measured (7; 3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="smaller workloads: to see that it works, not to judge")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def describe_machine() -> dict[str, object]:
    """Return what the figures depend on."""
    versions = {
        distribution.name: distribution.version
        for distribution in importlib.metadata.distributions()
        if distribution.name.startswith("bspump-") or distribution.name in ("asab", "orjson")
    }
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "versions": dict(sorted(versions.items())),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def print_table(rows: list[Row]) -> None:
    """Print one line for each row."""
    header = ("ours / theirs", "ours", "theirs", "ratio", "spread", "goal", "verdict")
    lines = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for number, line in enumerate(lines):
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row.spread
    return (
        row.name,
        _figure(statistics.median(row.ours), row.unit),
        _figure(statistics.median(row.theirs), row.unit),
        f"{row.ratio:.3f}",
        f"{low:.3f} .. {high:.3f}",
        str(row.goal) if row.goal is not None else "",
        row.verdict,
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def keep(conditions: dict[str, object], rows: list[Row], started: datetime.datetime) -> Path:
    """Write the figures to a file of their own and to `latest.json`. Returns the first."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**conditions, "rows": [row.as_json() for row in rows]}, indent=2) + "\n"
    kept = RESULTS / f"{started:%Y%m%dT%H%M%SZ}.json"
    for path in (kept, RESULTS / "latest.json"):
        path.write_text(text, "utf-8")
    return kept


if __name__ == "__main__":
    sys.exit(main())
