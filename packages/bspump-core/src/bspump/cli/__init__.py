"""The command ``bspump``. Each subcommand is in a module of its own, which is imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

import click

from .._version import __version__
from ..errors import BSPumpError
from ..plugins import get_registry

# name: where it is, and what `bspump --help` says of it
_COMMANDS = {
    "describe": ("bspump.cli.describing:describe", "Describe a component and its options."),
    "list": ("bspump.cli.listing:list_components", "List the components that are installed."),
    "plugins": ("bspump.cli.listing:list_plugins", "List the plugins, and what is wrong with them."),
    "run": ("bspump.cli.running:run", "Run an application."),
}


class Commands(click.Group):
    """The subcommands of the core, and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all of them."""
        return sorted({*_COMMANDS, *self._of_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them; of two with the same name, that of the core."""
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return self._of_plugins().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of the subcommands, without importing those of the core."""
        rows = [(name, summary) for name, (_, summary) in _COMMANDS.items()]
        rows += [(name, command.get_short_help_str(80)) for name, command in self._of_plugins().items()]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))

    @staticmethod
    def _of_plugins() -> dict[str, click.Command]:
        offers = [command for commands in get_registry().call("bspump_commands") for command in _as_commands(commands)]
        return {command.name: command for command in offers if command.name and command.name not in _COMMANDS}


def _as_commands(offer: object) -> list[click.Command]:
    return [command for command in offer if isinstance(command, click.Command)] if isinstance(offer, Iterable) else []


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="bspump")
def bspump() -> None:
    """Pump events: run pipelines, and see what they can be made of."""


def main() -> None:
    """Run the command; what an operator can mend is said in one sentence."""
    try:
        bspump(prog_name="bspump")
    except BSPumpError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
