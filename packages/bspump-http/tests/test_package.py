"""The names that users rely on, and the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import bspump.http
from bspump._component import merged_defaults
from bspump.http import _plugin
from bspump.option import declared_options

README = Path(__file__).parents[1] / "README.md"

CLASSES = sorted({component.target.partition(":")[2] for component in _plugin.COMPONENTS})
# What the options are declared in that several components have
BASES = ("AnsweringSource", "HTTPClient")


def test_every_component_is_exported() -> None:
    assert set(bspump.http.__all__) == {*CLASSES, *BASES, "HTTPClientSocketSink"}
    assert set(bspump.http.__all__) <= set(dir(bspump.http))
    for name in CLASSES:
        assert getattr(bspump.http, name).__name__ == name


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'bspump.http' has no attribute 'Nothing'"):
        bspump.http.Nothing  # noqa: B018


@pytest.mark.parametrize("name", CLASSES)
def test_help_names_or_points_to_every_option(name: str) -> None:
    component = getattr(bspump.http, name)
    shown = [base.__doc__ for base in component.__mro__ if base is component or base.__name__ in component.__doc__]
    words = set(re.findall(r"\w+", " ".join(shown)))
    assert merged_defaults(component).keys() - words <= {"commit_interval"}


@pytest.mark.parametrize("name", CLASSES)
def test_what_authenticates_is_secret(name: str) -> None:
    declared = declared_options(getattr(bspump.http, name))
    assert {key for key, one in declared.items() if one.secret} == declared.keys() & {
        "password",
        "bearer_token",
        "key_password",
    }


@pytest.mark.parametrize("name", CLASSES)
def test_every_option_is_declared(name: str) -> None:
    component = getattr(bspump.http, name)
    base = next(base for base in component.__mro__ if not base.__module__.startswith("bspump.http."))
    own = merged_defaults(component).keys() - merged_defaults(base).keys()
    assert own <= declared_options(component).keys()


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, bspump.http, bspump.http._plugin; sys.exit('bspump.http.source' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("HTTPClientSource", {"method": "GET", "url": "http://example.com/", "response_code": "200"}),
        ("HTTPClientSource", {"max_failed_retries": 3, "fail_chilldown": 30.0}),
        ("HTTPClientTextSource", {"encoding": ""}),
        ("HTTPClientCSVSource", {"dialect": "excel", "delimiter": ",", "doublequote": True, "quotechar": '"'}),
        ("HTTPClientCSVSource", {"quoting": 0, "skipinitialspace": False, "strict": False, "escapechar": ""}),
        ("HTTPClientWebSocketSink", {"url": "https://localhost:8081/", "output_queue_max_size": 100}),
        ("HTTPBatchLookupProvider", {"master_timeout": 30, "use_cache": True, "cache_dir": ""}),
    ],
)
def test_defaults_are_those_of_the_manual(name: str, defaults: dict[str, object]) -> None:
    assert merged_defaults(getattr(bspump.http, name)).items() >= defaults.items()


def test_the_readme_has_every_component() -> None:
    assert set(CLASSES) <= set(re.findall(r"`(\w+)`", README.read_text(encoding="utf-8")))
