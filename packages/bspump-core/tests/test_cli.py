"""The command ``bspump``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bspump import Source, option
from bspump.cli import bspump
from bspump.plugins import Component, Kind, get_registry
from bspump.plugins.discovery import Plugin

COMMAND = str(Path(sys.executable).with_name("bspump"))


def call(*arguments: str) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(bspump, arguments, prog_name="bspump")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_help_lists_the_subcommands_with_what_they_do() -> None:
    output = call("--help").output
    for name in bspump.list_commands(click.Context(bspump)):
        assert f"  {name} " in output


def test_every_summary_in_the_help_is_that_of_the_command() -> None:
    context = click.Context(bspump)
    for name in bspump.list_commands(context):
        command = bspump.get_command(context, name)
        assert command is not None
        assert (command.help or "").strip()


def test_listing_imports_neither_components_nor_client_libraries() -> None:
    code = (
        "import sys\nfrom bspump.cli import bspump\n"
        "try: bspump(['list'])\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('asab', 'aiohttp', 'numpy', 'orjson', 'zstandard', 'yaml') "
        "or name in ('bspump.common', 'bspump.abc', 'bspump.pipeline')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "NullSink" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_components_are_listed_by_kind() -> None:
    lines = call("list").output.splitlines()
    sources, sinks = (next(i for i, line in enumerate(lines) if line.startswith(kind)) for kind in ("Sources", "Sinks"))
    assert any(line.startswith("  InternalSource  ") for line in lines[sources:sinks])
    assert any(line.startswith("  NullSink ") and "bspump-core" in line for line in lines[sinks:])


def test_one_kind_and_words_narrow_the_list() -> None:
    output = call("list", "--kind", "trigger", "cron").output
    assert "CronTrigger" in output
    assert "PeriodicTrigger" not in output
    assert "Sinks" not in output


def test_a_list_for_programs() -> None:
    records = json.loads(call("list", "--json", "--kind", "sink", "NullSink").output)
    assert [(record["kind"], record["name"], record["target"], record["distribution"]) for record in records] == [
        ("sink", "NullSink", "bspump.common.null:NullSink", "bspump-core")
    ]


def test_nothing_found_ends_with_1() -> None:
    result = call("list", "nothing of that name")
    assert (result.exit_code, result.output) == (1, "no such component\n")


class FakeRegistry:
    """A registry with a plugin that is broken, and one that brings a command."""

    def __init__(self) -> None:
        broken = Plugin(
            "acme", "bspump-acme", "1.0", "bspump_acme", problem="cannot be imported: oops", details="Trace\n"
        )
        good = Plugin("good", "bspump-good", "2.0", "bspump_good", hooks=("bspump_components",))
        good.components = (Component(Kind.SINK, "GoodSink", "bspump_good:Sink", "Is good.", stability="experimental"),)
        self.plugins = [broken, good]
        self.problems = ["bspump-acme 1.0: cannot be imported: oops"]

    def components(self, kind: Kind | None = None) -> list[tuple[Component, Plugin]]:
        return [(self.plugins[1].components[0], self.plugins[1])]

    def call(self, hook: str, **arguments: Any) -> list[object]:
        def commands() -> Iterator[click.Command]:
            yield click.Command("anvil", help="Makes an anvil.")

        return [[click.Command("acme", callback=lambda: click.echo("acme!"), help="Does what Acme does.")], commands()]


@pytest.fixture
def with_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = FakeRegistry()
    monkeypatch.setattr("bspump.cli.get_registry", lambda: registry)
    monkeypatch.setattr("bspump.cli.listing.get_registry", lambda: registry)


@pytest.mark.usefixtures("with_plugins")
def test_plugins_are_listed_with_what_is_wrong() -> None:
    result = call("plugins")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "bspump-acme  1.0  bspump_acme  cannot be imported: oops",
        "bspump-good  2.0  bspump_good  1 components, bspump_components",
    ]
    assert result.stderr == "bspump-acme 1.0: cannot be imported: oops\n"
    assert call("plugins", "-v").stderr.endswith("Trace\n")
    assert [record["problem"] for record in json.loads(call("plugins", "--json").stdout)] == [
        "cannot be imported: oops",
        None,
    ]


@pytest.mark.usefixtures("with_plugins")
def test_what_is_not_stable_is_marked() -> None:
    assert "Is good. (experimental)" in call("list").output


@pytest.mark.usefixtures("with_plugins")
def test_a_plugin_adds_a_command() -> None:
    assert re.search(r"\n  acme +Does what Acme does\.\n", call("--help").output)
    assert call("acme").output == "acme!\n"
    assert re.search(r"\n  anvil +Makes an anvil\.\n", call("--help").output), "a hook may yield its commands"


def test_plugins_that_are_all_right() -> None:
    done = run("plugins")
    assert done.returncode == 0, done.stderr
    assert "bspump-core" in done.stdout


def test_a_component_is_described_with_its_options() -> None:
    output = call("describe", "trigger", "PeriodicTrigger").output
    assert output.startswith("trigger PeriodicTrigger\nbspump.trigger.PeriodicTrigger, since 0.1, stable\n")
    output = call("describe", "source", "InternalSource").output
    assert "  queue_max_size  (" in output
    assert "default: 10)" in output


class Described(Source):
    """Is described.

    It has options.
    """

    token = option.secret(help="What ``it`` is known by.")
    size = option.integer(3, minimum=1, help="How large.", deprecated="0.2, use length")
    name = option.text(required=True, help="Its name.")


def test_declared_options_are_described_by_their_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = get_registry()
    described = Component(Kind.SOURCE, "Described", "somewhere.source:Described", "Is described.")
    monkeypatch.setattr(registry, "find", lambda kind, name: described)
    monkeypatch.setattr(registry, "load", lambda component: Described)
    assert call("describe", "source", "Described").output == (
        "source Described\nsomewhere.Described, since 0.1, stable\n\nIs described.\n\nIt has options.\n\nOptions\n"
        "  commit_interval  (duration (5, 1.5s, 2m, 1h); default: 1.0)\n"
        "      How often the position is committed, in seconds.\n"
        "  token  (text; default: ''; secret)\n      What 'it' is known by.\n"
        "  size  (whole number, 1 or more; default: 3; deprecated since 0.2, use length)\n      How large.\n"
        "  name  (text; required)\n      Its name.\n"
    )
    record = json.loads(call("describe", "source", "Described", "--json").output)
    assert record["options"][2]["schema"] == {"type": "integer", "minimum": 1}


def test_what_is_not_there_cannot_be_described() -> None:
    done = run("describe", "sink", "NulSink")
    assert (done.returncode, done.stderr) == (1, "error: there is no sink 'NulSink', did you mean 'NullSink'?\n")


APPLICATION = """
import bspump, bspump.common, bspump.trigger

