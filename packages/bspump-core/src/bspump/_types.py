"""The two words of the data path."""

from __future__ import annotations

from typing import Any

Event = Any
"""One item of data. Any object but ``None``, which means "dropped"."""

Context = dict[str, Any]
"""What travels beside an event. Every event has a context of its own."""
