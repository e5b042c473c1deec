import dataclasses
from email.message import Message
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from tools.check_wheels import Wheel, problems, read_wheel
from tools.packages import Package

PACKAGES = {name: Package(Path(name), name, "1.0") for name in ("bspump-core", "bspump-file")}
LICENSE = "terms"


def wheel(name: str, *files: str, version: str = "1.0") -> Wheel:
    metadata = Message()
    metadata["Name"] = name
    metadata["Version"] = version
    return Wheel(metadata, frozenset(map(PurePosixPath, files)), frozenset({LICENSE}))


CORE = wheel("bspump-core", "bspump/__init__.py", "bspump/py.typed")
FILE = wheel("bspump-file", "bspump/file/__init__.py", "bspump/file/py.typed")


def test_sound_wheels_have_no_problems() -> None:
    assert problems([CORE, FILE], PACKAGES, LICENSE) == []


def test_a_shared_file_names_both_owners() -> None:
    greedy = dataclasses.replace(CORE, files=CORE.files | {PurePosixPath("bspump/file/__init__.py")})
    assert problems([greedy, FILE], PACKAGES, LICENSE) == [
        "bspump/file/__init__.py is shipped by bspump-core and bspump-file."
    ]


def test_only_the_core_ships_the_namespace_itself() -> None:
    intruder = dataclasses.replace(FILE, files=FILE.files | {PurePosixPath("bspump/__init__.py")})
    assert "bspump-file: only bspump-core may ship bspump/__init__.py." in problems([CORE, intruder], PACKAGES, LICENSE)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (wheel("bspump-file", "bspump/file/__init__.py"), "bspump-file: bspump/file/py.typed is missing."),
        (wheel("bspump-file", "bspump/file/py.typed"), "bspump-file: bspump/file/__init__.py is missing."),
        (
            dataclasses.replace(FILE, files=FILE.files | {PurePosixPath("tests/test_file.py")}),
            "bspump-file: tests/test_file.py lies outside bspump/.",
        ),
        (
            wheel("bspump-file", *map(str, FILE.files), version="2.0"),
            "bspump-file: the wheel says version 2.0, pyproject.toml says 1.0.",
        ),
        (
            dataclasses.replace(FILE, licenses=frozenset()),
            "bspump-file: the wheel does not hold the LICENSE of the repository.",
        ),
    ],
    ids=["untyped", "no package", "stray file", "other version", "no licence"],
)
def test_a_broken_wheel_is_reported(broken: Wheel, problem: str) -> None:
    assert problems([CORE, broken], PACKAGES, LICENSE) == [problem]


def test_a_package_without_a_wheel_is_reported() -> None:
    assert problems([CORE], PACKAGES, LICENSE) == ["bspump-file: no wheel was built."]


def test_a_wheel_is_read_without_its_own_metadata_among_the_files(tmp_path: Path) -> None:
    path = tmp_path / "bspump_file-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        archive.writestr("bspump/file/__init__.py", "")
        archive.writestr("bspump_file-1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: bspump-file\n")
        archive.writestr("bspump_file-1.0.dist-info/licenses/LICENSE", LICENSE)
    read = read_wheel(path)
    assert read.name == "bspump-file"
    assert read.files == {PurePosixPath("bspump/file/__init__.py")}
    assert read.licenses == {LICENSE}
