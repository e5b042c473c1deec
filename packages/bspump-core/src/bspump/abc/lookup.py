"""Lookups: tables that processors look values up in."""

from __future__ import annotations

import abc
import asyncio
import json
import logging
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Self

import asab
import asab.pubsub

from .. import option
from .._cancellation import is_being_cancelled
from .._component import Component
from .._providers import find_provider
from .._refresher import Refresher
from .._urls import hide_secrets, shown_url
from ..errors import BSPumpError, ConfigurationError, PluginError
from .lookupprovider import LookupProviderABC

L = logging.getLogger(__name__)


class Lookup(abc.ABC, Component):
    """A table, loaded from a file or a URL, or copied from another pump (its master).

    Publishes ``bspump.Lookup.changed!`` on its `PubSub` each time it has new content.

    A master is used if there is no ``source_url``, and one of ``master_url`` and ``master_lookup_id`` is set.

    Args:
        app: the application.
        id: the name of the lookup; the class's name if not given.
        config: options, overriding the section ``[lookup:<id>]`` of the configuration file.
        lazy: the service neither loads nor refreshes the lookup; call `load` when it is needed.

    Attributes:
        Provider: who loads the content; None if it comes from somewhere else.
        MasterURL: where the content is copied from; None if the lookup is no copy.
        problem: why the content could not be loaded again the last time it was tried; None if it could.
    """

    source_url = option.text(
        help="A path or URL. The scheme decides who loads it: ``bspump-file`` a file, ``bspump-http`` http(s)."
    )
    master_url = option.text(
        "http://localhost:8080",
        help="The URL of the pump whose lookup is copied, over its REST interface; empty for no master.",
    )
    master_url_endpoint = option.text("/bspump/v1/lookup/", help="The path of the lookups in the master.")
    master_lookup_id = option.text(help="The id of the lookup in the master; the same id if empty.")
    refresh_period = option.seconds(
        0.0,
        help="How often the content is loaded again, more or less (each time differs by up to a tenth); 0 for never.",
    )
    use_cache = option.boolean("yes", help="Whether a provider keeps a copy on disk.")
    cache_dir = option.text(help="The folder of that copy; that of the provider if empty.")

    def __init__(
        self,
        app: asab.Application,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        lazy: bool = False,
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"lookup:{identifier}", identifier, config)
        self.Lazy = lazy
        self.PubSub = asab.pubsub.PubSub(app)
        self.MasterURL: str | None = None
        self.Provider: LookupProviderABC | None = None
        self.problem: str | None = None
        self._has_content = False
        self._failures_total = 0
        self._changes_announced = 0
        self._loading = asyncio.Lock()
        url = self.source_url.strip()
        if not url and self._has_master(config or {}):
            url = self.MasterURL = self._compose_master_url()
        with self.options() as options:
            if self.refresh_period > 0 and lazy:
                options.refuse("refresh_period", "cannot be used by a lazy lookup, which nobody loads but its user")
            if url:
                try:
                    self.Provider = self.create_provider(url)
                except (ConfigurationError, PluginError) as error:
                    options.problems.append(f"[{self.section}] {self._option_of_url()}: {error}")
        self._refresher = Refresher(self, self.refresh_period)

    def _has_master(self, config: Mapping[str, Any]) -> bool:
        url = self.master_url.strip()
        if not url:
            return False
        return (
            bool(self.master_lookup_id)
            or url != Lookup.ConfigDefaults["master_url"]
            or "master_url" in config
            or asab.Config.has_option(self.section, "master_url")
        )

    def _option_of_url(self) -> str:
        return "source_url" if self.MasterURL is None else "master_url"

    def _compose_master_url(self) -> str:
        url = self.master_url.strip().rstrip("/")
        if "://" not in url:
            url = f"http://{url}"
        endpoint = self.master_url_endpoint.strip().strip("/")
        lookup_id = self.master_lookup_id or self.Id
        return "/".join(filter(None, [url, endpoint, urllib.parse.quote(lookup_id, safe="")]))

    @classmethod
    def construct(cls, app: asab.Application, definition: Mapping[str, Any]) -> Self:
        """Build the lookup from a definition with the optional keys ``id``, ``config`` and ``args``."""
        return cls(app, id=definition.get("id"), config=definition.get("config"), **(definition.get("args") or {}))

    def create_provider(self, url: str) -> LookupProviderABC:
        """Return who is to load the content from a URL. Override it for a provider that is no plugin.

        Raises:
            ConfigurationError: nobody provides that scheme.
            PluginError: the distribution that does is not installed.
        """
        return find_provider(url)(self, url)

    def is_master(self) -> bool:
        """Tell whether the content is not a copy of another pump's lookup."""
        return self.MasterURL is None

    def ensure_future_update(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[bool]:
        """Load the content in a task, whose result is that of `load_or_warn`."""
        return loop.create_task(self.load_or_warn())

    async def load(self) -> bool:
        """Load the content. Returns whether there was something new.

        If it cannot be loaded again, the content from before stays in use and False is returned; a line is logged when
        this begins, and another when it is over.

        Raises:
            ConfigurationError: the content cannot be had, or cannot be understood, and there is none from before.
        """
        async with self._loading:
            try:
                is_new = await self._load()
            except ConfigurationError as error:
                if not self._has_content:
                    raise
                self._warn(str(error))
                return False
            self._has_content = True
            self._end_of_problem()
        if is_new:
            self._announce_change()
        return is_new

    def _announce_change(self) -> None:
        self._changes_announced += 1
        self.PubSub.publish("bspump.Lookup.changed!")

    async def _load_and_announce(self) -> bool:
        """Load the content as `load` does; one that a derived class has overridden need not announce what is new."""
        announced = self._changes_announced
        is_new = await self.load()
        if is_new and self._changes_announced == announced:
            self._announce_change()
        return is_new

    async def load_or_warn(self) -> bool:
        """Load the content as `load` does, but log what cannot be loaded the first time too, and return False.

        For a subscriber of a message, or another place where nobody handles an exception.
        """
        failures = self._failures_total
        try:
            is_new = await self._load_and_announce()
        except ConfigurationError as error:
            self._warn(str(error))
            return False
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            self._warn(f"[{self.section}] cannot be loaded: something that it awaited was cancelled")
            return False
        except Exception as error:
            self._warn(f"[{self.section}] cannot be loaded: {_reason(error)}")
            return False
        if self._failures_total == failures:
            self._end_of_problem()
        return is_new

    async def _load(self) -> bool:
        if self.Provider is None:
            return False
        url = self.Provider.URL
        where = f"[{self.section}] {self._option_of_url()}: {shown_url(url)!r}"
        version = self.Provider.ETag
        try:
            data = await self.Provider.load()
        except asyncio.CancelledError:
            # Its answer did not come here, so it is not what this lookup has.
            self.Provider.ETag = version
            if is_being_cancelled():
                raise
            raise ConfigurationError(f"{where} cannot be loaded: something that it awaited was cancelled") from None
        except Exception as error:
            raise ConfigurationError(f"{where} cannot be loaded: {hide_secrets(_reason(error), url)}") from error
        if data is None or data is False:
            return False
        try:
            self._replace_content(data)
        except Exception as error:
            # The version that could not be understood is not the one that this lookup has now.
            self.Provider.ETag = version
            raise ConfigurationError(f"{where} does not fit a {type(self).__name__}: {_reason(error)}") from error
        return True

    def _replace_content(self, data: bytes) -> None:
        self.deserialize(data)

    def _warn(self, problem: str) -> None:
        self._failures_total += 1
        if self.problem is None:
            L.warning("%s%s", problem, "; what it had before stays in use" if self._has_content else "")
        self.problem = problem

    def _end_of_problem(self) -> None:
        if self.problem is not None:
            self.problem = None
            L.log(asab.LOG_NOTICE, "[%s] can be loaded again", self.section)

    def serialize(self) -> bytes:
        """Return the content as bytes, as `deserialize` takes them."""
        raise NotImplementedError(f"{self.__class__.__name__} cannot be serialised")

    def deserialize(self, data: bytes) -> None:
        """Replace the content, or raise and leave it as it is.

        Raises:
            ValueError: the data cannot be understood.
        """
        raise NotImplementedError(f"{self.__class__.__name__} cannot be deserialised")

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the lookup for the REST interface."""
        description: dict[str, Any] = {"Id": self.Id}
        if self.Provider is not None and self.Provider.ETag is not None:
            description["ETag"] = self.Provider.ETag
        if self.MasterURL is not None:
            description["MasterURL"] = shown_url(self.MasterURL)
        if self.problem is not None:
            description["Error"] = self.problem
        return description


class MappingLookup(Lookup, Mapping[Any, Any]):
    """A lookup that is used like a dictionary: ``lookup[key]``, ``lookup.get(key)``, ``key in lookup``."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class AsyncLookupMixin(Lookup):
    """A lookup that asks a remote system for each value."""

    @abc.abstractmethod
    async def get(self, key: Any) -> Any:
        """Return the value of a key, or None."""


class DictionaryLookup(MappingLookup):
    """A lookup whose content is a dictionary; as bytes it is a JSON object in UTF-8.

    Attributes:
        Dictionary: the content.
    """

    def __init__(
        self,
        app: asab.Application,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        lazy: bool = False,
    ) -> None:
        self.Dictionary: dict[Any, Any] = {}
        super().__init__(app, id=id, config=config, lazy=lazy)

    def __getitem__(self, key: Any) -> Any:
        return self.Dictionary[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.Dictionary)

    def __len__(self) -> int:
        return len(self.Dictionary)

    def serialize(self) -> bytes:
        """Return the dictionary as JSON."""
        return json.dumps(self.Dictionary).encode("utf-8")

    def deserialize(self, data: bytes) -> None:
        """Replace the dictionary by a JSON object."""
        try:
            content = json.loads(data)
        except ValueError as error:
            raise ValueError(
                f"expected a JSON object ({error}); for another format override deserialize() in a class of your own"
            ) from error
        if not isinstance(content, dict):
            raise ValueError(f"expected a JSON object, got {type(content).__name__}")
        self.Dictionary = content

    def _replace_content(self, data: bytes) -> None:
        # A deserialize() of a derived class may have emptied the dictionary when it comes upon a mistake.
        before = dict(self.Dictionary)
        try:
            super()._replace_content(data)
        except BaseException:
            self.Dictionary = before
            raise

    def set(self, dictionary: dict[Any, Any]) -> None:
        """Replace the dictionary."""
        if not self.is_master():
            L.warning("Lookup '%s' is a copy of another pump's; what is set here lasts until the next load", self.Id)
        self.Dictionary = dict(dictionary)
        self._has_content = True
        self._announce_change()

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the lookup for the REST interface, with its content."""
        return {**super().rest_get(), "Dictionary": self.Dictionary}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    if isinstance(error, BSPumpError | ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}"
