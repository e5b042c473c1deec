"""Makes the reference pages, from what the modules offer: a hook of MkDocs (see mkdocs.yml).

Every public class of the modules in `PAGES` gets an entry, under the name by which it is imported; the texts are the
docstrings.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import bspump
import bspump.abc.lookupprovider
import bspump.common
import bspump.trigger

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


@dataclasses.dataclass(frozen=True)
class Page:
    """One page of the reference.

    Attributes:
        title: its heading.
        install: the distribution to install.
        introduction: what stands below the heading.
        modules: the modules whose public names are on it.
    """

    title: str
    install: str
    introduction: str
    modules: tuple[str, ...]


PAGES = {
    "reference/bspump.md": Page(
        "Application and pipeline",
        "bspump-core",
        "The names of the package `bspump` itself, except for the [base classes](abc.md).",
        ("bspump",),
    ),
    "reference/abc.md": Page(
        "Base classes and options",
        "bspump-core",
        "What components of your own derive from. Most of them can be imported from `bspump` too: `bspump.Source` is "
        "`bspump.abc.source.Source`. `bspump.option` is what they declare their "
        "[options](../howto/configuration.md#declare-options-of-your-own) with.",
        ("bspump.abc", "bspump.option"),
    ),
    "reference/common.md": Page(
        "Common components",
        "bspump-core",
        "What nearly every pipeline uses: `import bspump.common`.",
        ("bspump.common",),
    ),
    "reference/more.md": Page(
        "Filters, random events, programs, caches",
        "bspump-core",
        "`import bspump.filter`, `bspump.random`, `bspump.subprocess` or `bspump.cache`.",
        ("bspump.filter", "bspump.random", "bspump.subprocess", "bspump.cache"),
    ),
    "reference/trigger.md": Page(
        "Triggers",
        "bspump-core",
        "What begins the cycles of a `TriggerSource`: `import bspump.trigger`. How they differ is described under "
        "[triggers](../concepts/triggers.md).",
        ("bspump.trigger",),
    ),
    "reference/file.md": Page(
        "Files",
        "bspump-file",
        "`import bspump.file`. The guide is [read and write files](../howto/files.md).",
        ("bspump.file",),
    ),
    "reference/http.md": Page(
        "HTTP",
        "bspump-http",
        "`import bspump.http`. The guide is [use HTTP](../howto/http.md).",
        ("bspump.http",),
    ),
    "reference/ipc.md": Page(
        "Sockets",
        "bspump-ipc",
        "`import bspump.ipc`; `bspump.socket` has earlier names. The guide is [use sockets](../howto/sockets.md).",
        ("bspump.ipc", "bspump.socket"),
    ),
    "reference/analyzer.md": Page(
        "Analyzers and matrices",
        "bspump-analyzer",
        "`import bspump.analyzer`, `bspump.matrix`, `bspump.anomaly`, `bspump.model` or `bspump.lookup`. How they work "
        "together is described under [analyzer](../concepts/analyzer.md).",
        ("bspump.analyzer", "bspump.matrix", "bspump.anomaly", "bspump.model", "bspump.lookup"),
    ),
    "reference/plugins.md": Page(
        "Plugins",
        "bspump-core",
        "`import bspump.plugins`. The guide is [write a plugin](../howto/write-a-plugin.md).",
        ("bspump.plugins", "bspump.plugins.spec"),
    ),
    "reference/testing.md": Page(
        "Testing",
        "bspump-core",
        "`import bspump.testing`. The guide is [test a pipeline](../howto/test.md).",
        ("bspump.testing", "bspump.unittest"),
    ),
}

KINDS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("Connections", (bspump.Connection,)),
    ("Sources", (bspump.Source,)),
    ("Sinks", (bspump.Sink,)),
    ("Generators", (bspump.Generator,)),
    ("Processors", (bspump.abc.processor.ProcessorBase,)),
    ("Lookups", (bspump.Lookup,)),
    ("Lookup providers", (bspump.abc.lookupprovider.LookupProviderABC,)),
    ("Triggers", (bspump.trigger.Trigger,)),
    ("Aggregation strategies", (bspump.common.AggregationStrategy,)),
    ("Errors", (BaseException,)),
    ("Other classes", (object,)),
)


def public_names(module_name: str) -> Iterator[tuple[str, object]]:
    """Yield the public names of a module and the classes and functions that they stand for; no second names.

    A package without names of its own, as ``bspump.abc``, has those of its modules.
    """
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None)
    if names is None and hasattr(module, "__path__"):
        for found in pkgutil.iter_modules(module.__path__):
            if not found.name.startswith("_"):
                yield from public_names(f"{module_name}.{found.name}")
        return
    for name in names if names is not None else vars(module):
        value = getattr(module, name)
        if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)) or value.__name__ != name:
            continue
        if names is not None or value.__module__ == module_name:
            yield f"{module_name}.{name}", value


def second_names(module_name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a module that stand for a class with another name, and that name."""
    module = importlib.import_module(module_name)
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) and value.__name__ != name:
            yield f"{module_name}.{name}", value.__name__


def _kind(value: object) -> str:
    if not isinstance(value, type):
        return "Functions"
    return next(kind for kind, bases in KINDS if issubclass(value, bases))


def _entry(name: str, value: Any) -> str:
    # mkdocstrings finds a name where it is defined; what the reader imports is in the heading.
    options = f"{{heading: {name}, toc_label: {name.rpartition('.')[2]}}}"
    return f"::: {value.__module__}.{value.__qualname__}\n    options: {options}\n"


def _owner(value: Any) -> str:
    """Return the module under whose name something is listed, where several offer it."""
    listed = (module for page in PAGES.values() for module in page.modules)
    return max((module for module in listed if f"{value.__module__}.".startswith(f"{module}.")), key=len, default="")


def page_text(page: Page) -> str:
    """Return the Markdown of a page of the reference."""
    sections: dict[str, list[tuple[str, object]]] = {kind: [] for kind in (*dict(KINDS), "Functions")}
    for module in page.modules:
        for name, value in public_names(module):
            if _owner(value) == module:
                sections[_kind(value)].append((name, value))
    filled = {kind: names for kind, names in sections.items() if names}
    lines = [f"# {page.title}", "", page.introduction, "", "```sh", f"pip install {page.install}", "```", ""]
    for kind, names in filled.items():
        lines += [f"## {kind}", ""]
        lines += [_entry(name, value) for name, value in names]
    others = [pair for module in page.modules for pair in second_names(module)]
    if others:
        lines += ["## Further names", "", "| Name | Stands for |", "|---|---|"]
        lines += [f"| `{name}` | `{meant}` |" for name, meant in others]
    return "\n".join(lines) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    from mkdocs.structure.files import File

    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page_text(page)))
    return files


def modules_of_bspump() -> set[str]:
    """Return every public module of all installed distributions, one level deep."""
    package: types.ModuleType = bspump
    return {f"bspump.{found.name}" for found in pkgutil.iter_modules(package.__path__) if found.name[0] != "_"}
