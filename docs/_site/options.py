"""Shows the options of a component as a table with their defaults, inherited ones included: an extension of Griffe.

The names and meanings are from the sections ``Options:`` of the docstrings and from what is declared with
`bspump.option`, the defaults from ``ConfigDefaults``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

from bspump.option import declared_options

# "Options:", perhaps with a paragraph of text, and then the indented entries
_SECTION = re.compile(r"^Options(?: \([^\n]*\))?:.*\n?(?:\S.*\n?)*((?:[ \t]*\n|[ \t]+.*\n?)*)", re.MULTILINE)
_KEYS = re.compile(r"^Keys:\n((?:[ \t]*\n|[ \t]+.*\n?)*)", re.MULTILINE)
_NAMED = re.compile(r"^(?:Args|Attributes):\n(?:[ \t]*\n|[ \t]+.*\n?)*", re.MULTILINE)
_SEVERAL = re.compile(r"^    (\w+(?:, \w+)+):( .*(?:\n {5,}.*)*)", re.MULTILINE)
_ENTRY = re.compile(r"^([a-z_][\w.]*(?:, [a-z_][\w.]*)*): (.*(?:\n\s+.*)*)", re.MULTILINE)


def described_options(component: type) -> dict[str, str]:
    """Return the meaning of each option that the docstring of a class describes."""
    section = _SECTION.search(inspect.cleandoc(component.__dict__.get("__doc__") or ""))
    if section is None:
        return {}
    described = {}
    for names, meaning in _entries(section[1]):
        for name in names.split(", "):
            described[name] = " ".join(meaning.split())
    return described


def _entries(section: str) -> list[tuple[str, str]]:
    return _ENTRY.findall(inspect.cleandoc("\n" + section))


def option_rows(component: type) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each option, those of the class itself first."""
    meanings: dict[str, str] = {}
    defaults: dict[str, Any] = {}
    for base in component.__mro__:
        for name, meaning in described_options(base).items():
            meanings.setdefault(name, meaning)
        for name, value in base.__dict__.get("ConfigDefaults", {}).items():
            defaults.setdefault(name, value)
    for name, declared in declared_options(component).items():
        meanings[name] = declared.help
    names = list(dict.fromkeys([*meanings, *defaults]))
    return [(name, _shown(defaults[name]) if name in defaults else "", meanings.get(name, "")) for name in names]


def _shown(default: object) -> str:
    text = str(default)
    if not text:
        return ""
    return f"`{text}`" if text.isprintable() else f"`{text!r}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def table(component: type) -> str:
    """Return the table of options as Markdown; empty if the class has none."""
    rows = option_rows(component)
    if not rows:
        return ""
    lines = ["**Options**", "", "| Option | Default | Meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {_cell(default)} | {_cell(meaning)} |" for name, default, meaning in rows]
    return "\n".join(lines)


def _keys_table(section: re.Match[str]) -> str:
    rows = [f"| `{names}` | {_cell(' '.join(meaning.split()))} |" for names, meaning in _entries(section[1])]
    return "\n".join(["**Keys**", "", "| Key | Meaning |", "|---|---|", *rows, ""])


def _one_by_one(section: re.Match[str]) -> str:
    """Give each of several arguments that are described together its own entry, as Griffe expects it."""
    return _SEVERAL.sub(lambda entry: "\n".join(f"    {name}:{entry[2]}" for name in entry[1].split(", ")), section[0])


class OptionTables(griffe.Extension):
    """Puts the tables in place of the sections."""

    def on_class_instance(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Rewrite the docstring of a class."""
        if cls.docstring is None or not cls.path.startswith("bspump."):
            return
        module, _, name = cls.path.rpartition(".")
        try:
            component = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            return  # a class within a class or a function
        text = _SECTION.sub("", inspect.cleandoc(cls.docstring.value))
        text = _NAMED.sub(_one_by_one, _KEYS.sub(_keys_table, text))
        cls.docstring.value = "\n\n".join(filter(None, (text.rstrip(), table(component))))
