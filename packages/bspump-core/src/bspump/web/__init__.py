"""The REST interface of a pump."""

from __future__ import annotations

from .rest import initialize_web

__all__ = ["initialize_web"]
