"""Writing each event into a file of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asab

from bspump import Batch, BufferedSink, Context, Event, ProcessingError, option

from ._output import is_name_error
from ._positions import sync_directory

if TYPE_CHECKING:
    from bspump import Pipeline

_FLAGS = {"O_CREAT": os.O_CREAT, "O_EXCL": os.O_EXCL}


class FileBlockSink(BufferedSink):
    """Writes each event as the whole content of a file: override `get_file_name` to give each one its own.

    A file is there as a whole or not at all, whatever happens, unless it is appended to. A run that is killed may leave
    a file behind whose name begins with a dot and ends in ``.tmp``.

    Further options: those of `bspump.BufferedSink` (buffer_size, linger, retry_backoff …).
    """

    path = option.text(help="The file.")
    mode = option.choice(
        "wb",
        ("wb", "ab", "w", "a", "bw", "ba", "wt", "at"),
        help="``wb`` to replace the content of an existing file, ``ab`` to append to it; ``w`` and ``a`` for events "
        "that are ``str``.",
    )
    flags = option.text(
        "O_CREAT",
        help="``O_CREAT`` to create a missing file; with ``O_CREAT,O_EXCL`` an event whose file exists already is a "
        "failed event (see ``on_error`` of the pipeline), unless it has that very content, so that the event has come "
        "again.",
    )
    encoding = option.encoding("utf-8", empty="utf-8", help="The encoding of events that are ``str``.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._flags = 0
        with self.options() as options:
            for name in filter(None, (name.strip() for name in self.flags.split(","))):
                if name not in _FLAGS:
                    options.refuse("flags", f"is no list of {' and '.join(_FLAGS)}, separated by commas")
                self._flags |= _FLAGS.get(name, 0)
        self._only_new = self._flags == os.O_CREAT | os.O_EXCL
        self._cannot_write: tuple[float, str] | None = None

    def get_file_name(self, context: Context, event: Event) -> str:
        """Return the file that an event is written to: the option ``path``. Override it."""
        return self.path

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
            except OSError as error:
                if isinstance(error, FileExistsError | FileNotFoundError) or is_name_error(error):
                    batch.reject(index, ProcessingError(f"{self!r} cannot write '{path}': {error.strerror}"))
                    continue
                if batch.attempt == 1:
                    self.Pipeline.L.error("%r cannot write '%s' and tries again: %s", self, path, error.strerror)
                since = self._cannot_write[0] if self._cannot_write is not None else self.time()
                self._cannot_write = (since, f"{error.strerror} ('{path}')")
                batch.retry(index)
            else:
                self._cannot_write = None

    def _write_blocking(self, path: str, event: Event) -> None:
        data = event.encode(self.encoding) if isinstance(event, str) else event
        target = Path(os.path.realpath(path))
        is_there = target.exists()
        if not is_there and not self._flags & os.O_CREAT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if is_there and self._only_new:
            self._expect_content(target, data)
        elif "a" in self.mode or (is_there and not target.is_file()):
            self._write_in_place(target, data)
        else:
            self._put_in_place(target, data)
        sync_directory(target.parent)

    def _expect_content(self, target: Path, data: bytes) -> None:
        """Accept a file that is there already if it is what an earlier run has made of the same event."""
        if not target.is_file() or target.stat().st_size != len(data) or target.read_bytes() != data:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))

    def _write_in_place(self, target: Path, data: bytes) -> None:
        with target.open("ab" if "a" in self.mode else "wb") as file:
            file.write(data)
            file.flush()
            if target.is_file():  # no pipe or device
                os.fsync(file.fileno())

    def _put_in_place(self, target: Path, data: bytes) -> None:
        temporary = target.with_name(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with temporary.open("wb") as file:
                if target.exists():
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if self._only_new:
                _rename_to_new(temporary, target)
            else:
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface; while it cannot write, with the reason."""
        description = super().rest_get()
        if self._cannot_write is not None:
            description["FailingSince"], description["LastError"] = self._cannot_write
        return description


def _rename_to_new(source: Path, target: Path) -> None:
    """Rename a file unless there is one of that name already."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        # A file system without hard links.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        source.rename(target)
