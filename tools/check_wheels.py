"""Check a folder of built wheels: `python -m tools.check_wheels DIST`.

The distributions share the import namespace `bspump`, so a file that two wheels ship is overwritten by whichever is
installed last, and a second `bspump/__init__.py` hides the other distributions.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from tools.packages import ROOT, Package, discover

NAMESPACE = "bspump"
CORE = "bspump-core"


@dataclass(frozen=True)
class Wheel:
    """What a wheel holds, apart from its own `.dist-info` folder."""

    metadata: Message
    files: frozenset[PurePosixPath]
    licenses: frozenset[str]

    @property
    def name(self) -> str:
        """The distribution's name."""
        return str(self.metadata["Name"])


def read_wheel(path: Path) -> Wheel:
    """Read the wheel at `path`."""
    with ZipFile(path) as archive:
        members = {PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")}
        info = {member for member in members if member.parts[0].endswith(".dist-info")}
        metadata = next(member for member in info if member.name == "METADATA" and len(member.parts) == 2)
        licenses = {archive.read(str(member)).decode() for member in info if "licenses" in member.parts}
        parsed = Parser().parsestr(archive.read(str(metadata)).decode())
    return Wheel(parsed, frozenset(members - info), frozenset(licenses))


def problems(wheels: Iterable[Wheel], packages: Mapping[str, Package], license_text: str) -> list[str]:
    """Return everything that is wrong with the wheels, one sentence each; nothing when they are sound."""
    wheels = sorted(wheels, key=lambda wheel: wheel.name)
    found = [problem for wheel in wheels for problem in _faults(wheel, packages.get(wheel.name), license_text)]
    missing = packages.keys() - {wheel.name for wheel in wheels}
    found += [f"{name}: no wheel was built." for name in sorted(missing)]
    return found + _shared_files(wheels)


def _faults(wheel: Wheel, package: Package | None, license_text: str) -> Iterable[str]:
    name = wheel.name
    if package is None:
        yield f"{name}: no package of this repository has that name."
    elif wheel.metadata["Version"] != package.version:
        yield f"{name}: the wheel says version {wheel.metadata['Version']}, pyproject.toml says {package.version}."
    if license_text not in wheel.licenses:
        yield f"{name}: the wheel does not hold the LICENSE of the repository."
    for path in sorted(wheel.files):
        if path.parts[0] != NAMESPACE:
            yield f"{name}: {path} lies outside {NAMESPACE}/."
    # The core's marker and __init__ are the namespace's own; every other package has its own folder below.
    home = PurePosixPath(NAMESPACE) / (name.removeprefix(f"{NAMESPACE}-").replace("-", "_") if name != CORE else "")
    for required in ("__init__.py", "py.typed"):
        if home / required not in wheel.files:
            yield f"{name}: {home / required} is missing."
    if name != CORE and PurePosixPath(NAMESPACE, "__init__.py") in wheel.files:
        yield f"{name}: only {CORE} may ship {NAMESPACE}/__init__.py."


def _shared_files(wheels: Iterable[Wheel]) -> list[str]:
    owners = defaultdict(list)
    for wheel in wheels:
        for path in wheel.files:
            owners[path].append(wheel.name)
    return [f"{path} is shipped by {' and '.join(names)}." for path, names in sorted(owners.items()) if len(names) > 1]


def main() -> int:
    """Check the wheels in the folder that the command line names; return the exit status."""
    dist = Path(sys.argv[1])
    wheels = [read_wheel(path) for path in sorted(dist.glob("*.whl"))]
    found = problems(wheels, discover(), (ROOT / "LICENSE").read_text("utf-8"))
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{len(wheels)} wheels, {sum(len(wheel.files) for wheel in wheels)} files, none of them shared.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
