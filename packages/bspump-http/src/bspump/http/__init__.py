"""HTTP: client sources and sinks, WebSockets, webhooks, lookups over HTTP. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._answering import AnsweringSource as AnsweringSource
    from ._client import HTTPClient as HTTPClient
    from .csvsource import HTTPClientCSVSource as HTTPClientCSVSource
    from .linesource import HTTPClientLineSource as HTTPClientLineSource
    from .lookupprovider import HTTPBatchLookupProvider as HTTPBatchLookupProvider
    from .sink import HTTPClientSink as HTTPClientSink
    from .source import HTTPClientSource as HTTPClientSource
    from .source import HTTPClientTextSource as HTTPClientTextSource
    from .webservicesink import WebServiceSink as WebServiceSink
    from .webservicesource import WebServiceSource as WebServiceSource
    from .websocketsink import HTTPClientSocketSink as HTTPClientSocketSink
    from .websocketsink import HTTPClientWebSocketSink as HTTPClientWebSocketSink
    from .websocketsource import WebSocketSource as WebSocketSource

_MODULES = {
    "AnsweringSource": "_answering",
    "HTTPClient": "_client",
    "HTTPBatchLookupProvider": "lookupprovider",
    "HTTPClientCSVSource": "csvsource",
    "HTTPClientLineSource": "linesource",
    "HTTPClientSink": "sink",
    "HTTPClientSocketSink": "websocketsink",
    "HTTPClientSource": "source",
    "HTTPClientTextSource": "source",
    "HTTPClientWebSocketSink": "websocketsink",
    "WebServiceSink": "webservicesink",
    "WebServiceSource": "webservicesource",
    "WebSocketSource": "websocketsource",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
