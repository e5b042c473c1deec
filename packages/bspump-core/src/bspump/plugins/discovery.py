"""Finding the installed plugins, one by one: what is wrong with one of them does not keep the others away.

pluggy's own loader of entry points drops a second one of the same name in silence, and stops at the first that fails.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from .records import Component
from .spec import PROJECT

CORE = "bspump-core"
_UNNAMED = "?"


@dataclasses.dataclass(frozen=True, slots=True)
class Switches:
    """Which plugins are used, and whether is told what happens to them.

    Attributes:
        allow: the names of the distributions to use; None for all. The core is always used.
        block: the names of the distributions not to use.
        trace: tell on the standard error what is found, called and imported.
    """

    allow: frozenset[str] | None = None
    block: frozenset[str] = frozenset()
    trace: bool = False

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Switches:
        """Read ``BSPUMP_PLUGINS_ALLOW`` and ``_BLOCK`` (names, separated by commas) and ``_TRACE`` (1)."""
        allow = environment.get("BSPUMP_PLUGINS_ALLOW")
        return cls(
            allow=None if allow is None else _names(allow),
            block=_names(environment.get("BSPUMP_PLUGINS_BLOCK", "")),
            trace=environment.get("BSPUMP_PLUGINS_TRACE", "") not in ("", "0"),
        )

    def reason_against(self, distribution: str) -> str | None:
        """Return why a distribution is not used; None if it is."""
        name = normalised(distribution)
        if name == CORE:
            return None
        if name in self.block:
            return "blocked by BSPUMP_PLUGINS_BLOCK"
        if self.allow is not None and name not in self.allow:
            return "not among BSPUMP_PLUGINS_ALLOW"
        return None


def _names(text: str) -> frozenset[str]:
    return frozenset(normalised(name) for name in text.split(",") if name.strip())


def normalised(distribution: str) -> str:
    """Return the name of a distribution as package indices compare it."""
    return distribution.strip().lower().replace("_", "-").replace(".", "-")


@dataclasses.dataclass(slots=True)
class Plugin:
    """One entry point of an installed distribution.

    Attributes:
        name: the name of the entry point.
        distribution: the name of the distribution.
        version: its version.
        module_name: the module that implements the hooks.
        module: that module, or None if it is not used.
        components: what it offers.
        hooks: the names of the hooks that it implements.
        problem: why it is not used, in one sentence; None if it is.
        details: the traceback that belongs to the problem, if there is one.
    """

    name: str
    distribution: str
    version: str
    module_name: str
    module: ModuleType | None = None
    components: tuple[Component, ...] = ()
    hooks: tuple[str, ...] = ()
    problem: str | None = None
    details: str = ""

    def fail(self, problem: str, error: BaseException | None = None) -> None:
        """Take note that the plugin cannot be used."""
        self.module = None
        self.problem = problem
        if error is not None:
            self.details = "".join(traceback.format_exception(error))

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def find_plugins(
    switches: Switches, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
) -> Iterator[Plugin]:
    """Yield the plugins that are installed, imported as far as they can be used, in the order of their distributions.

    Args:
        switches: which of them to use.
        entry_points: what to look through instead of what is installed.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=PROJECT)
    for entry_point in sorted(entry_points, key=_order):
        distribution = entry_point.dist
        plugin = Plugin(
            entry_point.name,
            _name_of(distribution),
            _version_of(distribution),
            entry_point.module,
        )
        reason = switches.reason_against(plugin.distribution)
        problem = reason or (_unmet_requirement(distribution) if distribution is not None else None)
        if distribution is not None and plugin.distribution == _UNNAMED:
            problem = (
                f"the metadata of what '{plugin.module_name}' came with is missing; install it again, or remove it"
            )
        if problem is not None:
            plugin.fail(problem)
        else:
            _import(plugin, entry_point)
        yield plugin


def _order(entry_point: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
    name = normalised(_name_of(entry_point.dist))
    return name != CORE, name, entry_point.name


def _name_of(distribution: importlib.metadata.Distribution | None) -> str:
    return _of_metadata(distribution, "Name")


def _version_of(distribution: importlib.metadata.Distribution | None) -> str:
    return _of_metadata(distribution, "Version")


def _of_metadata(distribution: importlib.metadata.Distribution | None, key: str) -> str:
    # What an interrupted (un)installation leaves behind may have entry points, but no metadata.
    if distribution is None or key not in distribution.metadata:
        return _UNNAMED
    return distribution.metadata[key] or _UNNAMED


def _import(plugin: Plugin, entry_point: importlib.metadata.EntryPoint) -> None:
    try:
        module = entry_point.load()
    except (Exception, SystemExit) as error:
        # A plugin may raise anything, and even ask for the end of the process where it misses something; the
        # application is told by `bspump plugins`, and goes on without it.
        plugin.fail(f"cannot be imported: {type(error).__name__}: {error}", error)
        return
    if isinstance(module, ModuleType):
        plugin.module = module
    else:
        plugin.fail(f"its entry point '{entry_point.value}' is no module, but a {type(module).__name__}")


def _unmet_requirement(distribution: importlib.metadata.Distribution) -> str | None:
    """Return in what the distribution does not fit the installed core, before anything of it is imported."""
    if normalised(_name_of(distribution)) == CORE:
        return None
    from packaging.requirements import InvalidRequirement, Requirement

    for text in distribution.requires or ():
        if not normalised(text).startswith(CORE):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return f"its requirement {text!r} cannot be read"
        if normalised(requirement.name) != CORE or (
            requirement.marker is not None and not requirement.marker.evaluate()
        ):
            continue
        installed = importlib.metadata.version(CORE)
        if not requirement.specifier.contains(installed, prereleases=True):
            return f"needs {CORE}{requirement.specifier}, and {installed} is installed"
    return None
