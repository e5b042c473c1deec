"""What tests of pipelines and components are written with."""

from __future__ import annotations

from .memory import MemorySink, MemorySource
from .runner import PumpRunner
from .waiting import until

__all__ = ["MemorySink", "MemorySource", "PumpRunner", "until"]
