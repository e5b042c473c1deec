"""JSON files as events."""

from __future__ import annotations

from bspump import Event
from bspump.common.json import parse_json

from ._input_file import FileError
from .fileblocksource import WholeFileSource


class FileJSONSource(WholeFileSource):
    """Makes an event of the JSON value that each file holds. Reading and parsing happen in a thread.

    Options: those of `FileABCSource` (path, include, exclude, encoding, compression, post, move_destination, reread,
    order, settle, position_dir …).
    """

    def load(self, data: bytes) -> Event:
        """Parse the content of a file."""
        text = data.decode(self.encoding or "utf-8-sig", self.encoding_errors)
        try:
            value: Event = parse_json(text)
        except ValueError as error:
            raise FileError(f"is no JSON: {error}") from error
        if value is None:
            raise FileError("holds the JSON value null, which cannot be an event")
        return value
