"""Names of ``bspump`` that are defined in another distribution and imported when they are used."""

from __future__ import annotations

import importlib

from .errors import PluginError

# name: module, distribution
NAMES = {
    "Matrix": ("bspump.matrix", "bspump-analyzer"),
    "Model": ("bspump.model", "bspump-analyzer"),
    "NamedMatrix": ("bspump.matrix", "bspump-analyzer"),
    "PersistentMatrix": ("bspump.matrix", "bspump-analyzer"),
    "PersistentNamedMatrix": ("bspump.matrix", "bspump-analyzer"),
}


def import_name(name: str) -> object:
    """Return what ``bspump.<name>`` stands for.

    Raises:
        AttributeError: the name is unknown.
        PluginError: the distribution that has it is not installed.
    """
    try:
        module_name, distribution = NAMES[name]
    except KeyError:
        raise AttributeError(f"module 'bspump' has no attribute {name!r}") from None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        # No AttributeError: `from bspump import ...` would replace its message by one that does not help.
        raise PluginError(f"bspump.{name} needs a package that is not installed: pip install {distribution}") from None
    value: object = getattr(module, name)
    return value
