"""Events from the output of other programs."""

from __future__ import annotations

from .source import SubProcessPosition, SubProcessSource

__all__ = ["SubProcessPosition", "SubProcessSource"]
