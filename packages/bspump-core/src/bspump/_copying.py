"""Deep copies of events, quick for what events are mostly made of: dictionaries, lists and scalars."""

from __future__ import annotations

import copy
import datetime
from typing import Any

_IMMUTABLE = frozenset({str, bytes, int, float, bool, type(None), complex, datetime.datetime, datetime.date})


def copy_event(event: Any) -> Any:
    """Return a deep copy; scalars are returned as they are."""
    if type(event) in _IMMUTABLE:
        return event
    try:
        return _copy(event)
    except RecursionError:  # an event that contains itself
        return copy.deepcopy(event)


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        if _IMMUTABLE.issuperset(map(type, value.values())):
            return value.copy()
        return {key: _copy(item) for key, item in value.items()}
    if kind is list:
        if _IMMUTABLE.issuperset(map(type, value)):
            return value.copy()
        return [_copy(item) for item in value]
    if kind in _IMMUTABLE:
        return value
    return copy.deepcopy(value)
