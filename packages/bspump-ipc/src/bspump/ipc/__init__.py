"""Sockets: sources and sinks for TCP, UDP and UNIX sockets, TLS, syslog. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .datagram import DatagramSink as DatagramSink
    from .datagram import DatagramSource as DatagramSource
    from .protocol import LineSourceProtocol as LineSourceProtocol
    from .protocol import SourceProtocolABC as SourceProtocolABC
    from .stream import Stream as Stream
    from .stream_client_sink import StreamClientSink as StreamClientSink
    from .stream_server_source import StreamServerSource as StreamServerSource
    from .syslog import SyslogParser as SyslogParser
    from .tlsstream import TLSStream as TLSStream

    # Earlier names
    StreamSource = StreamServerSource
    StreamSink = StreamClientSink

# Each name: the module, and the name there if it is another.
_MODULES = {
    "DatagramSink": ("datagram", ""),
    "DatagramSource": ("datagram", ""),
    "LineSourceProtocol": ("protocol", ""),
    "SourceProtocolABC": ("protocol", ""),
    "Stream": ("stream", ""),
    "StreamClientSink": ("stream_client_sink", ""),
    "StreamServerSource": ("stream_server_source", ""),
    "StreamSink": ("stream_client_sink", "StreamClientSink"),
    "StreamSource": ("stream_server_source", "StreamServerSource"),
    "SyslogParser": ("syslog", ""),
    "TLSStream": ("tlsstream", ""),
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, other_name = _MODULES[name]
    value: object = getattr(importlib.import_module(f".{module}", __name__), other_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
