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

from .._component import Component
from .._providers import find_provider
from .._urls import without_credentials
from ..errors import ConfigurationError, PluginError
from .lookupprovider import LookupProviderABC

L = logging.getLogger(__name__)


class Lookup(abc.ABC, Component):
    """A table, loaded from a file or a URL.

    Publishes ``bspump.Lookup.changed!`` on its `PubSub` each time new content was loaded.

    Options:
        source_url: a path or URL. The scheme decides who loads it: ``bspump-file`` a file, ``bspump-http`` http(s).
        master_url, master_url_endpoint, master_lookup_id: the lookup of another pump to copy from, over its REST
            interface; used if `master_lookup_id` is set and `source_url` is not.
        use_cache, cache_dir: whether and where a provider keeps a copy on disk.

    Args:
        app: the application.
        id: the name of the lookup; the class's name if not given.
        config: options, overriding the section ``[lookup:<id>]`` of the configuration file.
        lazy: the service does not load the lookup; call `load` when it is needed.
    """

    ConfigDefaults: dict[str, Any] = {
        "source_url": "",
        "master_url": "http://localhost:8080",
        "master_url_endpoint": "/bspump/v1/lookup/",
        "master_lookup_id": "",
        "use_cache": "yes",
        "cache_dir": "",
    }

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
        url = str(self.Config["source_url"]).strip()
        if not url and self.Config["master_lookup_id"]:
            url = self.MasterURL = urllib.parse.urljoin(
                str(self.Config["master_url"]).rstrip("/") + "/",
                f"{str(self.Config['master_url_endpoint']).strip('/')}/{self.Config['master_lookup_id']}",
            )
        self.Provider: LookupProviderABC | None = None
        if url:
            with self.options() as options:
                try:
                    self.Provider = find_provider(url)(self, url)
                except (ConfigurationError, PluginError) as error:
                    options.problems.append(f"[{self.section}] {error}")

    @classmethod
    def construct(cls, app: asab.Application, definition: Mapping[str, Any]) -> Self:
        """Build the lookup from a definition with the optional keys ``id``, ``config`` and ``args``."""
        return cls(app, id=definition.get("id"), config=definition.get("config"), **definition.get("args", {}))

    def is_master(self) -> bool:
        """Tell whether the content is not a copy of another pump's lookup."""
        return self.MasterURL is None

    def ensure_future_update(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[bool]:
        """Load the content in a task."""
        return loop.create_task(self.load())

    async def load(self) -> bool:
        """Load the content. Returns whether there was something new.

        Raises:
            ConfigurationError: the content cannot be had, or cannot be understood.
        """
        if self.Provider is None:
            return False
        where = f"[{self.section}] source_url: {without_credentials(self.Provider.URL)!r}"
        try:
            data = await self.Provider.load()
        except OSError as error:
            raise ConfigurationError(f"{where} cannot be loaded: {error.strerror or error}") from error
        if data is None or data is False:
            return False
        try:
            self.deserialize(data)
        except ValueError as error:
            raise ConfigurationError(f"{where} does not fit a {type(self).__name__}: {error}") from error
        self.PubSub.publish("bspump.Lookup.changed!")
        return True

    def serialize(self) -> bytes:
        """Return the content as bytes, as `deserialize` takes them."""
        raise NotImplementedError(f"{self.__class__.__name__} cannot be serialised")

    def deserialize(self, data: bytes) -> None:
        """Replace the content.

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
            description["MasterURL"] = without_credentials(self.MasterURL)
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

    def set(self, dictionary: dict[Any, Any]) -> None:
        """Replace the dictionary."""
        if not self.is_master():
            L.warning("Lookup '%s' is a copy of another pump's; what is set here lasts until the next load", self.Id)
        self.Dictionary = dict(dictionary)
        self.PubSub.publish("bspump.Lookup.changed!")

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the lookup for the REST interface, with its content."""
        return {**super().rest_get(), "Dictionary": self.Dictionary}
