"""Writing each event into a file of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asab

from bspump import Batch, BufferedSink, Context, Event, ProcessingError

if TYPE_CHECKING:
    from bspump import Pipeline

_FLAGS = {"O_CREAT": os.O_CREAT, "O_EXCL": os.O_EXCL}


class FileBlockSink(BufferedSink):
    """Writes each event as the whole content of a file: override `get_file_name` to give each one its own.

    Options:
        path: the file.
        mode: ``wb`` to replace the content of an existing file, ``ab`` to append to it; ``w`` and ``a`` for events
            that are ``str``.
        flags: ``O_CREAT`` to create a missing file; with ``O_CREAT,O_EXCL`` an event whose file exists already is a
            failed event (see ``on_error`` of the pipeline).
        encoding: the encoding of events that are ``str``.
    """

    ConfigDefaults: dict[str, Any] = {
        "path": "",
        "mode": "wb",
        "flags": "O_CREAT",
        "encoding": "utf-8",
    }

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        with self.options() as options:
            self._path = options.text("path")
            self._mode = options.choice("mode", ("wb", "ab", "w", "a", "bw", "ba", "wt", "at"))
            self._encoding = options.text("encoding")
            self._flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if "a" in self._mode else os.O_TRUNC)
            for name in filter(None, (name.strip() for name in options.text("flags").split(","))):
                if name not in _FLAGS:
                    options.refuse("flags", f"is no list of {' and '.join(_FLAGS)}, separated by commas")
                self._flags |= _FLAGS.get(name, 0)

    def get_file_name(self, context: Context, event: Event) -> str:
        """Return the file that an event is written to: the option ``path``. Override it."""
        return self._path

    def process(self, context: Context, event: Event) -> None:
        """Take an event."""
        if not isinstance(event, bytes | bytearray | memoryview | str):
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects bytes or str")
        super().process(context, event)

    async def write(self, batch: Batch) -> None:
        """Write the files of a batch; they are on disk when this returns."""
        for index, (context, event) in enumerate(zip(batch.contexts, batch, strict=True)):
            path = self.get_file_name(context, event)
            try:
                await asyncio.to_thread(self._write_blocking, path, event)
            except (FileExistsError, FileNotFoundError, IsADirectoryError) as error:
                batch.reject(index, ProcessingError(f"{self!r} cannot write '{path}': {error.strerror}"))
            except OSError as error:
                if batch.attempt == 1:
                    self.Pipeline.L.error("%r cannot write '%s' and tries again: %s", self, path, error.strerror)
                batch.retry(index)

    def _write_blocking(self, path: str, event: Event) -> None:
        data = event.encode(self._encoding) if isinstance(event, str) else event
        fd = os.open(path, self._flags, 0o666)
        try:
            with os.fdopen(fd, "ab" if "a" in self._mode else "wb") as file:
                file.write(data)
            with contextlib.suppress(FileNotFoundError), io.FileIO(path) as written:  # unless it was taken away already
                os.fsync(written.fileno())
        except OSError:
            if self._flags & os.O_EXCL:
                Path(path).unlink()  # the next try has to create it again
            raise
