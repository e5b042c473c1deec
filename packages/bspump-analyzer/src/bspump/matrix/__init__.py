"""Matrices: what analyzers record, in numpy arrays. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .geomatrix import GeoMatrix as GeoMatrix
    from .geomatrix import PersistentGeoMatrix as PersistentGeoMatrix
    from .matrix import Matrix as Matrix
    from .matrix import PersistentMatrix as PersistentMatrix
    from .matrixsource import GeoMatrixExportCSVGenerator as GeoMatrixExportCSVGenerator
    from .matrixsource import MatrixExportCSVGenerator as MatrixExportCSVGenerator
    from .matrixsource import MatrixSource as MatrixSource
    from .matrixsource import NamedMatrixExportCSVGenerator as NamedMatrixExportCSVGenerator
    from .matrixsource import SessionMatrixExportCSVGenerator as SessionMatrixExportCSVGenerator
    from .matrixsource import TimeWindowMatrixExportCSVGenerator as TimeWindowMatrixExportCSVGenerator
    from .namedmatrix import NamedMatrix as NamedMatrix
    from .namedmatrix import PersistentNamedMatrix as PersistentNamedMatrix
    from .sessionmatrix import PersistentSessionMatrix as PersistentSessionMatrix
    from .sessionmatrix import SessionMatrix as SessionMatrix
    from .timewindowmatrix import PersistentTimeWindowMatrix as PersistentTimeWindowMatrix
    from .timewindowmatrix import TimeWindowMatrix as TimeWindowMatrix

_MODULES = {
    "GeoMatrix": ".geomatrix",
    "GeoMatrixExportCSVGenerator": ".matrixsource",
    "Matrix": ".matrix",
    "MatrixExportCSVGenerator": ".matrixsource",
    "MatrixSource": ".matrixsource",
    "NamedMatrix": ".namedmatrix",
    "NamedMatrixExportCSVGenerator": ".matrixsource",
    "PersistentGeoMatrix": ".geomatrix",
    "PersistentMatrix": ".matrix",
    "PersistentNamedMatrix": ".namedmatrix",
    "PersistentSessionMatrix": ".sessionmatrix",
    "PersistentTimeWindowMatrix": ".timewindowmatrix",
    "SessionMatrix": ".sessionmatrix",
    "SessionMatrixExportCSVGenerator": ".matrixsource",
    "TimeWindowMatrix": ".timewindowmatrix",
    "TimeWindowMatrixExportCSVGenerator": ".matrixsource",
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
