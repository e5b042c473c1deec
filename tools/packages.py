"""The packages of this repository: every folder `packages/*` with a `pyproject.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Package:
    """One distribution: its folder, and the name and version that its `pyproject.toml` states."""

    folder: Path
    name: str
    version: str


def discover(root: Path = ROOT) -> dict[str, Package]:
    """Return the packages by name, in the order of their folders."""
    packages = (_read(path) for path in sorted(root.glob("packages/*/pyproject.toml")))
    return {package.name: package for package in packages}


def _read(pyproject: Path) -> Package:
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    return Package(pyproject.parent, project["name"], project["version"])
