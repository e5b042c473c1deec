"""What `CySimdJsonParser` makes: objects of cysimdjson that own the memory they look into.

An object of cysimdjson is a view of the memory of its parser, which it does not keep alive and which the next parsing
overwrites. Here each text has a parser of its own, and whatever is taken out of the text keeps that parser. The package
cysimdjson is an optional one, so this module is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import cysimdjson  # type: ignore[import-untyped]


class _Lazy:
    """What objects, arrays and single values have in common: immutable, so a copy is the same thing."""

    __slots__ = ()
    _view: Any

    def at_pointer(self, key: str) -> Any:
        """Return what a JSON pointer such as ``/a/0/b`` leads to."""
        return _value(self._view.at_pointer(key), self._view_owner())

    def export(self) -> Any:
        """Return dictionaries, lists and scalars: all of it, parsed and copied."""
        return self._view.export()

    def get_value(self) -> Any:
        """Return itself, or the value that it stands for."""
        return self

    def get_addr(self) -> int:
        """Return the address of the element, for callers in C."""
        address: int = self._view.get_addr()
        return address

    def _view_owner(self) -> Any:
        raise NotImplementedError

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be pickled; pickle what its export() returns")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.export()!r})"


class LazyObject(_Lazy, cysimdjson.JSONObject):  # type: ignore[misc]
    """A JSON object, a mapping that cannot be changed. Values are converted when they are asked for."""

    __slots__ = ("_owner", "_view")

    def __init__(self, view: Any, owner: Any) -> None:
        self._view = view
        self._owner = owner

    def _view_owner(self) -> Any:
        return self._owner

    def __getitem__(self, key: str) -> Any:
        return _value(self._view[key], self._owner)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default if the key is not there."""
        return _value(self._view.get(key, default), self._owner)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._view

    def __iter__(self) -> Iterator[str]:
        # A generator of cysimdjson would go on after the object, and the memory with it, has gone.
        return iter(list(self._view.keys()))

    def __len__(self) -> int:
        return len(self._view)

    def keys(self) -> list[str]:
        """Return the keys."""
        return list(self._view.keys())

    def values(self) -> list[Any]:
        """Return the values."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[str, Any]]:
        """Return the pairs of key and value."""
        owner = self._owner
        return [(key, _value(value, owner)) for key, value in self._view.items()]


class LazyArray(_Lazy, cysimdjson.JSONArray):  # type: ignore[misc]
    """A JSON array, a sequence that cannot be changed. Items are converted when they are asked for."""

    __slots__ = ("_owner", "_view")

    def __init__(self, view: Any, owner: Any) -> None:
        self._view = view
        self._owner = owner

    def _view_owner(self) -> Any:
        return self._owner

    def __getitem__(self, index: int) -> Any:
        return _value(self._view[index], self._owner)

    def __contains__(self, item: object) -> bool:
        return any(own == item for own in self)

    def __iter__(self) -> Iterator[Any]:
        owner = self._owner
        return iter([_value(item, owner) for item in self._view])

    def __len__(self) -> int:
        return len(self._view)


class LazyScalar(_Lazy, cysimdjson.JSONElement):  # type: ignore[misc]
    """A JSON text that is a single value."""

    __slots__ = ("_owner", "_view")

    def __init__(self, view: Any, owner: Any) -> None:
        self._view = view
        self._owner = owner

    def _view_owner(self) -> Any:
        return self._owner

    def get_value(self) -> Any:
        """Return the value."""
        return self._view.get_value()


Mapping.register(LazyObject)
Sequence.register(LazyArray)

_KINDS = {
    cysimdjson.JSONObject: LazyObject,
    cysimdjson.JSONArray: LazyArray,
    cysimdjson.JSONElement: LazyScalar,
}


def _value(value: Any, owner: Any) -> Any:
    """Let what was taken out of a text keep the parser; scalars need not."""
    kind = _KINDS.get(type(value))
    return value if kind is None else kind(value, owner)


def parse_lazily(event: bytes) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: the text is no JSON.
    """
    parser = cysimdjson.JSONParser()
    view = parser.parse(event)
    return _KINDS[type(view)](view, parser)
