"""Events made up at random: for trying a pipeline out, for tests of load, and for sampling."""

from __future__ import annotations

from .drop import RandomDrop
from .enricher import RandomEnricher
from .source import RandomSource

__all__ = ["RandomDrop", "RandomEnricher", "RandomSource"]
