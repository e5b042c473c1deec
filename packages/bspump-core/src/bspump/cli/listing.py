"""``bspump list`` and ``bspump plugins``."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterable

import click

from ..plugins import Kind, get_registry
from ..plugins.discovery import Plugin

_NARROWEST_SUMMARY = 30


@click.command("list")
@click.option("--kind", "-k", type=click.Choice([str(kind) for kind in Kind]), help="Only components of this kind.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.argument("words", nargs=-1)
def list_components(kind: str | None, as_json: bool, words: tuple[str, ...]) -> None:
    """List the components that are installed, or those that have all the WORDS in their name or summary.

    Nothing but what is needed for the list is imported: no component, no client library.
    """
    found = [
        (component, plugin)
        for component, plugin in get_registry().components(Kind(kind) if kind else None)
        if all(word.lower() in f"{component.name} {component.summary}".lower() for word in words)
    ]
    if as_json:
        records = [
            {**dataclasses.asdict(component), "distribution": plugin.distribution, "version": plugin.version}
            for component, plugin in found
        ]
        click.echo(json.dumps(records, indent=2))
        return
    for one in Kind:
        rows = [
            (f"  {component.name or '(a path)'}", plugin.distribution, _marked(component.summary, component.stability))
            for component, plugin in found
            if component.kind is one
        ]
        if rows:
            click.secho(f"{_plural(one)} ({len(rows)})", bold=True)
            _print_table(rows)
    if not found:
        click.echo("no such component")
        sys.exit(1)


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--verbose", "-v", is_flag=True, help="With the traceback of each problem.")
def list_plugins(as_json: bool, verbose: bool) -> None:
    """List the plugins that are installed: version, hooks, number of components, and what is wrong with them.

    Ends with 1 if something is wrong.
    """
    registry = get_registry()
    if as_json:
        click.echo(json.dumps([_as_record(plugin) for plugin in registry.plugins], indent=2))
    else:
        rows = [
            (
                plugin.distribution,
                plugin.version,
                plugin.module_name,
                plugin.problem or f"{len(plugin.components)} components, {', '.join(plugin.hooks) or 'no hooks'}",
            )
            for plugin in registry.plugins
        ]
        _print_table(rows)
        for problem in registry.problems:
            click.secho(problem, fg="red", err=True)
        if verbose:
            for plugin in registry.plugins:
                click.echo(plugin.details, err=True, nl=False)
    if registry.problems:
        sys.exit(1)


def _as_record(plugin: Plugin) -> dict[str, object]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module_name,
        "hooks": list(plugin.hooks),
        "components": len(plugin.components),
        "problem": plugin.problem,
    }


def _plural(kind: Kind) -> str:
    words = str(kind).replace("-", " ").capitalize()
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _marked(summary: str, stability: str) -> str:
    return summary if stability == "stable" else f"{summary} ({stability})"


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows in columns; on a terminal, the last column is cut where the line would break."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
    room = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths) if sys.stdout.isatty() else None
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        last = row[-1].replace("``", "'").replace("`", "'")
        if room is not None and len(last) > max(room, _NARROWEST_SUMMARY):
            last = last[: max(room, _NARROWEST_SUMMARY) - 1] + "…"
        click.echo("  ".join([*cells, last]))
