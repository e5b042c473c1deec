"""What every configurable part of the pump has in common: an application, an id, a section of the configuration."""

from __future__ import annotations

import configparser
import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import asab
from asab.config import ConfigurableDict

from . import option
from ._asab import find_pump_service
from ._options import Options
from .errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio


L = logging.getLogger(__name__)


class ComponentConfig(ConfigurableDict):
    """The merged configuration of a component; a key that is missing is told together with the section."""

    def __init__(self, section: str, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._section = section
        self.update(values)

    def __getitem__(self, key: str) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            raise KeyError(f"[{self._section}] {key} is not set") from None


class Component(asab.Configurable):
    """The base of pipelines, sources, processors, sinks, connections and lookups.

    The configuration is merged from the ``ConfigDefaults`` of the class and its bases, the component's section of
    the configuration file, and the `config` argument, each overriding the one before.
    """

    ConfigDefaults: dict[str, Any] = {}

    _own_options: dict[str, option.Option[Any]] = {}

    takes_further_options: bool = False
    """Whether there may be options that are not declared, such as those that are handed on to a client library."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = option.take_declarations(cls)
        if own:
            cls._own_options = own
            defaults = {key: declared.default for key, declared in own.items()}
            cls.ConfigDefaults = {**defaults, **cls.__dict__.get("ConfigDefaults", {})}
            cls.__doc__ = option.with_options(cls.__doc__, own.values())

    def __init__(
        self,
        app: asab.Application,
        section: str,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        wider_section: str | None = None,
    ) -> None:
        self.App = app
        self.Loop: asyncio.AbstractEventLoop = app.Loop
        self.Id: str = id if id is not None else self.__class__.__name__
        self.section = section
        try:
            super().__init__(config_section_name=section, config=dict(config) if config is not None else None)
        except configparser.Error as error:
            raise ConfigurationError(f"[{section}] cannot be read: {error}") from None
        self.Config = ComponentConfig(section, self.Config)
        self._given_keys = frozenset(config or ())
        if wider_section is not None:
            self._inherit(wider_section, config or {})
        self._read_declared_options()

    def _inherit(self, wider_section: str, config: Mapping[str, Any]) -> None:
        """Take declared options that the own section does not have from a wider one."""
        if not asab.Config.has_section(wider_section):
            return
        own = set(config)
        if asab.Config.has_section(self.section):
            own.update(asab.Config[self.section])
        for key, value in asab.Config.items(wider_section):
            if key not in own and self.declares(key):
                self.Config[key] = value

    def _read_declared_options(self) -> None:
        declared = option.declared_options(type(self))
        if not declared:
            return
        with self.options() as options:
            for key, one in declared.items():
                used = [alias for alias in one.aliases if alias in self.Config]
                if used:
                    self.Config[key] = self.Config[used[0]]
                if one.deprecated is not None and self.Config[key] != merged_defaults(type(self))[key]:
                    L.warning("[%s] %s: deprecated since %s", self.section, key, one.deprecated)
                if one.required and not str(self.Config[key]).strip():
                    options.refuse(key, f"is missing; it has to be set ({one.values})")
                # Not by way of `vars(self)`: that makes every attribute of the instance slower to find.
                setattr(self, one.attribute, one.read(options, key))

    def time(self) -> float:
        """Return the wall-clock time of the application, in seconds since the epoch."""
        return float(self.App.time())

    @contextlib.contextmanager
    def options(self) -> Iterator[Options]:
        """Read options in a ``with`` block; at its end the problems go to the application, which will not start.

        Outside an application that has the pump's service, `ConfigurationError` is raised at once.
        """
        secrets = [key for key, one in option.declared_options(type(self)).items() if one.secret]
        options = Options(self.section, self.Config, merged_defaults(type(self)), secrets)
        yield options
        service = find_pump_service(self.App)
        if service is None:
            options.raise_problems()
        else:
            service.configuration_problems.extend(options.problems)

    def declares(self, key: str) -> bool:
        """Tell whether `key` is an option that the class, or one of its bases, has in its ``ConfigDefaults``."""
        return key in merged_defaults(type(self))


def merged_defaults(component: type) -> dict[str, Any]:
    """Return the defaults of a class, the most derived class winning."""
    defaults: dict[str, Any] = {}
    for base in component.__mro__:
        for key, value in base.__dict__.get("ConfigDefaults", {}).items():
            defaults.setdefault(key, value)
    for key in option.replaced_keys(component):
        del defaults[key]
    return defaults
