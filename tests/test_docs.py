"""What docs/using.md shows and says is so: its scripts run, its options, names, paths and links exist."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import importlib
import inspect
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asab
import pytest

import bspump
import bspump.common
import bspump.file
import bspump.testing
import bspump.trigger
from bspump.testing import MemorySink, PumpRunner

_PAGE = Path(__file__).parents[1] / "docs" / "using.md"
_TEXT = _PAGE.read_text(encoding="utf-8")
# Shown by the first example only
_GREETING = re.compile(r"BitSwan BSPump version .*|\d+ pipeline\(s\) ready\.")
_COMPONENT = re.compile(r"`((?:\w+\.)*[A-Z]\w+(?:\([^`]*\))?)`")
_KINDS = (
    "Source",
    "Sink",
    "Trigger",
    "Processor",
    "Parser",
    "Lookup",
    "Generator",
    "Strategy",
    "Transformator",
    "Mixin",
)
_MODULES = (bspump, bspump.common, bspump.file, bspump.trigger, bspump.testing)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code; `name` is what follows its language."""

    language: str
    name: str
    text: str
    line: int


def _blocks(language: str) -> list[Block]:
    return [
        Block(match[1], match[2], match[3], _TEXT.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\w+) ?(\S*)\n(.*?)^```$", _TEXT, re.DOTALL | re.MULTILINE)
        if match[1] == language
    ]


def _named(language: str) -> list[Block]:
    return [block for block in _blocks(language) if "." in block.name]


_SCRIPTS = _named("python")
_CONSOLES = _blocks("console")


def _line(block: Block) -> str:
    return f"line {block.line}"


# The examples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that the page asks its reader to save."""
    for language in ("python", "json", "csv", "ini"):
        for block in _named(language):
            (tmp_path / block.name).write_text(block.text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("console", _CONSOLES, ids=_line)
def test_the_commands_print_what_the_page_shows(console: Block, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"HOME": str(folder), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    for command, shown in _commands(console):
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert _without_greeting(done.stdout) == _without_greeting(shown), done.stderr
        assert done.returncode == 0, done.stderr
        # The service warns of triggers that were forgotten, and of sections and options that do not exist.
        assert "bspump.service" not in done.stderr


def _commands(console: Block) -> Iterator[tuple[str, str]]:
    for part in console.text.split("$ ")[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _without_greeting(output: str) -> list[str]:
    return [line for line in output.splitlines() if not _GREETING.fullmatch(line)]


def test_the_first_example_shows_the_greeting_as_it_is() -> None:
    shown = [line for line in _CONSOLES[0].text.splitlines() if _GREETING.fullmatch(line)]
    assert shown == [f"BitSwan BSPump version {bspump.__version__}", "1 pipeline(s) ready."]


def test_every_script_is_run() -> None:
    commands = "\n".join(command for console in _CONSOLES for command, _ in _commands(console))
    assert [block.name for block in _SCRIPTS if block.name not in commands] == []


def test_the_reader_is_told_the_name_of_every_file() -> None:
    named = [block for language in ("python", "json", "csv", "ini") for block in _named(language)]
    assert [block.name for block in named if f"`{block.name}`" not in _TEXT] == []


@pytest.mark.parametrize("block", [block for block in _blocks("python") if block not in _SCRIPTS], ids=_line)
def test_a_fragment_compiles(block: Block) -> None:
    assert block.name == "fragment"
    compile(block.text, f"{_PAGE.name}:{block.line}", "exec")


# Configuration


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    with PumpRunner(web_listen="127.0.0.1:0") as runner:
        yield runner


@pytest.mark.parametrize("block", _blocks("ini"), ids=_line)
def test_a_configuration_names_sections_and_options_that_exist(block: Block, folder: Path, pump: PumpRunner) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    declared = _asab_options()
    if block.name:
        declared |= _options_of_script(_script_with(block.name), folder, pump)
    assert parser.sections()
    for section in parser.sections():
        assert set(parser.options(section)) <= declared[section], section


def _asab_options() -> dict[str, set[str]]:
    defaults: Any = asab.Config._default_values
    return {section: set(options) for section, options in defaults.items()}


def _script_with(configuration: str) -> str:
    commands = [command for console in _CONSOLES for command, _ in _commands(console)]
    [script] = {match[1] for command in commands if (match := re.search(rf"(\S+) -c {configuration}\b", command))}
    return script


def _options_of_script(script: str, folder: Path, pump: PumpRunner) -> dict[str, set[str]]:
    """Return the options that the pipelines of a script declare, by section."""
    names = runpy.run_path(str(folder / script))
    pipelines = [value(pump.app) for value in names.values() if _is_class(value) and value.__module__ == "<run_path>"]
    declared: dict[str, set[str]] = {}
    for pipeline in pipelines:
        for component in (*pipeline.Sources, *pipeline.iter_processors()):
            declared[f"pipeline:{pipeline.Id}:{component.Id}"] = _options_of(type(component))
        declared[f"pipeline:{pipeline.Id}"] = _options_of(type(pipeline)).union(
            *(_options_of(type(source)) for source in pipeline.Sources)
        )
    return declared


def _is_class(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, bspump.Pipeline) and value is not bspump.Pipeline


def _options_of(component: type) -> set[str]:
    return set(_defaults_of(component))


def _defaults_of(component: type) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for base in reversed(component.__mro__):
        defaults.update(base.__dict__.get("ConfigDefaults", {}))
    return defaults


_OPTION_TABLES = re.findall(r"<!-- (all )?options: (\S+) -->\n.*\n.*\n((?:\|.*\n)+)", _TEXT)


@pytest.mark.parametrize(("all_of_them", "component", "rows"), _OPTION_TABLES, ids=[row[1] for row in _OPTION_TABLES])
def test_a_table_of_options_has_their_names_and_defaults(all_of_them: str, component: str, rows: str) -> None:
    defaults = _defaults_of(_resolve(component))
    shown: dict[str, str] = {}
    for row in rows.splitlines():
        names, values = (_words(cell) for cell in row.split("|")[1:3])
        shown.update(zip(names, values if len(values) == len(names) else [""] * len(names), strict=True))
    assert shown == {name: str(defaults.get(name, "no such option")) for name in shown}
    if all_of_them:
        assert shown.keys() == defaults.keys()


def _words(cell: str) -> list[str]:
    return [word.strip().strip("`") for word in cell.split(",")]


def _resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


# Names


def test_components_exist_and_take_the_arguments_that_the_page_gives_them() -> None:
    own = {word for block in _blocks("python") for word in re.findall(r"^class (\w+)", block.text, re.MULTILINE)}
    for expression in _COMPONENT.findall(_TEXT):
        name = expression.partition("(")[0].rpartition(".")[2]
        if name in own or (not name.endswith(_KINDS) and "(" not in expression):
            continue
        found = [getattr(module, name) for module in _MODULES if hasattr(module, name)]
        assert found, f"there is no {name}"
        call = ast.parse(expression, mode="eval").body
        if isinstance(call, ast.Call):
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
            inspect.signature(found[0]).bind_partial(*call.args, **keywords)


def test_links_lead_somewhere() -> None:
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", _TEXT, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]+)\)", _TEXT):
        path, _, anchor = link.partition("#")
        if path:
            assert (_PAGE.parent / path).exists(), link
        else:
            assert anchor in anchors, link


