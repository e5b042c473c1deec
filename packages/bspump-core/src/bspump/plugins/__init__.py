"""Plugins: distributions that add components, commands and more to BSPump.

A distribution has an entry point in the group ``bspump`` that names a small module; the module implements hooks (see
`bspump.plugins.spec`), and above all lists the components of the distribution::

    from bspump.plugins import Component, Kind, hookimpl


    @hookimpl
    def bspump_components():
        return [Component(Kind.SINK, "AcmeSink", "bspump_acme.sink:AcmeSink", "Sends events to Acme.")]
"""

from __future__ import annotations

from .discovery import Plugin, Switches
from .records import Component, Kind, Stability
from .registry import Registry, get_registry
from .spec import hookimpl

__all__ = ["Component", "Kind", "Plugin", "Registry", "Stability", "Switches", "get_registry", "hookimpl"]
