"""What bspump-file adds to BSPump."""

from __future__ import annotations

COMPONENTS = (
    "FileABCSource",
    "FileBatchLookupProvider",
    "FileBlockSink",
    "FileBlockSource",
    "FileCSVSink",
    "FileCSVSource",
    "FileJSONLinesSink",
    "FileJSONLinesSource",
    "FileJSONSource",
    "FileLineSink",
    "FileLineSource",
    "FileMultiLineSource",
)
