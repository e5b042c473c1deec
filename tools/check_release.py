"""Check that a release tag, the package's version and its changelog agree: `python -m tools.check_release TAG`.

A tag is `NAME-vVERSION`, such as `bspump-file-v0.1.0`. The two lines that are printed, `package=NAME` and
`version=VERSION`, are for the release workflow.
"""

import sys
from collections.abc import Mapping

from tools.changelog import fragments, released_version
from tools.packages import Package, discover


def problems(tag: str, packages: Mapping[str, Package]) -> list[str]:
    """Return everything that keeps `tag` from being released, one sentence each; nothing when it may be."""
    name, _, version = tag.rpartition("-v")
    package = packages.get(name)
    if package is None:
        return [f"{tag}: expected NAME-vVERSION with one of these names: {', '.join(packages)}."]
    found = []
    if package.version != version:
        found.append(f"{tag}: pyproject.toml states version {package.version}.")
    if (newest := released_version(package.folder)) != version:
        found.append(f"{tag}: the newest entry of CHANGELOG.md is {newest}.")
    if pending := fragments(package.folder):
        found.append(f"{tag}: changelog.d still holds {', '.join(path.name for path in pending)}.")
    return found


def main() -> int:
    """Check the tag that the command line names; return the exit status."""
    tag = sys.argv[1]
    found = problems(tag, discover())
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        return 1
    name, _, version = tag.rpartition("-v")
    print(f"package={name}\nversion={version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