# REST


class Watched(bspump.Pipeline):
    """A pipeline that waits for nothing in particular."""

    def __init__(self, app: asab.Application, folder: Path) -> None:
        super().__init__(app)
        source = bspump.file.FileLineSource(app, self, config={"path": str(folder), "position_dir": str(folder)})
        self.build(source.on(bspump.trigger.PeriodicTrigger(app, 3600)), MemorySink(app, self))


def test_the_rest_interface_has_the_paths_and_metrics_of_the_page(pump: PumpRunner, tmp_path: Path) -> None:
    pump.service.add_lookup(bspump.DictionaryLookup(pump.app, "L"))
    pipeline = Watched(pump.app, tmp_path)
    answers: dict[str, Any] = {}

    async def scenario() -> None:
        await pipeline.ready()
        # asab has left the start of the web server to its task service, which does not run here.
        await pump.app.TaskService.NewTasks.get_nowait()
        host, port = pump.app.WebContainer.Addresses[0]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            for path in re.findall(r"`(/(?:bspump|asab|healthz|readyz)[^`]*)`", _TEXT):
                url = path.replace("pipelines/{id}", "pipelines/Watched").replace("lookup/{id}", "lookup/L")
                async with session.get(url.replace("{name}", "bspump.pipeline")) as response:
                    is_json = response.content_type == "application/json"
                    answers[path] = response.status, await response.json() if is_json else None
        await pump.app.WebContainer._stop(pump.app)

    pump.run(scenario, pipeline)

    assert {path: status for path, (status, _) in answers.items() if status != 200} == {}
    assert len(answers) >= 10
    shown = {
        row[1]: set(re.findall(r"`([\w.]+)`", row[2]))
        for row in re.finditer(r"^\| `(bspump\.pipeline[\w.]*|file_count)` \| (.*) \|$", _TEXT, re.MULTILINE)
    }
    metrics = answers["/asab/v1/metrics.json"][1]
    existing = {
        metric["name"]: {name for field in metric["fieldset"] for name in (*field["values"], *field.get("actuals", ()))}
        for metric in metrics
        if any("pipeline" in field["tags"] for field in metric["fieldset"])
    }
    assert shown == existing
    assert "Counts" in answers["/bspump/v1/pipelines/{id}"][1]
