"""The hooks: what a plugin may implement. All of them are optional; most plugins implement `bspump_components` alone.

An implementation is a function of the same name, marked with ``@bspump.plugins.hookimpl``, in the module that the
distribution names in its entry-point group ``bspump``. It may leave out arguments that it does not need. What it raises
is logged with the name of its distribution, and does not stop anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import pluggy

from .records import Component

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from ..application import BSPumpApplication
    from ..pipeline import Pipeline

    F = TypeVar("F", bound=Callable[..., object])

PROJECT = "bspump"

_specification = pluggy.HookspecMarker(PROJECT)
_implementation = pluggy.HookimplMarker(PROJECT)


def hookimpl(function: F) -> F:
    """Mark a function as the implementation of the hook that it has the name of."""
    return _implementation(function)


@_specification
def bspump_components() -> Iterable[Component]:
    """Return the components of the plugin.

    Called once, by whatever needs to know of a component first: ``bspump list`` as well as a lookup that looks for the
    provider of its URL. So the module that implements it must not import a client library.

    Returns:
        one record for each component.
    """
    raise NotImplementedError


@_specification
def bspump_commands() -> Iterable[click.Command]:
    """Return further subcommands of the command ``bspump``.

    Called each time the command starts. A command imports what it needs when it is run.

    Returns:
        commands of click, each with a name that no other has.
    """
    raise NotImplementedError


@_specification
def bspump_application_configured(app: BSPumpApplication) -> None:
    """Called when the application has read its configuration and has its services, before any pipeline is built.

    Args:
        app: the application.
    """


@_specification
def bspump_application_started(app: BSPumpApplication) -> None:
    """Called when the application runs: its lookups are loaded and its pipelines started.

    Args:
        app: the application.
    """


@_specification
def bspump_application_stopping(app: BSPumpApplication) -> None:
    """Called when the application begins to stop, before its pipelines do.

    Args:
        app: the application.
    """


@_specification
def bspump_pipeline_added(pipeline: Pipeline) -> None:
    """Called when a pipeline is added to the application: it is built, and not started yet.

    Args:
        pipeline: the pipeline.
    """


@_specification
def bspump_pipeline_failed(pipeline: Pipeline, error: Exception) -> None:
    """Called when a hard error stops a pipeline.

    Args:
        pipeline: the pipeline.
        error: the error.
    """
