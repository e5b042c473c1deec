"""Transforming a mapping item by item."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import asab

from .._types import Context, Event
from ..abc.processor import Processor
from ._expect import wrong_type

if TYPE_CHECKING:
    from ..pipeline import Pipeline

Transformation = Callable[[Any, Any], tuple[Any, Any]]
"""Takes a key and its value, returns the new key and the new value."""


class MappingTransformator(Processor):
    """Puts every item of a mapping through the function for its key. Derive from it and override `build`.

    Attributes:
        Mapping: the functions by key.
        Default: the function for keys that are not in `Mapping`; leaves them as they are unless it is replaced.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Default: Transformation = _unchanged
        self.Mapping: dict[Any, Transformation] = self.build(app)

    @abc.abstractmethod
    def build(self, app: asab.Application) -> dict[Any, Transformation]:
        """Return the functions by key."""

    def process(self, context: Context, event: Event) -> dict[Any, Any]:
        """Transform one event."""
        if not isinstance(event, Mapping):
            raise wrong_type(self, event, "a mapping")
        find, default = self.Mapping.get, self.Default
        return dict(find(key, default)(key, value) for key, value in event.items())


def _unchanged(key: Any, value: Any) -> tuple[Any, Any]:
    return key, value
