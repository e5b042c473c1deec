"""Plugins are found one by one, and what is wrong with one of them is said and keeps no other away."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bspump
from bspump import PluginError
from bspump.common import NullSink
from bspump.plugins import Component, Kind, Registry, Switches, get_registry, spec
from bspump.testing import MemorySource, PumpRunner

ONE_SINK = """
    from bspump.plugins import Component, Kind, hookimpl

    @hookimpl
    def bspump_components():
        return [Component(Kind.SINK, "{name}", "{module}:Sink", "Sends events away.")]

    from bspump.common import NullSink as Sink
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A function that puts a distribution with an entry point on the path; returns the name of its module."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def put(
        distribution: str, code: str = ONE_SINK, *, name: str = "AcmeSink", requires: str = "", entry_point: str = ""
    ) -> str:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code.format(name=name, module=module)))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        requirement = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{requirement}")
        (info / "entry_points.txt").write_text(f"[bspump]\nacme = {entry_point or module}\n")
        return module

    yield put
    for module in set(sys.modules) - before:
        del sys.modules[module]


def registry(tmp_path: Path, switches: Switches | None = None) -> Registry:
    """Return the registry of what was installed by the fixture."""
    found = importlib.metadata.distributions(path=[str(tmp_path)])
    points = [point for one in found for point in one.entry_points.select(group="bspump")]
    return Registry(switches or Switches(), points)


def test_a_component_is_imported_when_it_is_used(install: Install, tmp_path: Path) -> None:
    install("bspump-acme", ONE_SINK.replace("from bspump.common import NullSink as Sink", "class Sink: pass"))
    (tmp_path / "bspump_acme_sink.py").write_text("from bspump.common import NullSink as Sink")
    plugin = tmp_path / "bspump_acme.py"
    plugin.write_text(plugin.read_text().replace("bspump_acme:Sink", "bspump_acme_sink:Sink"))
    found = registry(tmp_path)
    assert found.problems == []
    assert [(component.name, str(plugin)) for component, plugin in found.components(Kind.SINK)] == [
        ("AcmeSink", "bspump-acme 1.0")
    ]
    assert "bspump_acme_sink" not in sys.modules
    assert found.find_class(Kind.SINK, "AcmeSink") is NullSink


def test_two_that_offer_the_same_are_both_named_and_neither_is_taken(install: Install, tmp_path: Path) -> None:
    install("bspump-acme")
    install("bspump-acme-fork")
    found = registry(tmp_path)
    expected = (
        "sink 'AcmeSink' is offered by bspump-acme 1.0 and bspump-acme-fork 1.0; "
        "uninstall one, or set BSPUMP_PLUGINS_BLOCK"
    )
    assert found.problems == [expected]
    with pytest.raises(PluginError) as raised:
        found.find(Kind.SINK, "AcmeSink")
    assert str(raised.value) == expected


def test_of_two_that_offer_the_same_one_may_be_blocked(install: Install, tmp_path: Path) -> None:
    install("bspump-acme")
    install("bspump-acme-fork")
    found = registry(tmp_path, Switches(block=frozenset({"bspump-acme-fork"})))
    assert found.problems == []
    assert found.find(Kind.SINK, "AcmeSink").target == "bspump_acme:Sink"
    assert found.plugins[1].problem == "blocked by BSPUMP_PLUGINS_BLOCK"


def test_only_what_is_allowed_is_imported(install: Install, tmp_path: Path) -> None:
    install("bspump-acme")
    other = install("bspump-other", name="OtherSink")
    found = registry(tmp_path, Switches(allow=frozenset({"bspump-acme"})))
    assert [component.name for component, _ in found.components()] == ["AcmeSink"]
    assert other not in sys.modules


def test_switches_are_read_from_the_environment() -> None:
    switches = Switches.of_environment(
        {"BSPUMP_PLUGINS_ALLOW": "Bspump_Acme, bspump.other", "BSPUMP_PLUGINS_BLOCK": "", "BSPUMP_PLUGINS_TRACE": "1"}
    )
    assert switches == Switches(frozenset({"bspump-acme", "bspump-other"}), frozenset(), trace=True)
    assert Switches.of_environment({}) == Switches()
    assert switches.reason_against("bspump-core") is None


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit('no client')", "cannot be imported: SystemExit: no client"),
        ("import no_such_client", "cannot be imported: ModuleNotFoundError: No module named 'no_such_client'"),
        (
            "from bspump.plugins import hookimpl\n@hookimpl\ndef bspump_component(): return []",
            "implements bspump_component(), which is no hook or is not marked with hookimpl",
        ),
        (
            "def bspump_components(): return []",
            "implements bspump_components(), which is no hook or is not marked with hookimpl",
        ),
        (
            "from bspump.plugins import hookimpl\n@hookimpl\ndef bspump_components(): return ['AcmeSink']",
            "bspump_components() returned 'AcmeSink'; expected bspump.plugins.Component",
        ),
        (
            "from bspump.plugins import hookimpl\n@hookimpl\ndef bspump_components(): return 1 / 0",
            "bspump_components() failed: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_are_used(
    install: Install, tmp_path: Path, code: str, problem: str
) -> None:
    install("bspump-broken", code)
    install("bspump-good")
    found = registry(tmp_path)
    assert found.problems == [f"bspump-broken 1.0: {problem}"]
    assert [component.name for component, _ in found.components()] == ["AcmeSink"]


