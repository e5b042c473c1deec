"""The sources of `bspump.ipc` with a host and a port as options. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .source import TCPSource as TCPSource
    from .source import TCPStreamSource as TCPStreamSource
    from .source import UDPSource as UDPSource

__all__ = ["TCPSource", "TCPStreamSource", "UDPSource"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(".source", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
