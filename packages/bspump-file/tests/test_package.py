"""The names that users rely on."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

import bspump.file
from bspump._component import merged_defaults
from bspump.file import _plugin
from bspump.option import declared_options

MODULES = {
    "FileABCSource": "fileabcsource",
    "FileBatchLookupProvider": "lookupprovider",
    "FileBlockSink": "fileblocksink",
    "FileBlockSource": "fileblocksource",
    "FileCSVSink": "filecsvsink",
    "FileCSVSource": "filecsvsource",
    "FileJSONSource": "filejsonsource",
    "FileLineSource": "filelinesource",
    "FileMultiLineSource": "filelinesource",
}

# What sources and sinks of one's own may be derived from besides.
BASES = {"AppendingSink", "FileABCSource", "LineBasedSource"}
CLASSES = {component.target.partition(":")[2] for component in _plugin.COMPONENTS}


@pytest.mark.parametrize(("name", "module"), MODULES.items())
def test_classes_are_where_the_manual_has_them(name: str, module: str) -> None:
    found = getattr(importlib.import_module(f"bspump.file.{module}"), name)
    assert found is getattr(bspump.file, name)


def test_every_component_is_exported() -> None:
    assert set(bspump.file.__all__) == CLASSES | BASES
    assert set(bspump.file.__all__) <= set(dir(bspump.file))
    for name in bspump.file.__all__:
        assert getattr(bspump.file, name).__name__ == name


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if name.endswith(("Source", "Sink"))))
def test_help_names_or_points_to_every_option(name: str) -> None:
    component = getattr(bspump.file, name)
    shown = [base.__doc__ for base in component.__mro__ if base is component or base.__name__ in component.__doc__]
    words = set(re.findall(r"\w+", " ".join(shown)))
    assert merged_defaults(component).keys() - words - {"id"} <= {"commit_interval"}


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if name.endswith(("Source", "Sink"))))
def test_every_option_is_declared(name: str) -> None:
    component = getattr(bspump.file, name)
    own = {key for base in component.__mro__ if base.__module__.startswith("bspump.file.") for key in _defaults(base)}
    assert own - declared_options(component).keys() == set()


def _defaults(component: type) -> dict[str, object]:
    found: dict[str, object] = vars(component).get("ConfigDefaults", {})
    return found


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, bspump.file; sys.exit('zstandard' in sys.modules or 'bspump.file._compression' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("FileLineSource", {"path": "", "mode": "rb", "post": "move", "exclude": "", "include": "", "encoding": ""}),
        ("FileLineSource", {"move_destination": "", "lines_per_event": 10000, "event_idle_time": 0.01}),
        ("FileCSVSource", {"mode": "r", "newline": "", "dialect": "excel", "delimiter": ",", "doublequote": True}),
        ("FileCSVSource", {"quotechar": '"', "quoting": 0, "skipinitialspace": False, "strict": False}),
        ("FileBlockSink", {"path": "", "mode": "wb", "flags": "O_CREAT"}),
        ("FileCSVSink", {"path": "", "dialect": "excel", "delimiter": ",", "escapechar": "", "strict": False}),
    ],
)
def test_defaults_are_those_of_the_manual(name: str, defaults: dict[str, object]) -> None:
    assert merged_defaults(getattr(bspump.file, name)).items() >= defaults.items()
