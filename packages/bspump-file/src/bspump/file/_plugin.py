"""What bspump-file adds to BSPump."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SOURCE,
        "FileBlockSource",
        "bspump.file.fileblocksource:FileBlockSource",
        "Makes an event of the whole content of each file: ``bytes`` with ``mode = rb``, ``str`` with ``mode = r``.",
    ),
    Component(
        Kind.SOURCE,
        "FileCSVSource",
        "bspump.file.filecsvsource:FileCSVSource",
        "Makes a dictionary of each row. Blank rows are left out; a quoted field may have newlines in it.",
    ),
    Component(
        Kind.SOURCE,
        "FileJSONLinesSource",
        "bspump.file.filejsonlinessource:FileJSONLinesSource",
        "Makes an event of the JSON value in each line; blank lines are left out.",
    ),
    Component(
        Kind.SOURCE,
        "FileJSONSource",
        "bspump.file.filejsonsource:FileJSONSource",
        "Makes an event of the JSON value that each file holds. Reading and parsing happen in a thread.",
    ),
    Component(
        Kind.SOURCE,
        "FileLineSource",
        "bspump.file.filelinesource:FileLineSource",
        "Makes an event of each line, with its newline: ``bytes`` with ``mode = rb``, ``str`` with ``mode = r``.",
    ),
    Component(
        Kind.SOURCE,
        "FileMultiLineSource",
        "bspump.file.filelinesource:FileMultiLineSource",
        "Joins lines into events: each line that begins with the separator begins a new event.",
    ),
    Component(
        Kind.SINK,
        "FileBlockSink",
        "bspump.file.fileblocksink:FileBlockSink",
        "Writes each event as the whole content of a file: override `get_file_name` to give each one its own.",
    ),
    Component(
        Kind.SINK,
        "FileCSVSink",
        "bspump.file.filecsvsink:FileCSVSink",
        "Writes each event, a dictionary, as a row. The header is written once per file: the keys of its first event.",
    ),
    Component(
        Kind.SINK,
        "FileJSONLinesSink",
        "bspump.file.filejsonlinessink:FileJSONLinesSink",
        "Writes each event as a line of JSON, in UTF-8.",
    ),
    Component(
        Kind.SINK,
        "FileLineSink",
        "bspump.file.filelinesink:FileLineSink",
        "Writes each event, ``bytes`` or ``str``, as a line; a newline is added where it is missing.",
    ),
    Component(
        Kind.LOOKUP_PROVIDER,
        "",
        "bspump.file.lookupprovider:FileBatchLookupProvider",
        "Loads the content of a lookup from a file, given as a path or as ``file://`` URL, decompressed by its suffix.",
    ),
    Component(
        Kind.LOOKUP_PROVIDER,
        "file",
        "bspump.file.lookupprovider:FileBatchLookupProvider",
        "Loads the content of a lookup from a file, given as a path or as ``file://`` URL, decompressed by its suffix.",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of this distribution."""
    return COMPONENTS
