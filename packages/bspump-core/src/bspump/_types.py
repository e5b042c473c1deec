"""The two words of the data path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Event = Any
"""One item of data. Any object but ``None``, which means "dropped"."""

Context = dict[str, Any]
"""What travels beside an event. Every event has a context of its own."""

Contexts = Sequence[Context] | Context | Callable[[int, int], list[Context]] | None
"""The contexts of a batch: one for each event; one that is copied for each; ``f(start, stop)``, which makes new ones
for the events from `start` to before `stop`; or None for empty ones."""
