"""The registry: which components there are, who offers them, and what is wrong with the plugins."""

from __future__ import annotations

import difflib
import functools
import importlib
import logging
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from ..errors import PluginError
from . import spec
from ._kinds import base_of, first_party_of
from .discovery import Plugin, Switches, find_plugins
from .records import Component, Kind

L = logging.getLogger(__name__)


class Registry:
    """Knows the components of all the plugins that are installed.

    Args:
        switches: which plugins to use.
        entry_points: what to look through instead of what is installed.

    Attributes:
        plugins: all that were found, also those that are not used.
        problems: what is wrong, one sentence each.
    """

    def __init__(self, switches: Switches | None = None, entry_points: Iterable[EntryPoint] | None = None) -> None:
        self._switches = switches if switches is not None else Switches.of_environment()
        self._manager = pluggy.PluginManager(spec.PROJECT)
        self._manager.add_hookspecs(spec)
        self._offers: dict[tuple[Kind, str], list[tuple[Component, Plugin]]] = {}
        self.plugins: list[Plugin] = []
        for plugin in find_plugins(self._switches, entry_points):
            self.plugins.append(plugin)
            self._register(plugin)
            self._trace(f"{plugin}: {plugin.problem or f'{len(plugin.components)} component(s)'}")

    def _trace(self, message: str) -> None:
        if self._switches.trace:
            print(f"bspump plugins: {message}", file=sys.stderr)

    def _register(self, plugin: Plugin) -> None:
        if plugin.module is None:
            return
        try:
            self._manager.register(plugin.module, f"{plugin.distribution}:{plugin.name}")
        except (pluggy.PluginValidationError, ValueError) as error:
            plugin.fail(f"implements a hook wrongly: {error}", error)
            return
        callers = self._manager.get_hookcallers(plugin.module) or []
        plugin.hooks = tuple(sorted(caller.name for caller in callers if caller.spec is not None))
        unknown = [name for name in vars(plugin.module) if name.startswith("bspump_") and name not in plugin.hooks]
        if unknown:
            self._unregister(plugin, f"implements {unknown[0]}(), which is no hook or is not marked with hookimpl")
            return
        self._collect(plugin)

    def _unregister(self, plugin: Plugin, problem: str, error: Exception | None = None) -> None:
        self._manager.unregister(plugin.module)
        plugin.fail(problem, error)

    def _collect(self, plugin: Plugin) -> None:
        if "bspump_components" not in plugin.hooks:
            return
        implementation = getattr(plugin.module, "bspump_components")  # noqa: B009 (a module has no such attribute for mypy)
        try:
            components = tuple(implementation())
        except Exception as error:
            self._unregister(plugin, f"bspump_components() failed: {type(error).__name__}: {error}", error)
            return
        strange = [component for component in components if not isinstance(component, Component)]
        if strange:
            self._unregister(plugin, f"bspump_components() returned {strange[0]!r}; expected bspump.plugins.Component")
            return
        plugin.components = components
        for component in components:
            self._offers.setdefault((component.kind, component.name), []).append((component, plugin))

    # What there is

    @property
    def problems(self) -> list[str]:
        """What is wrong with the plugins, one sentence each; a plugin that was switched off is not wrong."""
        broken = [
            f"{plugin}: {plugin.problem}"
            for plugin in self.plugins
            if plugin.problem is not None and self._switches.reason_against(plugin.distribution) is None
        ]
        return broken + [
            self._conflict(component, offers) for component, offers in self._offers.items() if len(offers) > 1
        ]

    def components(self, kind: Kind | None = None) -> Iterator[tuple[Component, Plugin]]:
        """Yield the components, with the plugins that offer them, by kind and name."""
        order = list(Kind)
        for key in sorted(self._offers, key=lambda key: (order.index(key[0]), key[1].lower())):
            if kind is None or key[0] is kind:
                yield from self._offers[key]

    def find(self, kind: Kind, name: str) -> Component:
        """Return the component of a kind that has a name.

        Raises:
            PluginError: nobody offers it, or several do; the message says what to do about it.
        """
        offers = self._offers.get((kind, name), [])
        if len(offers) > 1:
            raise PluginError(self._conflict((kind, name), offers))
        if offers:
            return offers[0][0]
        raise PluginError(self._absence(kind, name))

    def _conflict(self, key: tuple[Kind, str], offers: list[tuple[Component, Plugin]]) -> str:
        distributions = " and ".join(str(plugin) for _, plugin in offers)
        return f"{key[0]} {key[1]!r} is offered by {distributions}; uninstall one, or set BSPUMP_PLUGINS_BLOCK"

    def _absence(self, kind: Kind, name: str) -> str:
        unusable = [f"{plugin} ({plugin.problem})" for plugin in self.plugins if plugin.problem is not None]
        note = f"; not used: {', '.join(unusable)}" if unusable else ""
        distribution = first_party_of(kind, name)
        is_installed = any(plugin.distribution == distribution for plugin in self.plugins)
        if distribution is not None and not is_installed:
            return f"{kind} {name!r} needs a package that is not installed: pip install {distribution}"
        other_kinds = [other for other, known in self._offers if known == name]
        if other_kinds:
            return f"{name!r} is a {other_kinds[0]}, and a {kind} is needed here"
        known = [known for other, known in self._offers if other is kind]
        close = difflib.get_close_matches(name, known, 1)
        suggestion = f", did you mean {close[0]!r}?" if close else ""
        return f"there is no {kind} {name!r}{suggestion}{note}"

    def load(self, component: Component) -> type[Any]:
        """Import the class of a component.

        Raises:
            PluginError: it cannot be imported, or is not what its kind says.
        """
        module_name, _, class_name = component.target.partition(":")
        self._trace(f"importing {component.target}")
        offers = self._offers.get((component.kind, component.name), [])
        offered_by = f" of {offers[0][1]}" if offers else ""
        what = f"{component.kind} {component.name!r}{offered_by}"
        try:
            target: object = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise PluginError(f"{what} cannot be imported from '{component.target}': {error}") from error
        base = base_of(component.kind)
        if not (isinstance(target, type) and issubclass(target, base)):
            raise PluginError(
                f"{what}: '{component.target}' does not derive from {base.__module__}.{base.__qualname__}"
            )
        return target

    def find_class(self, kind: Kind, name: str) -> type[Any]:
        """Return the class of the component of a kind that has a name.

        Raises:
            PluginError: as `find` and `load`.
        """
        return self.load(self.find(kind, name))

    # Telling the plugins

    def call(self, hook: str, **arguments: object) -> list[object]:
        """Call a hook of every plugin that implements it. What one of them raises is logged, and the others go on.

        Returns:
            what they returned, in the order of their distributions.
        """
        results: list[object] = []
        for plugin in self.plugins:
            if plugin.module is None or hook not in plugin.hooks:
                continue
            self._trace(f"calling {hook} of {plugin}")
            others = [other.module for other in self.plugins if other is not plugin and other.module is not None]
            try:
                results += self._manager.subset_hook_caller(hook, others)(**arguments)
            except Exception:
                L.exception("%s() of %s failed", hook, plugin)
        return results


@functools.cache
def get_registry() -> Registry:
    """Return the registry of what is installed, made when it is asked for first."""
    return Registry()
