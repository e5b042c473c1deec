"""``bspump describe``."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
import textwrap
from typing import Any

import click

from ..plugins import Component, Kind, get_registry

_WIDEST = 100


@click.command("describe")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.argument("kind", type=click.Choice([str(kind) for kind in Kind]))
@click.argument("name")
def describe(kind: str, name: str, as_json: bool) -> None:
    """Describe the component NAME of a KIND: what it does, and its options with type, default and meaning."""
    registry = get_registry()
    component = registry.find(Kind(kind), name)
    target = registry.load(component)
    options = _options_of(target)
    if as_json:
        record = {
            "kind": str(component.kind),
            "name": component.name,
            "target": component.target,
            "summary": component.summary,
            "since": component.since,
            "stability": component.stability,
            "options": options,
        }
        click.echo(json.dumps(record, indent=2))
        return
    _print_description(component, target)
    _print_options(options)


def _options_of(target: type[Any]) -> list[dict[str, Any]]:
    """Return the options of a class: what is declared, and what has nothing but a default."""
    from .._component import merged_defaults
    from ..option import declared_options

    declared = declared_options(target)
    defaults = merged_defaults(target)
    options = []
    for key in [*declared, *(key for key in defaults if key not in declared)]:
        one = declared.get(key)
        options.append(
            {
                "name": key,
                "type": one.values if one is not None else type(defaults[key]).__name__,
                "default": defaults[key],
                "help": one.help if one is not None else "",
                "required": one is not None and one.required,
                "secret": one is not None and one.secret,
                "deprecated": one.deprecated if one is not None else None,
                "schema": one.schema if one is not None else {},
            }
        )
    return options


def _print_description(component: Component, target: type[Any]) -> None:
    click.secho(f"{component.kind} {component.name}", bold=True)
    module, _, name = component.target.partition(":")
    click.echo(f"{module.rsplit('.', 1)[0]}.{name}, since {component.since}, {component.stability}")
    # The options follow by themselves, those of the base classes included.
    text = (inspect.getdoc(target) or "").partition("\n\nOptions:")[0]
    click.echo("\n" + text.replace("``", "'").replace("`", "'"))


def _print_options(options: list[dict[str, Any]]) -> None:
    if not options:
        return
    click.secho("\nOptions", bold=True)
    width = min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _WIDEST
    for one in options:
        notes = [one["type"]]
        notes += ["required"] if one["required"] else [f"default: {_shown(one['default'])}"]
        notes += [word for word in ("secret",) if one[word]]
        notes += [f"deprecated since {one['deprecated']}"] if one["deprecated"] else []
        click.echo(f"  {click.style(one['name'], bold=True)}  ({'; '.join(notes)})")
        help_text = one["help"].replace("``", "'").replace("`", "'")
        for line in textwrap.wrap(help_text, width - 6):
            click.echo(f"      {line}")


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    text = str(default)
    return repr(text) if not text or text != text.strip() else text
