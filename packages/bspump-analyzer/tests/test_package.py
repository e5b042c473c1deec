"""The names that users rely on, and the pipeline of the README."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump._component import merged_defaults
from bspump.analyzer import _plugin
from bspump.testing import PumpRunner, until

README = Path(__file__).parents[1] / "README.md"

NAMES = {
    "bspump.analyzer": (
        "Analyzer AnalyzingSource GeoAnalyzer GeoMatrix InvalidQueryError LatchAnalyzer SessionAnalyzer SessionMatrix "
        "ThresholdAnalyzer TimeDriftAnalyzer TimeWindowAnalyzer TimeWindowMatrix"
    ),
    "bspump.anomaly": "Anomaly AnomalyAnalyzer AnomalyManager AnomalyStorage GeneralAnomaly",
    "bspump.lookup": "BitMapIndex Index MatrixLookup SliceIndex TreeRangeIndex",
    "bspump.matrix": (
        "GeoMatrix GeoMatrixExportCSVGenerator Matrix MatrixExportCSVGenerator MatrixSource NamedMatrix "
        "NamedMatrixExportCSVGenerator PersistentGeoMatrix PersistentMatrix PersistentNamedMatrix "
        "PersistentSessionMatrix PersistentTimeWindowMatrix SessionMatrix SessionMatrixExportCSVGenerator "
        "TimeWindowMatrix TimeWindowMatrixExportCSVGenerator"
    ),
    "bspump.model": "Model",
}


@pytest.mark.parametrize(("module_name", "names"), NAMES.items())
def test_every_name_is_exported(module_name: str, names: str) -> None:
    module = importlib.import_module(module_name)
    assert set(module.__all__) == set(names.split())
    assert set(names.split()) <= set(dir(module))
    for name in names.split():
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{module_name}' has no attribute 'nothing'"):
        getattr(module, "nothing")  # noqa: B009 - it is not there


@pytest.mark.parametrize("name", ["Matrix", "NamedMatrix", "PersistentMatrix", "PersistentNamedMatrix"])
def test_the_core_resolves_matrices(name: str) -> None:
    assert getattr(bspump, name) is getattr(importlib.import_module("bspump.matrix"), name)


def test_nothing_is_imported_before_it_is_used() -> None:
    modules = ", ".join([*NAMES, "bspump.analyzer._plugin"])
    code = f"import sys, {modules}; sys.exit(bool({{'numpy', 'mongoquery'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_latches_alone_need_no_numpy() -> None:
    code = "import sys; from bspump.analyzer import LatchAnalyzer; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("component", _plugin.COMPONENTS, ids=lambda component: component.name)
def test_a_component_is_what_its_record_says(component: Any) -> None:
    module, _, name = component.target.partition(":")
    found = getattr(importlib.import_module(module), name)
    assert name == component.name
    assert found.__doc__.splitlines()[0].strip() == component.summary


@pytest.mark.parametrize("component", _plugin.COMPONENTS, ids=lambda component: component.name)
def test_help_names_or_points_to_every_option(component: Any) -> None:
    module, _, name = component.target.partition(":")
    found = getattr(importlib.import_module(module), name)
    shown = [base.__doc__ or "" for base in found.__mro__ if base.__module__.startswith("bspump")]
    words = set(re.findall(r"\w+", " ".join(shown)))
    assert merged_defaults(found).keys() - words <= {"commit_interval"}


@pytest.mark.parametrize(
    ("module", "name", "defaults"),
    [
        ("bspump", "Analyzer", {"analyze_period": 60}),
        ("bspump.matrix", "Matrix", {"max_closed_rows_capacity": 0.2}),
        ("bspump.matrix", "SessionMatrix", {"primary_name": "id"}),
        ("bspump.matrix", "GeoMatrix", {"max_lat": 71.26, "min_lat": 23.33, "min_lon": -10.10, "max_lon": 40.6}),
        ("bspump.analyzer", "LatchAnalyzer", {"latch_max_size": 50}),
        (
            "bspump.analyzer",
            "TimeDriftAnalyzer",
            {"analyze_period": 300, "history_size": 100, "sparse_count": 1, "timestamp_attr": "@timestamp"},
        ),
    ],
)
def test_defaults_are_those_of_the_manual(module: str, name: str, defaults: dict[str, object]) -> None:
    assert merged_defaults(getattr(importlib.import_module(module), name)).items() >= defaults.items()


def test_the_pipeline_of_the_readme_runs(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(code, namespace)
    now = pump.app.time()
    hosts = ["busy"] * 1001 + ["quiet"] * 1000
    lines = [json.dumps({"host": host, "time": now}) for host in hosts]
    (tmp_path / "requests.jsonl").write_text("\n".join([*lines, ""]))
    monkeypatch.chdir(tmp_path)
    pump.configure("pipeline:Log:Requests", analyze_period="0.01")
    pipeline = namespace["Log"](pump.app)

    async def scenario() -> None:
        window = pipeline.locate_processor("Requests").TimeWindow
        await until(lambda: window.Array.sum() == 2001)
        capsys.readouterr()
        output: set[str] = set()

        def has_output() -> bool:
            output.update(capsys.readouterr().out.split())
            return bool(output)

        await until(has_output)
        assert output == {"busy"}

    pump.run(scenario, pipeline)