class Application(bspump.BSPumpApplication):
    def __init__(self, args=None):
        super().__init__(args=args)
        pipeline = bspump.Pipeline(self, "One")
        source = bspump.common.IteratorSource(self, pipeline, iter(["an event"]))
        pipeline.build(source.on(bspump.trigger.RunOnceTrigger(self)), bspump.common.PrintSink(self, pipeline))
        self.PumpService.add_pipeline(pipeline)
"""

SOURCE = """
import bspump

class Once(bspump.TriggerSource):
    async def cycle(self):
        await self.process("an event")
"""

DEFINITION = """
pipelines:
  - id: One
    sources:
      - module: module_of_mine
        class: Once
        id: Once
        trigger: {module: bspump.trigger, class: RunOnceTrigger, id: Now}
    sink: {module: bspump.common, class: PrintSink, id: Print}
"""


def test_an_application_class_is_run(tmp_path: Path) -> None:
    (tmp_path / "module_of_mine.py").write_text(APPLICATION)
    done = run("run", "module_of_mine:Application", "-v", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "an event" in done.stdout


def test_a_definition_is_run(tmp_path: Path) -> None:
    (tmp_path / "module_of_mine.py").write_text(SOURCE)
    (tmp_path / "one.yaml").write_text(DEFINITION)
    done = run("run", "one.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "an event" in done.stdout


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "Application",
            "'Application' is neither a definition (.json, .yaml, .yml) nor an application as 'module:Class'",
        ),
        ("nowhere:Application", "'nowhere:Application': there is no module 'nowhere' here or installed"),
        ("json:Application", "'json:Application': 'Application' is no application class of 'json'"),
        ("nothing.yaml", "nothing.yaml: there is no such file"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(tmp_path: Path, target: str, sentence: str) -> None:
    done = run("run", target, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"error: {sentence}\n")


def test_a_module_that_is_broken_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "module_of_mine.py").write_text("import no_such_client\n")
    done = run("run", "module_of_mine:Application", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "no_such_client" in done.stderr


def test_the_module_runs_the_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bspump", "list", "NullSink"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "NullSink" in done.stdout
