"""Lookups from files."""

from __future__ import annotations

import asyncio
import os
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bspump.abc.lookupprovider import LookupBatchProviderABC

from ._compression import codec_of, compress, open_decompressed
from ._positions import write_atomically

if TYPE_CHECKING:
    from bspump import Lookup


class FileBatchLookupProvider(LookupBatchProviderABC):
    """Loads the content of a lookup from a file, given as a path or as ``file://`` URL, decompressed by its suffix."""

    def __init__(
        self, lookup: Lookup, url: str, id: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(lookup, url, id=id, config=config)
        parts = urllib.parse.urlsplit(url)
        self._path = Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else url)

    async def load(self) -> bytes | bool | None:
        """Return the content, or False if the file has not changed since it was loaded last.

        Raises:
            OSError: the file cannot be read.
        """
        return self._taken(await asyncio.to_thread(self._read))

    def load_on_thread(self) -> bytes | bool:
        """Do the work of `load`. Blocks."""
        return self._taken(self._read())

    def _read(self) -> tuple[bytes, str] | None:
        """Return the content and its version; None if it is the version that was loaded last."""
        with self._path.open("rb") as raw:
            version = _version(os.fstat(raw.fileno()))
            if version == self.ETag:
                return None
            with open_decompressed(raw, codec_of(str(self._path))) as file:
                return file.read(), version

    def _taken(self, read: tuple[bytes, str] | None) -> bytes | bool:
        # Only here, where the content is handed over: whoever asks for it may have been cancelled.
        if read is None:
            return False
        content, self.ETag = read
        return content

    async def save(self, data: bytes) -> None:
        """Replace the content of the file; at any time either the old or the new content is there.

        Raises:
            OSError: the file cannot be written.
        """
        await asyncio.to_thread(self._save_on_thread, data)

    def _save_on_thread(self, data: bytes) -> None:
        write_atomically(self._path, compress(data, codec_of(str(self._path))))
        self.ETag = _version(self._path.stat())


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
