"""Rows in files that are mapped into memory.

A change of a cell is in the page cache of the system as soon as it is made, so a killed process loses nothing. What
takes several steps is arranged so that it either has happened or has not, whenever the process ends:

* A row gets its name by one line that is appended to ``map.dat``; of a named row, that line decides.
* Files grow by zeros, and a row of zeros is an unused one.
* Where files are written anew, they are written beside the old ones; then one rename (``replace.json``) decides that
  they take the place of the old ones, and what is left to do is done when the files are opened next.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bspump import ConfigurationError, ProcessingError

from ._rows import SMALLEST_CAPACITY, Field, Rows, padded
from ._types import Cells, Name

_HEADER = "time_config"
_NAMES = "map.dat"
_LAYOUT = "layout.json"
_REPLACEMENT = "replace.json"
# The list of names is written anew when it has so many times the lines that it needs; a short one stays as it is, since
# the disk has to be waited for.
_SLACK = 4
_SHORT_LIST = 4000


class FileRows(Rows):
    """Rows in the files of one folder, which is locked meanwhile.

    Args:
        folder: the folder; made if it is not there.
        layout: what the files hold: plain values, fit for JSON. Files of another layout are refused.
        fields: the arrays; each is in the file ``<name>.dat``.
        header: the header of a new matrix, kept in ``time_config.dat`` unless it is empty.

    Raises:
        ConfigurationError: the folder is used by another matrix, or holds something else.
        OSError: the files cannot be read or written.
    """

    # To remove them, all files are written anew, and the disk is waited for.
    least_removed = 1000

    def __init__(self, folder: Path, layout: Mapping[str, Any], fields: Mapping[str, Field], header: Cells) -> None:
        self._folder = folder
        self._layout = dict(layout)
        self._files: dict[str, int] = {}
        self._log_lines = 0
        self._log_size = 0
        for field in fields.values():
            if field.dtype.hasobject:
                raise ConfigurationError(
                    "objects of Python cannot be kept in files; use numbers, or text with a length"
                )
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        try:
            _finish_replacement(folder)
            super().__init__(fields, header)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.is_new = self._check_layout()
        if self.is_new:
            self.replace(0, {})
        else:
            self._open_files()

    def _check_layout(self) -> bool:
        try:
            found = json.loads((self._folder / _LAYOUT).read_bytes())
        except FileNotFoundError:
            if any(self._folder.glob("*.dat")):
                raise ConfigurationError(f"'{self._folder}' holds files that are no matrix of this version") from None
            return True
        except ValueError:
            raise ConfigurationError(f"'{self._folder / _LAYOUT}' is damaged") from None
        expected = json.loads(json.dumps(self._layout))
        for key, value in expected.items():
            if found.get(key) != value:
                raise ConfigurationError(
                    f"'{self._folder}' holds a matrix with {key} = {found.get(key)!r}, not {value!r}; "
                    f"give this one another path, or remove that one"
                )
        return False

    # Opening

    def _open_files(self) -> None:
        self._close_files()
        for name in [*self.fields, *([_HEADER] if self.header.size else [])]:
            self._files[name] = os.open(self._folder / f"{name}.dat", os.O_RDWR | os.O_CLOEXEC)
        self._files[_NAMES] = os.open(self._folder / _NAMES, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._map_rows()
        if self.header.size:
            self.header = self._map(_HEADER, Field(self.header.dtype), len(self.header))
        self._read_names()

    def _map_rows(self) -> None:
        sizes = [os.fstat(self._files[name]).st_size // _row_size(field) for name, field in self.fields.items()]
        capacity = min(sizes)
        if capacity < SMALLEST_CAPACITY:
            raise ConfigurationError(f"'{self._folder}' holds a damaged matrix: one of its files is cut off")
        self.arrays = {name: self._map(name, field, capacity) for name, field in self.fields.items()}

    def _map(self, name: str, field: Field, rows: int) -> Cells:
        size = rows * _row_size(field)
        if os.fstat(self._files[name]).st_size < size:
            raise ConfigurationError(f"'{self._folder / name}.dat' is damaged: it is cut off")
        # Not numpy.memmap, which is slower to index. The array keeps the mapping for as long as it is used.
        memory = mmap.mmap(self._files[name], size)
        return np.ndarray((rows, *field.shape), dtype=field.dtype, buffer=memory)

    def _read_names(self) -> None:
        path = self._folder / _NAMES
        content = path.read_bytes()
        self._log_size = content.rfind(b"\n") + 1
        if self._log_size < len(content):
            os.ftruncate(self._files[_NAMES], self._log_size)
        self.names = {}
        lines = content[: self._log_size].splitlines()
        self._log_lines = len(lines)
        for line in lines:
            try:
                row, *name = json.loads(line)
            except (ValueError, TypeError):
                raise ConfigurationError(f"'{path}' is damaged: {line!r} names no row") from None
            if name:
                self.names[row] = name[0]
            else:
                self.names.pop(row, None)

    # Changing

    def grow(self, rows: int) -> None:
        """Make room for so many rows, or more; the new ones are zero."""
        for name, field in self.fields.items():
            _allocate(self._files[name], rows * _row_size(field))
        self._map_rows()

    def replace(
        self,
        rows: int,
        arrays: Mapping[str, Cells],
        header: Cells | None = None,
        names: Mapping[int, Name] | None = None,
    ) -> None:
        """Put other content in the place of all that is there, at once."""
        new_header = self.header if header is None else header
        new_names = self.names if names is None else names
        capacity = max(rows, SMALLEST_CAPACITY)
        content: dict[str, bytes | Cells] = {
            f"{name}.dat": padded(field, arrays.get(name), capacity) for name, field in self.fields.items()
        }
        if new_header.size:
            content[f"{_HEADER}.dat"] = new_header
        content[_NAMES] = b"".join(_log_line(row, name) for row, name in new_names.items())
        content[_LAYOUT] = json.dumps(self._layout, indent=1).encode()
        self._replace_files(content)
        self._open_files()

    def _replace_files(self, content: Mapping[str, bytes | Cells]) -> None:
        for name, data in content.items():
            _write(self._folder / f"{name}.new", data)
        # From this rename on, the new files are the matrix.
        _write(self._folder / f"{_REPLACEMENT}.new", json.dumps(list(content)).encode())
        (self._folder / f"{_REPLACEMENT}.new").rename(self._folder / _REPLACEMENT)
        _finish_replacement(self._folder)

    def add_name(self, row: int, name: Name) -> None:
        """Take note of the name of a row."""
        if isinstance(name, np.generic):
            name = name.item()
        if not isinstance(name, str | int | float) or name != name:
            raise ProcessingError(
                f"A row of the matrix in '{self._folder}' was named {name!r}, but names that are kept in a file "
                f"are text or numbers"
            )
        self._append(_log_line(row, name))
        self.names[row] = name

    def drop_name(self, row: int) -> None:
        """Take note that a row has no name any more."""
        if row in self.names:
            self._append(_log_line(row))
            del self.names[row]

    def _append(self, line: bytes) -> None:
        if self._log_lines > max(_SHORT_LIST, _SLACK * len(self.names)):
            self._shorten_log()
        try:
            written = os.write(self._files[_NAMES], line)
        except OSError:
            os.ftruncate(self._files[_NAMES], self._log_size)
            raise
        if written < len(line):
            os.ftruncate(self._files[_NAMES], self._log_size)
            raise OSError(f"'{self._folder / _NAMES}' cannot be written: no space is left")
        self._log_size += written
        self._log_lines += 1

    def _shorten_log(self) -> None:
        self._replace_files({_NAMES: b"".join(_log_line(row, name) for row, name in self.names.items())})
        os.close(self._files.pop(_NAMES))
        self._files[_NAMES] = os.open(self._folder / _NAMES, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._log_lines = len(self.names)
        self._log_size = os.fstat(self._files[_NAMES]).st_size

    # Making durable, closing

    async def sync(self) -> None:
        """Return when everything that was changed before is on the disk."""
        # The files may be replaced meanwhile; their numbers may not be used for others then.
        files = [os.dup(file) for file in self._files.values()]
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, _fsync_and_close, files))

    def close(self) -> None:
        """Let go of the folder. The arrays become copies in memory."""
        self.arrays = {name: array.copy() for name, array in getattr(self, "arrays", {}).items()}
        _fsync_all(list(self._files.values()))
        self._close_files()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _close_files(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()


def _row_size(field: Field) -> int:
    return field.dtype.itemsize * int(np.prod(field.shape, dtype=np.int64))


def _log_line(row: int, *name: Name) -> bytes:
    return json.dumps([row, *name]).encode() + b"\n"


def _lock(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigurationError(f"'{folder}' is used by another matrix; give each a path of its own") from None
    return lock


def _allocate(file: int, size: int) -> None:
    """Make a file longer. The space is reserved, since a full disk could not be told from within a mapping."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


def _write(path: Path, data: bytes | Cells) -> None:
    with path.open("wb") as file:
        file.write(data if isinstance(data, bytes) else np.ascontiguousarray(data).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def _finish_replacement(folder: Path) -> None:
    """Do what is left of a replacement that was decided, or remove what is left of one that was not."""
    decision = folder / _REPLACEMENT
    try:
        names = json.loads(decision.read_bytes())
    except FileNotFoundError:
        for path in folder.glob("*.new"):
            path.unlink()
        return
    _fsync_folder(folder)
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # it was renamed before
            (folder / f"{name}.new").rename(folder / name)
    _fsync_folder(folder)
    decision.unlink()


def _fsync_all(files: list[int]) -> None:
    for file in files:
        os.fsync(file)


def _fsync_and_close(files: list[int]) -> None:
    try:
        _fsync_all(files)
    finally:
        for file in files:
            os.close(file)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
