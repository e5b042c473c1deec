"""What ``import bspump`` and ``bspump --help`` import: no client library of any technology."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from ._harness import Goal, Plan, Row, in_turns

_COMMANDS = {
    "import bspump": ("-c", "import bspump"),
    "import bspump.common": ("-c", "import bspump.common"),
    "bspump --help": ("-m", "bspump", "--help"),
}
_BARE_ASAB = ("-c", "import asab")
# Clients that may be there without a package of ours that requires them, and those that the core itself requires.
_WELL_KNOWN = {
    "aio_pika",
    "aioftp",
    "aiohttp",
    "aiokafka",
    "aiomysql",
    "confluent_kafka",
    "elasticsearch",
    "influxdb_client",
    "kafka",
    "kazoo",
    "pika",
    "pymysql",
}
_IMPORTED = re.compile(r"^import time:[^|]*\|[^|]*\|\s*([\w.]+)$", re.MULTILINE)


def client_libraries() -> set[str]:
    """Return the modules of what our packages require and the core does not, and of well-known clients."""
    installed = [_normalise(distribution.name) for distribution in importlib.metadata.distributions()]
    ours = [name for name in installed if name.startswith("bspump-")]
    of_core = {*_requirements("bspump-core"), *ours}
    required = {requirement for name in ours for requirement in _requirements(name)} - of_core
    modules = importlib.metadata.packages_distributions()
    return {module for module, names in modules.items() if required & set(map(_normalise, names))} | _WELL_KNOWN


def _requirements(distribution: str) -> Iterator[str]:
    for requirement in importlib.metadata.requires(distribution) or ():
        yield _normalise(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(command: tuple[str, ...]) -> set[str]:
    """Return the top-level modules that Python imports to run a command."""
    process = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True)
    return {module.partition(".")[0] for module in _IMPORTED.findall(process.stderr)}


def milliseconds_of(command: tuple[str, ...]) -> float:
    """Return how long a command takes, the start of Python included."""
    began = perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, check=True)
    return 1000 * (perf_counter() - began)


def compare(plan: Plan) -> list[Row]:
    """Look at what is imported, and time it against importing asab alone."""
    return [*_compare_modules(), *_compare_times(plan)]


def _compare_modules() -> Iterator[Row]:
    libraries = client_libraries()
    for name, command in _COMMANDS.items():
        found = sorted(libraries & imported_by(command))
        yield Row(
            "imports",
            f"client libraries imported by `{name}` / known",
            "modules",
            ours=[float(len(found))],
            theirs=[float(len(libraries))],
            goal=Goal(0, is_upper=True),
            detail={"found": found, "known": sorted(libraries)},
        )


def _compare_times(plan: Plan) -> Iterator[Row]:
    commands = {"asab": _BARE_ASAB, **_COMMANDS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for order in in_turns(list(commands), plan.runs):
        for name in order:
            times[name].append(milliseconds_of(commands[name]))
    for name in _COMMANDS:
        yield Row("imports", f"time of `{name}` / `import asab`", "ms", times[name], times["asab"])
