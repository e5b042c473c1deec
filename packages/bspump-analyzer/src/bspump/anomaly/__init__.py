"""Anomalies: found by an analyzer, looked after until they end. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bspump import Anomaly as Anomaly

    from .anomaly import AnomalyAnalyzer as AnomalyAnalyzer
    from .anomaly import AnomalyManager as AnomalyManager
    from .anomaly import AnomalyStorage as AnomalyStorage
    from .anomaly import GeneralAnomaly as GeneralAnomaly

_MODULES = {
    "Anomaly": "bspump",
    "AnomalyAnalyzer": ".anomaly",
    "AnomalyManager": ".anomaly",
    "AnomalyStorage": ".anomaly",
    "GeneralAnomaly": ".anomaly",
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
