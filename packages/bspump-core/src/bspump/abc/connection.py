"""Connections: what several sources and sinks share to reach one system."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Self

import asab

from .._component import Component


class Connection(abc.ABC, Component):
    """The address, the credentials and the clients of one remote system.

    Nothing is opened by the constructor. The service closes connections after the last pipeline has stopped.
    """

    def __init__(self, app: asab.Application, id: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"connection:{identifier}", identifier, config)

    @classmethod
    def construct(cls, app: asab.Application, definition: Mapping[str, Any]) -> Self:
        """Build the connection from a definition with the optional keys ``id`` and ``config``."""
        return cls(app, id=definition.get("id"), config=definition.get("config"))

    async def close(self) -> None:
        """Release what was opened. Awaited once, after every pipeline has stopped."""
