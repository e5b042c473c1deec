"""Check a distribution where it is installed: `python tools/check_installed.py NAME VERSION`.

Runs in the environment under test, which has nothing but the distribution and its dependencies; so this file uses the
standard library only and imports nothing from this repository.
"""

import importlib
import sys
from importlib import metadata
from pathlib import Path

ENTRY_POINT_GROUPS = ("bspump", "console_scripts")


def check(name: str, version: str) -> list[str]:
    """Import the packages of the distribution and load its entry points; return what was imported and loaded.

    Raises:
        ValueError: the installed version is another one, or a package was imported from elsewhere.
        ImportError: a package or an entry point cannot be imported.
    """
    distribution = metadata.distribution(name)
    if distribution.version != version:
        raise ValueError(f"{name}: version {distribution.version} is installed, {version} was expected")
    return _import_packages(distribution) + _load_entry_points(distribution)


def _import_packages(distribution: metadata.Distribution) -> list[str]:
    """Import every package that a `py.typed` marks as the distribution's own."""
    markers = [path for path in distribution.files or () if path.name == "py.typed"]
    if not markers:
        raise ValueError(f"{distribution.name}: no package of it has a py.typed")
    imported = []
    for marker in markers:
        package = ".".join(marker.parent.parts)
        module = importlib.import_module(package)
        expected = Path(str(marker.locate())).resolve().with_name("__init__.py")
        if module.__file__ is None or Path(module.__file__).resolve() != expected:
            raise ValueError(f"{package} was imported from {module.__file__} instead of {expected}")
        imported.append(package)
    return imported


def _load_entry_points(distribution: metadata.Distribution) -> list[str]:
    loaded = []
    for entry_point in distribution.entry_points:
        if entry_point.group in ENTRY_POINT_GROUPS:
            entry_point.load()
            loaded.append(f"{entry_point.group}:{entry_point.name}")
    return loaded


if __name__ == "__main__":
    print(sys.argv[1], *check(sys.argv[1], sys.argv[2]))