def test_the_traceback_of_a_broken_plugin_is_kept(install: Install, tmp_path: Path) -> None:
    install("bspump-broken", "1 / 0")
    (plugin,) = registry(tmp_path).plugins
    assert "bspump_broken.py" in plugin.details
    assert plugin.details.endswith("ZeroDivisionError: division by zero\n")


def test_a_hook_with_an_argument_that_it_does_not_have_is_reported(install: Install, tmp_path: Path) -> None:
    install("bspump-broken", "from bspump.plugins import hookimpl\n@hookimpl\ndef bspump_components(wrong): return []")
    (problem,) = registry(tmp_path).problems
    assert problem.startswith("bspump-broken 1.0: implements a hook wrongly: ")
    assert "wrong" in problem


def test_an_entry_point_that_is_no_module_is_reported(install: Install, tmp_path: Path) -> None:
    install("bspump-acme", entry_point="bspump_acme:Sink")
    assert registry(tmp_path).problems == [
        "bspump-acme 1.0: its entry point 'bspump_acme:Sink' is no module, but a ABCMeta"
    ]


@pytest.mark.parametrize("requires", ["bspump-core>=99", "bspump_core (>=99)"])
def test_a_plugin_for_another_core_is_not_even_imported(install: Install, tmp_path: Path, requires: str) -> None:
    module = install("bspump-acme", requires=requires)
    version = importlib.metadata.version("bspump-core")
    assert registry(tmp_path).problems == [f"bspump-acme 1.0: needs bspump-core>=99, and {version} is installed"]
    assert module not in sys.modules


@pytest.mark.parametrize("requires", ["bspump-core>=0.1", "bspump-core>=99; python_version < '3'", "bspump-core-x>9"])
def test_a_plugin_for_this_core_is_used(install: Install, tmp_path: Path, requires: str) -> None:
    install("bspump-acme", requires=requires)
    assert registry(tmp_path).problems == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "bspump_acme:Absent",
            "sink 'AcmeSink' of bspump-acme 1.0 cannot be imported from 'bspump_acme:Absent': "
            "module 'bspump_acme' has no attribute 'Absent'",
        ),
        (
            "bspump_absent:Sink",
            "sink 'AcmeSink' of bspump-acme 1.0 cannot be imported from 'bspump_absent:Sink': "
            "No module named 'bspump_absent'",
        ),
        (
            "bspump:Source",
            "sink 'AcmeSink' of bspump-acme 1.0: 'bspump:Source' does not derive from bspump.abc.sink.Sink",
        ),
    ],
)
def test_a_target_that_is_not_what_it_says_is_refused(
    install: Install, tmp_path: Path, target: str, message: str
) -> None:
    install("bspump-acme", ONE_SINK.replace("{module}:Sink", target))
    with pytest.raises(PluginError) as raised:
        registry(tmp_path).find_class(Kind.SINK, "AcmeSink")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (Kind.SINK, "AcmSink", "there is no sink 'AcmSink', did you mean 'AcmeSink'?"),
        (Kind.SOURCE, "AcmeSink", "'AcmeSink' is a sink, and a source is needed here"),
        (Kind.SOURCE, "Whatever", "there is no source 'Whatever'"),
        (Kind.SINK, "KafkaSink", "sink 'KafkaSink' needs a package that is not installed: pip install bspump-kafka"),
        (
            Kind.LOOKUP_PROVIDER,
            "https",
            "lookup-provider 'https' needs a package that is not installed: pip install bspump-http",
        ),
    ],
)
def test_what_is_not_there_is_said_with_advice(
    install: Install, tmp_path: Path, kind: Kind, name: str, message: str
) -> None:
    install("bspump-acme")
    with pytest.raises(PluginError) as raised:
        registry(tmp_path).find(kind, name)
    assert str(raised.value) == message


