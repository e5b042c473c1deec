"""Caches: where lookups that ask a database keep the answers (their argument ``cache``)."""

from __future__ import annotations

import collections
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, TypeVar

import asab

from .errors import ConfigurationError

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Any = object()


class CacheDict(dict[K, V]):
    """A cache that keeps everything, for keys of which there are not too many."""


class LRUCacheDict(CacheDict[K, V]):
    """A cache that forgets: what is used least recently if there are too many values, and each value after some time.

    It is a dictionary for the thread of the event loop. A key is used when its value is set or read; a test with
    ``in`` and an iteration are no use. A value that is too old is gone: it is neither found nor counted. Reading,
    setting and deleting take constant time. An iteration goes over what was there when it began, in the order in which
    the keys came, so the cache may be read and changed meanwhile.

    Args:
        app: the application.
        max_size: how many values are kept, 1 at least.
        max_duration: for how many seconds from its setting a value is kept; None for no limit.

    Raises:
        ConfigurationError: an argument is out of range.
    """

    def __init__(self, app: asab.Application, max_size: int = 1000, max_duration: float | None = None) -> None:
        super().__init__()
        self._max_size = int(max_size)
        self._max_duration = None if max_duration is None else float(max_duration)
        if self._max_size < 1:
            raise ConfigurationError(f"{type(self).__name__} max_size: {max_size!r} is below 1")
        if self._max_duration is not None and not self._max_duration > 0:
            raise ConfigurationError(f"{type(self).__name__} max_duration: {max_duration!r} is not above 0 seconds")
        self._clock = app.Loop.time
        # Beside the dictionary itself, so that reading a value does not change what is iterated over; and ordered
        # dictionaries, since finding the first key of a dict takes the longer the more were deleted in front of it.
        self._by_use: collections.OrderedDict[K, None] = collections.OrderedDict()
        self._kept_until: collections.OrderedDict[K, float] = collections.OrderedDict()

    def __getitem__(self, key: K) -> V:
        self._forget_old()
        value = super().__getitem__(key)
        self._by_use.move_to_end(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._forget_old()
        super().__setitem__(key, value)
        self._by_use[key] = None
        self._by_use.move_to_end(key)
        if self._max_duration is not None:
            self._kept_until[key] = self._clock() + self._max_duration
            self._kept_until.move_to_end(key)
        if len(self._by_use) > self._max_size:
            self._forget(next(iter(self._by_use)))

    def __delitem__(self, key: K) -> None:
        self._forget_old()
        self._forget(key)

    def __contains__(self, key: object) -> bool:
        self._forget_old()
        return super().__contains__(key)

    def __len__(self) -> int:
        self._forget_old()
        return super().__len__()

    def __iter__(self) -> Iterator[K]:
        self._forget_old()
        return iter(list(super().__iter__()))

    def __reversed__(self) -> Iterator[K]:
        self._forget_old()
        return iter(list(super().__reversed__()))

    def _forget_old(self) -> None:
        if not self._kept_until:
            return
        now = self._clock()
        while self._kept_until:
            key, kept_until = next(iter(self._kept_until.items()))
            if kept_until > now:
                break
            self._forget(key)

    def _forget(self, key: K) -> None:
        super().__delitem__(key)
        del self._by_use[key]
        self._kept_until.pop(key, None)

    def _snapshot(self) -> Iterator[tuple[K, V]]:
        for key in self:
            if super().__contains__(key):
                yield key, super().__getitem__(key)

    # What dict does in C, past the methods above

    def get(self, key: K, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the value of a key, which becomes the default if there is none."""
        try:
            return self[key]
        except KeyError:
            self[key] = default
            return default

    def pop(self, key: K, default: Any = _NOTHING) -> Any:
        """Remove a key and return its value, or the default if there is one.

        Raises:
            KeyError: the key is not there, and there is no default.
        """
        try:
            value = self[key]
        except KeyError:
            if default is _NOTHING:
                raise
            return default
        self._forget(key)
        return value

    def popitem(self) -> tuple[K, V]:
        """Remove the key that came last and return it with its value.

        Raises:
            KeyError: the cache is empty.
        """
        self._forget_old()
        key = next(super().__reversed__(), _NOTHING)
        if key is _NOTHING:
            raise KeyError("the cache is empty")
        return key, self.pop(key)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Set the keys of a mapping, or of pairs, and those of the keyword arguments."""
        for key, value in dict(other, **more).items():
            self[key] = value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._by_use.clear()
        self._kept_until.clear()

    def copy(self) -> dict[K, V]:
        """Return the content as a plain dictionary."""
        return dict(self._snapshot())

    def keys(self) -> KeysView[K]:  # type: ignore[override]  # dict promises views of its own kind
        """Return a view on the keys."""
        return KeysView(self)

    def values(self) -> ValuesView[V]:  # type: ignore[override]
        """Return a view on the values."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:  # type: ignore[override]
        """Return a view on the pairs of key and value."""
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        return self.copy() == (other.copy() if isinstance(other, LRUCacheDict) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __ior__(self, other: Mapping[K, V] | Iterable[tuple[K, V]]) -> Self:  # type: ignore[override, misc]
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.copy()!r})"


class _Values(ValuesView[V]):
    _mapping: LRUCacheDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._snapshot())

    def __contains__(self, value: object) -> bool:
        return any(own is value or own == value for own in self)


class _Items(ItemsView[K, V]):
    _mapping: LRUCacheDict[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._snapshot()

    def __contains__(self, item: object) -> bool:
        return any(own == item for own in self)
