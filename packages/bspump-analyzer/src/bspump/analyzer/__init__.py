"""Analyzers for time windows, sessions, latches, thresholds, time drift and maps. A class is imported when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bspump import Analyzer as Analyzer
    from bspump import AnalyzingSource as AnalyzingSource
    from bspump.matrix import GeoMatrix as GeoMatrix
    from bspump.matrix import SessionMatrix as SessionMatrix
    from bspump.matrix import TimeWindowMatrix as TimeWindowMatrix

    from .geoanalyzer import GeoAnalyzer as GeoAnalyzer
    from .latchanalyzer import InvalidQueryError as InvalidQueryError
    from .latchanalyzer import LatchAnalyzer as LatchAnalyzer
    from .sessionanalyzer import SessionAnalyzer as SessionAnalyzer
    from .thresholdanalyzer import ThresholdAnalyzer as ThresholdAnalyzer
    from .timedriftanalyzer import TimeDriftAnalyzer as TimeDriftAnalyzer
    from .timewindowanalyzer import TimeWindowAnalyzer as TimeWindowAnalyzer

_MODULES = {
    "Analyzer": "bspump",
    "AnalyzingSource": "bspump",
    "GeoAnalyzer": ".geoanalyzer",
    "GeoMatrix": "bspump.matrix",
    "InvalidQueryError": ".latchanalyzer",
    "LatchAnalyzer": ".latchanalyzer",
    "SessionAnalyzer": ".sessionanalyzer",
    "SessionMatrix": "bspump.matrix",
    "ThresholdAnalyzer": ".thresholdanalyzer",
    "TimeDriftAnalyzer": ".timedriftanalyzer",
    "TimeWindowAnalyzer": ".timewindowanalyzer",
    "TimeWindowMatrix": "bspump.matrix",
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
