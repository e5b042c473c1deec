"""Files: sources that read them and sinks that write them, plain or compressed. A class is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._batch_source import LineBasedSource as LineBasedSource
    from ._file_sink import AppendingSink as AppendingSink
    from .fileabcsource import FileABCSource as FileABCSource
    from .fileblocksink import FileBlockSink as FileBlockSink
    from .fileblocksource import FileBlockSource as FileBlockSource
    from .filecsvsink import FileCSVSink as FileCSVSink
    from .filecsvsource import FileCSVSource as FileCSVSource
    from .filejsonlinessink import FileJSONLinesSink as FileJSONLinesSink
    from .filejsonlinessource import FileJSONLinesSource as FileJSONLinesSource
    from .filejsonsource import FileJSONSource as FileJSONSource
    from .filelinesink import FileLineSink as FileLineSink
    from .filelinesource import FileLineSource as FileLineSource
    from .filelinesource import FileMultiLineSource as FileMultiLineSource
    from .lookupprovider import FileBatchLookupProvider as FileBatchLookupProvider

_MODULES = {
    "AppendingSink": "_file_sink",
    "FileABCSource": "fileabcsource",
    "FileBatchLookupProvider": "lookupprovider",
    "FileBlockSink": "fileblocksink",
    "FileBlockSource": "fileblocksource",
    "FileCSVSink": "filecsvsink",
    "FileCSVSource": "filecsvsource",
    "FileJSONLinesSink": "filejsonlinessink",
    "FileJSONLinesSource": "filejsonlinessource",
    "FileJSONSource": "filejsonsource",
    "FileLineSink": "filelinesink",
    "FileLineSource": "filelinesource",
    "FileMultiLineSource": "filelinesource",
    "LineBasedSource": "_batch_source",
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