def test_a_component_that_is_missed_may_be_one_of_a_broken_plugin(install: Install, tmp_path: Path) -> None:
    install("bspump-broken", "1 / 0")
    with pytest.raises(PluginError, match=r"not used: bspump-broken 1\.0 \(cannot be imported: ZeroDivisionError"):
        registry(tmp_path).find(Kind.SINK, "AcmeSink")


def test_tracing_tells_what_happens(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install("bspump-acme")
    found = registry(tmp_path, Switches(trace=True))
    found.find_class(Kind.SINK, "AcmeSink")
    assert capsys.readouterr().err.splitlines() == [
        "bspump plugins: bspump-acme 1.0: 1 component(s)",
        "bspump plugins: importing bspump_acme:Sink",
    ]


LISTENING = """
    from bspump.plugins import hookimpl

    calls = []

    @hookimpl
    def bspump_application_configured(app):
        calls.append(("configured", app))

    @hookimpl
    def bspump_application_started():
        calls.append(("started", None))

    @hookimpl
    def bspump_application_stopping():
        calls.append(("stopping", None))

    @hookimpl
    def bspump_pipeline_added(pipeline):
        calls.append(("added", pipeline.Id))

    @hookimpl
    def bspump_pipeline_failed(pipeline, error):
        calls.append(("failed", (pipeline.Id, str(error))))

    @hookimpl
    def bspump_commands():
        return ["a command"]
"""


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry], None]:
    """A function that makes the application use a registry."""

    def use(found: Registry) -> None:
        for module in ("application", "service", "_error_state"):
            monkeypatch.setattr(f"bspump.{module}.get_registry", lambda: found)

    return use


def test_an_application_tells_the_plugins_what_happens(
    install: Install, tmp_path: Path, instead: Callable[[Registry], None]
) -> None:
    module = install("bspump-listening", LISTENING)
    instead(registry(tmp_path))

    class Stopping(MemorySource):
        async def main(self) -> None:
            self.Pipeline.set_error(None, None, RuntimeError("broken"))
            self.App.stop()

    with PumpRunner() as pump:
        pipeline = bspump.Pipeline(pump.app, "One")
        pipeline.build(Stopping(pump.app, pipeline, []), NullSink(pump.app, pipeline))
        pump.service.add_pipeline(pipeline)
        pump.app.run()
        calls = sys.modules[module].calls
        assert calls[0] == ("configured", pump.app)
    assert [call for call in calls[1:] if call[0] != "started"] == [
        ("added", "One"),
        ("failed", ("One", "broken")),
        ("stopping", None),
    ]
    assert ("started", None) in calls


def test_a_hook_that_fails_is_logged_and_the_others_are_called(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("bspump-broken", "from bspump.plugins import hookimpl\n@hookimpl\ndef bspump_commands(): return 1 / 0")
    install("bspump-listening", LISTENING)
    assert registry(tmp_path).call("bspump_commands") == [["a command"]]
    assert "bspump_commands() of bspump-broken 1.0 failed" in caplog.text


def test_a_problem_is_told_when_an_application_starts(
    install: Install, tmp_path: Path, instead: Callable[[Registry], None], caplog: pytest.LogCaptureFixture
) -> None:
    install("bspump-broken", "1 / 0")
    instead(registry(tmp_path))
    with PumpRunner():
        assert "A plugin is not used: bspump-broken 1.0: cannot be imported: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("target", ["module", "module:", ":Class", "module:a b"])
def test_a_target_names_a_module_and_a_class(target: str) -> None:
    with pytest.raises(ValueError, match=r"is not 'package\.module:Class'"):
        Component(Kind.SINK, "AcmeSink", target, "Sends events away.")


def test_every_hook_says_what_it_is_for() -> None:
    hooks = {name: value for name, value in vars(spec).items() if name.startswith("bspump_")}
    assert len(hooks) == 7
    for name, hook in hooks.items():
        described = inspect.getdoc(hook) or ""
        for argument in inspect.signature(hook).parameters:
            assert f"    {argument}: " in described, f"{name}() does not document {argument}"
        assert name in LISTENING + ONE_SINK, f"{name}() is not tested"


def test_what_is_installed_is_found_once() -> None:
    assert get_registry() is get_registry()
    assert get_registry().find_class(Kind.SINK, "NullSink") is NullSink


def test_a_distribution_without_metadata_is_reported_and_the_others_are_used(install: Install, tmp_path: Path) -> None:
    install("bspump-acme")
    install("bspump-good", name="GoodSink")
    (tmp_path / "bspump_acme-1.0.dist-info" / "METADATA").unlink()
    found = registry(tmp_path)
    [problem] = found.problems
    assert problem == ("? ?: the metadata of what 'bspump_acme' came with is missing; install it again, or remove it")
    assert [component.name for component, _ in found.components()] == ["GoodSink"]
