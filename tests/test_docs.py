"""What the manual shows and says is so: its scripts run, its options, names, paths and links exist."""

from __future__ import annotations

import ast
import builtins
import configparser
import dataclasses
import importlib
import importlib.util
import inspect
import os
import re
import runpy
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asab
import pytest

import bspump
import bspump.file
import bspump.plugins.spec
import bspump.trigger
from bspump.testing import MemorySink, PumpRunner

_ROOT = Path(__file__).parents[1]
_DOCS = _ROOT / "docs"
# Shown by the first example only
_GREETING = re.compile(r"BitSwan BSPump version .*|\d+ pipeline\(s\) ready\.")
_COMPONENT = re.compile(r"`((?:\w+\.)*[A-Z]\w+(?:\([^`]*\))?)`")
_KINDS = re.compile(r"(Source|Sink|Trigger|Processor|Parser|Lookup|Generator|Strategy|Transformator|MixIn|Analyzer)$")
# Pages that speak of the components of an example
_WITH_OTHER_NAMES = ("start/flights.md", "tutorials/", "project/")


def _load_reference() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", _DOCS / "_site" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_REFERENCE = _load_reference()


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code; `title` is the name of the file that it is, if it is one."""

    language: str
    title: str
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of the manual."""

    name: str
    text: str

    def blocks(self, language: str = "") -> list[Block]:
        """Return the code that stands in the page; what is included from an example is tested with it."""
        found = [
            Block(match[1], match[2] or "", match[3], self.text.count("\n", 0, match.start()) + 1)
            for match in re.finditer(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', self.text, re.DOTALL | re.MULTILINE)
            if language in ("", match[1])
        ]
        return [block for block in found if "--8<--" not in block.text]

    def files(self) -> dict[str, str]:
        """Return what the page asks its reader to save, with the files of the pages that it builds on."""
        others = re.findall(r"<!-- files: (\S+) -->", self.text)
        found = {name: text for other in others for name, text in _PAGES[other].files().items()}
        return found | {block.title: block.text for block in self.blocks() if block.title}

    def commands(self, console: Block) -> Iterator[tuple[str, str]]:
        for part in console.text.split("$ ")[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown

    def all_commands(self) -> list[str]:
        return [command for console in self.blocks("console") for command, _ in self.commands(console)]


_PAGES = {
    (name := path.relative_to(_DOCS).as_posix()): Page(name, path.read_text(encoding="utf-8"))
    for path in sorted(_DOCS.rglob("*.md"))
}


def _of_all_pages(language: str) -> list[Any]:
    return [
        pytest.param(page, block, id=f"{page.name}:{block.line}")
        for page in _PAGES.values()
        for block in page.blocks(language)
    ]


# The examples


def _save_files(page: Page, folder: Path) -> None:
    for name, text in page.files().items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("page", "console"), _of_all_pages("console"))
def test_the_commands_print_what_the_page_shows(page: Page, console: Block, tmp_path: Path) -> None:
    _save_files(page, tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"HOME": str(tmp_path), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    for command, shown in page.commands(console):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert _without_greeting(done.stdout) == _without_greeting(shown), done.stderr
        assert done.returncode == 0, done.stderr
        # The service warns of triggers that were forgotten, and of sections and options that do not exist.
        assert "bspump.service" not in done.stderr


def _without_greeting(output: str) -> list[str]:
    return [line for line in output.splitlines() if not _GREETING.fullmatch(line)]


def test_the_first_example_shows_the_greeting_as_it_is() -> None:
    [first, *_] = _PAGES["start/first-pipeline.md"].blocks("console")
    shown = [line for line in first.text.splitlines() if _GREETING.fullmatch(line)]
    assert shown == [f"BitSwan BSPump version {bspump.__version__}", "1 pipeline(s) ready."]


def test_every_script_is_run() -> None:
    scripts = [(page, block.title) for page in _PAGES.values() for block in page.blocks("python") if block.title]
    assert [name for page, name in scripts if name not in "\n".join(page.all_commands())] == []


# The code


@pytest.mark.parametrize(("page", "block"), _of_all_pages("python"))
def test_the_code_uses_names_arguments_and_options_that_exist(page: Page, block: Block) -> None:
    tree = ast.parse(block.text, f"{page.name}:{block.line}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.py" not in page.files():
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Attribute) and _dotted(node).startswith("bspump."):
            _resolve(_dotted(node))
        elif isinstance(node, ast.Call) and _dotted(node.func).startswith("bspump."):
            _check_call(node, _resolve(_dotted(node.func)))


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _resolve(name: str) -> Any:
    value: Any = importlib.import_module(name.partition(".")[0])
    for part in name.split(".")[1:]:
        if isinstance(value, types.ModuleType) and not hasattr(value, part):
            importlib.import_module(f"{value.__name__}.{part}")
        value = getattr(value, part)
    return value


def _check_call(call: ast.Call, target: Any) -> None:
    if not any(isinstance(argument, ast.Starred) for argument in call.args):
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
        inspect.signature(target).bind(*call.args, **keywords)
    for keyword in call.keywords:
        if keyword.arg == "config" and isinstance(keyword.value, ast.Dict):
            named = {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
            assert named <= set(_defaults_of(target)), target


def test_the_code_is_formatted_and_has_no_mistakes_that_a_linter_finds(tmp_path: Path) -> None:
    for number, parameters in enumerate(_of_all_pages("python")):
        page, block = parameters.values
        name = f"{page.name.replace('/', '-').removesuffix('.md')}-line-{block.line}-{number}.py"
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    configuration = ["--config", str(_ROOT / "pyproject.toml"), "--no-cache"]
    # Fragments use what the text around them speaks of, and documentation of examples is that text.
    ignored = "D,F821,N999,DTZ,I001,RUF012"
    for command in (["check", "--ignore", ignored], ["format", "--diff"]):
        done = subprocess.run(
            [*ruff, *command, *configuration, "."], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


# Configuration


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    with PumpRunner(web_listen="127.0.0.1:0") as runner:
        yield runner


@pytest.mark.parametrize(("page", "block"), _of_all_pages("ini"))
def test_a_configuration_names_sections_and_options_that_exist(
    page: Page, block: Block, tmp_path: Path, pump: PumpRunner
) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()
    declared = _asab_options()
    if block.title:
        _save_files(page, tmp_path)
        declared |= _options_of_script(_script_with(page, block.title), tmp_path, pump)
    for section in parser.sections():
        known = declared[section] if block.title or section in declared else _options_of_section(page, section)
        assert set(parser.options(section)) <= known, section


def _asab_options() -> dict[str, set[str]]:
    defaults: Any = asab.Config._default_values
    return {section: set(options) for section, options in defaults.items()}


def _script_with(page: Page, configuration: str) -> str:
    found = (re.search(rf"(\S+) -c {configuration}\b", command) for command in page.all_commands())
    [script] = {match[1] for match in found if match}
    return script


def _options_of_script(script: str, folder: Path, pump: PumpRunner) -> dict[str, set[str]]:
    """Return the options that the pipelines of a script declare, by section."""
    names = runpy.run_path(str(folder / script))
    pipelines = [value(pump.app) for value in names.values() if _is_class(value) and value.__module__ == "<run_path>"]
    declared: dict[str, set[str]] = {}
    for pipeline in pipelines:
        for component in (*pipeline.Sources, *pipeline.iter_processors()):
            declared[f"pipeline:{pipeline.Id}:{component.Id}"] = set(_defaults_of(type(component)))
        declared[f"pipeline:{pipeline.Id}"] = set(_defaults_of(type(pipeline))).union(
            *(_defaults_of(type(source)) for source in pipeline.Sources)
        )
    return declared


def _options_of_section(page: Page, section: str) -> set[str]:
    """Return the options that a section of a fragment may have, going by the name of the component in it."""
    kind, _, rest = section.partition(":")
    component = rest.rpartition(":")[2]
    if kind == "pipeline" and ":" in rest:
        [found] = [value for name, value in _PUBLIC.items() if name.rpartition(".")[2] == component]
        return set(_defaults_of(found))
    base = {"pipeline": bspump.Source, "connection": bspump.Connection, "lookup": bspump.Lookup}[kind]
    classes: list[type] = [bspump.Pipeline] if kind == "pipeline" else []
    classes += [value for value in _PUBLIC.values() if inspect.isclass(value) and issubclass(value, base)]
    own = re.findall(r"ConfigDefaults = (\{[^}]*\})", page.text)
    return set().union(*map(_defaults_of, classes), *map(ast.literal_eval, own))


def _is_class(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, bspump.Pipeline) and value is not bspump.Pipeline


def _defaults_of(component: type) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for base in reversed(component.__mro__):
        defaults.update(base.__dict__.get("ConfigDefaults", {}))
    return defaults


_OPTION_TABLES = [
    pytest.param(*match, id=f"{page.name}:{match[1]}")
    for page in _PAGES.values()
    for match in re.findall(r"<!-- (all )?options: (\S+) -->\n.*\n.*\n((?:\|.*\n)+)", page.text)
]


@pytest.mark.parametrize(("all_of_them", "component", "rows"), _OPTION_TABLES)
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


# Names


_PUBLIC = {
    name: value
    for page in _REFERENCE.PAGES.values()
    for module in page.modules
    for name, value in _REFERENCE.public_names(module)
}


_SPEAKING_OF_OURS = {name: page for name, page in _PAGES.items() if not name.startswith(_WITH_OTHER_NAMES)}


@pytest.mark.parametrize("page", _SPEAKING_OF_OURS.values(), ids=_SPEAKING_OF_OURS)
def test_components_exist_and_take_the_arguments_that_the_page_gives_them(page: Page) -> None:
    own = set(re.findall(r"^class (\w+)", "\n".join(block.text for block in page.blocks("python")), re.MULTILINE))
    own |= {name for name in page.files() for name in re.findall(r"^class (\w+)", page.files()[name], re.MULTILINE)}
    for expression in _COMPONENT.findall(page.text):
        name = expression.partition("(")[0].rpartition(".")[2]
        if name in own or (not _KINDS.search(name) and "(" not in expression):
            continue
        found = [value for full, value in _PUBLIC.items() if full.rpartition(".")[2] == name]
        found += [vars(builtins)[name]] if hasattr(builtins, name) else []
        assert found, f"there is no {name}"
        call = ast.parse(expression, mode="eval").body
        if isinstance(call, ast.Call):
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
            inspect.signature(found[0]).bind_partial(*call.args, **keywords)


@pytest.mark.parametrize("page", _PAGES.values(), ids=_PAGES)
def test_links_lead_somewhere(page: Page) -> None:
    text = re.sub(r"^```.*?^```$", "", page.text, flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"https?:", target):
            continue
        name = os.path.normpath(Path(page.name).parent / target) if target else page.name
        # What the reference has is checked by the build, which fails on a link to nowhere.
        if name not in _REFERENCE.PAGES:
            assert name in _PAGES, link
            assert not anchor or anchor in _anchors(_PAGES[name]), link


def test_the_links_of_the_readme_lead_somewhere() -> None:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", readme) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (_ROOT / link).exists()] == []


def _anchors(page: Page) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES.values(), ids=_PAGES)
def test_included_files_exist(page: Page) -> None:
    included = re.findall(r'^--8<-- "(.*)"$', page.text, re.MULTILINE)
    assert [name for name in included if not (_ROOT / name).is_file()] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (_ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    missing = [
        name for name in (*_PAGES, *_REFERENCE.PAGES) if not re.search(rf"[ -]{re.escape(name)}$", navigation, re.M)
    ]
    assert missing == []


def test_the_hooks_are_those_that_a_plugin_may_implement() -> None:
    shown = re.findall(r"^\| `(bspump_\w+)\((.*?)\)` \|", _PAGES["howto/write-a-plugin.md"].text, re.MULTILINE)
    existing = {name: value for name, value in vars(bspump.plugins.spec).items() if name.startswith("bspump_")}
    assert {name: arguments.split(", ") if arguments else [] for name, arguments in shown} == {
        name: list(inspect.signature(hook).parameters) for name, hook in existing.items()
    }


# The reference


def test_the_reference_has_every_module_with_public_names() -> None:
    with_names = {module for module in _REFERENCE.modules_of_bspump() if list(_REFERENCE.public_names(module))}
    # What these define is public under `bspump` itself, or not meant to be imported.
    inner = {f"bspump.{name}" for name in ("application", "builder", "errors", "pipeline", "service", "web")}
    listed = {module for page in _REFERENCE.PAGES.values() for module in page.modules}
    assert with_names - inner - listed == set()


def test_whatever_the_reference_lists_is_documented() -> None:
    assert [name for name, value in _PUBLIC.items() if not value.__dict__.get("__doc__", value.__doc__)] == []


# REST


class Watched(bspump.Pipeline):
    """A pipeline that waits for nothing in particular."""

    def __init__(self, app: asab.Application, folder: Path) -> None:
        super().__init__(app)
        source = bspump.file.FileLineSource(app, self, config={"path": str(folder), "position_dir": str(folder)})
        self.build(source.on(bspump.trigger.PeriodicTrigger(app, 3600)), MemorySink(app, self))


def test_the_rest_interface_has_the_paths_and_metrics_of_the_page(pump: PumpRunner, tmp_path: Path) -> None:
    text = _PAGES["howto/production.md"].text
    pump.service.add_lookup(bspump.DictionaryLookup(pump.app, "L"))
    pipeline = Watched(pump.app, tmp_path)
    answers: dict[str, Any] = {}

    async def scenario() -> None:
        await pipeline.ready()
        # asab has left the start of the web server to its task service, which does not run here.
        await pump.app.TaskService.NewTasks.get_nowait()
        host, port = pump.app.WebContainer.Addresses[0]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            for path in re.findall(r"`(/(?:bspump|asab|healthz|readyz)[^`]*)`", text):
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
        for row in re.finditer(r"^\| `(bspump\.pipeline[\w.]*|file_count)` \| (.*) \|$", text, re.MULTILINE)
        if re.search(r"`[\w.]+`", row[2])
    }
    metrics = answers["/asab/v1/metrics.json"][1]
    existing = {
        metric["name"]: {name for field in metric["fieldset"] for name in (*field["values"], *field.get("actuals", ()))}
        for metric in metrics
        if any("pipeline" in field["tags"] for field in metric["fieldset"])
    }
    assert shown == existing
    assert "Counts" in answers["/bspump/v1/pipelines/{id}"][1]
