"""``bspump run``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..application import BSPumpApplication

_DEFINITIONS = (".json", ".yaml", ".yml")


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
)
@click.argument("target", metavar="FILE|MODULE:CLASS")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(target: str, arguments: tuple[str, ...]) -> None:
    """Run an application until it is stopped, and end with its exit code.

    FILE is a definition in JSON or YAML, as PumpBuilder takes it; MODULE:CLASS an application class of yours, looked
    for in the current folder too. The ARGUMENTS are those of the application: -c site.conf, -w 127.0.0.1:8080, -v.
    """
    # A definition and an application may both name modules of the current folder.
    sys.path.insert(0, str(Path.cwd()))
    if target.endswith(_DEFINITIONS):
        if not Path(target).is_file():
            raise ConfigurationError(f"{target}: there is no such file")
        from ..application import BSPumpApplication
        from ..builder import PumpBuilder

        app = BSPumpApplication(args=arguments)
        PumpBuilder(target).construct_pump(app, app.PumpService)
    else:
        app = _application_class(target)(args=arguments)
    sys.exit(app.run())


def _application_class(target: str) -> type[BSPumpApplication]:
    from ..application import BSPumpApplication

    module_name, _, class_name = target.partition(":")
    if not (module_name and class_name):
        raise ConfigurationError(
            f"{target!r} is neither a definition ({', '.join(_DEFINITIONS)}) nor an application as 'module:Class'"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigurationError(f"{target!r}: there is no module '{error.name}' here or installed") from None
    found: object = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, BSPumpApplication)):
        raise ConfigurationError(f"{target!r}: '{class_name}' is no application class of '{module_name}'")
    return found
