"""Whole files as events."""

from __future__ import annotations

from typing import Any

from bspump import Event

from ._input_file import file_errors
from .fileabcsource import FileABCSource


class WholeFileSource(FileABCSource):
    """Makes one event of each file. Derive from it and override `load`.

    A file that somebody may still be writing is left for the next cycle.
    """

    def load(self, data: bytes) -> Event:
        """Make the event of the content of a file. Called in a thread.

        Raises:
            FileError: it cannot be made.
        """
        raise NotImplementedError(f"{self.__class__.__name__} does not override load()")

    async def read(self, filename: str, f: Any) -> None:
        """Read a file and pass on its event."""
        file = self._visit.file if self._visit is not None else None
        if file is not None and not await self._in_thread(file.is_complete, self.settle):
            file.is_waiting = True
            return
        with file_errors():
            event = await self._in_thread(lambda: self.load(getattr(f, "buffer", f).read()))
        await self.process(event, {"filename": filename})


class FileBlockSource(WholeFileSource):
    """Makes an event of the whole content of each file: ``bytes`` with ``mode = rb``, ``str`` with ``mode = r``.

    Options: those of `FileABCSource` (path, include, exclude, mode, encoding, compression, post, move_destination,
    reread, order, settle, position_dir …).
    """

    def load(self, data: bytes) -> Event:
        """Return the content."""
        return data if "b" in self.mode else data.decode(self.encoding or "utf-8-sig", self.encoding_errors)
