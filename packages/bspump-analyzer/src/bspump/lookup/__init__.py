"""Lookups of matrices. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .index import BitMapIndex as BitMapIndex
    from .index import Index as Index
    from .index import SliceIndex as SliceIndex
    from .index import TreeRangeIndex as TreeRangeIndex
    from .matrixlookup import MatrixLookup as MatrixLookup

_MODULES = {
    "BitMapIndex": ".index",
    "Index": ".index",
    "MatrixLookup": ".matrixlookup",
    "SliceIndex": ".index",
    "TreeRangeIndex": ".index",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_MODULES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
