"""Turn a package's changelog fragments into the entry of a release: `python -m tools.changelog NAME`.

A fragment is a file `changelog.d/*.md` with one sentence for users. The entry's heading is the version that the
package's `pyproject.toml` states.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from tools.packages import discover

HEADING = "## "


def fragments(folder: Path) -> list[Path]:
    """Return the fragments of the package in `folder`, by name."""
    return sorted(folder.glob("changelog.d/*.md"))


def released_version(folder: Path) -> str | None:
    """Return the version of the newest entry, or None before the first release."""
    for line in (folder / "CHANGELOG.md").read_text("utf-8").splitlines():
        if line.startswith(HEADING):
            return line.removeprefix(HEADING).split()[0]
    return None


def release(folder: Path, version: str, day: date) -> str:
    """Move the fragments of the package in `folder` into a new entry of its changelog, and return the entry.

    Raises:
        ValueError: there is no fragment, or the version already has the newest entry.
    """
    pending = fragments(folder)
    if not pending:
        raise ValueError(f"{folder.name}: changelog.d has no fragments to release")
    if released_version(folder) == version:
        raise ValueError(f"{folder.name}: the changelog already has an entry for {version}")
    sentences = (" ".join(path.read_text("utf-8").split()) for path in pending)
    entry = f"{HEADING}{version} ({day.isoformat()})\n\n" + "".join(f"* {sentence}\n" for sentence in sentences)
    changelog = folder / "CHANGELOG.md"
    introduction, heading, older = changelog.read_text("utf-8").partition(f"\n{HEADING}")
    changelog.write_text(f"{introduction.rstrip()}\n\n{entry}{heading}{older}", "utf-8")
    for path in pending:
        path.unlink()
    return entry


def main() -> int:
    """Release the changelog of the package that the command line names; return the exit status."""
    package = discover()[sys.argv[1]]
    print(release(package.folder, package.version, datetime.now(UTC).date()), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
