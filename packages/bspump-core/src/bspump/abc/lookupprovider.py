"""Lookup providers: where the content of a lookup comes from."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._component import Component

if TYPE_CHECKING:
    from .lookup import Lookup


class LookupProviderABC(abc.ABC, Component):
    """Provides the content of one lookup from a URL.

    Attributes:
        Lookup: the lookup.
        URL: where from.
        ETag: the version of what was loaded last, if the provider knows versions. The lookup sets it back to that of
            the time before if it cannot understand what was loaded.
    """

    def __init__(
        self, lookup: Lookup, url: str, id: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(lookup.App, f"lookupprovider:{identifier}", identifier, config)
        self.Lookup = lookup
        self.URL = url
        self.ETag: str | None = None

    @abc.abstractmethod
    async def load(self) -> Any:
        """Return the content; False or None if there is nothing new."""


class LookupBatchProviderABC(LookupProviderABC):
    """A provider that loads the whole content at once, as bytes."""

    @abc.abstractmethod
    async def load(self) -> bytes | bool | None:
        """Return the content as bytes; False or None if there is nothing new.

        Raises:
            OSError: the content cannot be had. The lookup keeps what it has, and says so once as long as this lasts.
        """
