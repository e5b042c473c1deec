from datetime import date
from pathlib import Path

import pytest

from tools.changelog import fragments, release, released_version
from tools.check_release import problems
from tools.packages import Package

NAME = "bspump-file"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A package with one entry in its changelog and two fragments."""
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0 (2026-01-02)\n\n* Old.\n")
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "b.md").write_text("Second\nsentence.\n")
    (tmp_path / "changelog.d" / "a.md").write_text("First sentence.\n")
    return Package(tmp_path, NAME, "0.2.0")


def test_a_release_puts_the_fragments_above_the_older_entries(package: Package) -> None:
    release(package.folder, "0.2.0", date(2026, 3, 4))
    assert (package.folder / "CHANGELOG.md").read_text() == (
        "# Changelog\n\n## 0.2.0 (2026-03-04)\n\n* First sentence.\n* Second sentence.\n"
        "\n## 0.1.0 (2026-01-02)\n\n* Old.\n"
    )
    assert fragments(package.folder) == []


def test_the_first_release_needs_no_older_entry(package: Package) -> None:
    (package.folder / "CHANGELOG.md").write_text("# Changelog\n")
    assert released_version(package.folder) is None
    release(package.folder, "0.2.0", date(2026, 3, 4))
    assert released_version(package.folder) == "0.2.0"


def test_a_version_is_released_once(package: Package) -> None:
    with pytest.raises(ValueError, match=r"already has an entry for 0\.1\.0"):
        release(package.folder, "0.1.0", date(2026, 3, 4))


def test_a_release_without_fragments_is_refused(package: Package) -> None:
    release(package.folder, "0.2.0", date(2026, 3, 4))
    with pytest.raises(ValueError, match="no fragments"):
        release(package.folder, "0.3.0", date(2026, 3, 5))


def test_a_tag_that_agrees_with_version_and_changelog_may_be_released(package: Package) -> None:
    release(package.folder, "0.2.0", date(2026, 3, 4))
    assert problems("bspump-file-v0.2.0", {NAME: package}) == []


def test_all_disagreements_are_reported_together(package: Package) -> None:
    assert problems("bspump-file-v0.3.0", {NAME: package}) == [
        "bspump-file-v0.3.0: pyproject.toml states version 0.2.0.",
        "bspump-file-v0.3.0: the newest entry of CHANGELOG.md is 0.1.0.",
        "bspump-file-v0.3.0: changelog.d still holds a.md, b.md.",
    ]


@pytest.mark.parametrize("tag", ["v0.2.0", "bspump-unknown-v0.2.0", "bspump-file"])
def test_a_tag_of_no_package_is_refused(package: Package, tag: str) -> None:
    assert problems(tag, {NAME: package}) == [f"{tag}: expected NAME-vVERSION with one of these names: bspump-file."]
