"""One file that is being written: appended to, made durable, rotated."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from ._compression import complete_length, compress, split_suffix
from ._positions import sync_directory

_BACKWARDS = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class Rotation:
    """When a file gets its final name and a new one is begun."""

    size: int = 0
    """With at least so many bytes; 0: never because of its size."""
    seconds: float = 0.0
    """At each multiple of so many seconds since the epoch (UTC); 0: never because of the time."""

    def period(self, when: float) -> int:
        """Return the number of the period of time."""
        return int(when // self.seconds) if self.seconds else 0

    def until_next(self, when: float) -> float:
        """Return the number of seconds to the next period."""
        return self.seconds - when % self.seconds

    def __bool__(self) -> bool:
        return bool(self.size or self.seconds)


class OutputFile:
    """A file that whole events are appended to. Methods block.

    Args:
        path: where it is.
        codec: its compression, or None.
        rotation: when it is rotated.
        find_end: returns the length of the part of an existing file that is whole events.
        truncate: begin anew instead of appending.
    """

    def __init__(
        self, path: str, codec: str | None, rotation: Rotation, find_end: Callable[[int], int], *, truncate: bool
    ) -> None:
        self.path = path
        self._codec = codec
        self._rotation = rotation
        self._find_end = find_end
        self._truncate = truncate
        self._fd = -1
        self._size = 0
        self._period = 0
        self._is_dirty = False
        self._is_new = False

    def write(self, header: bytes, data: bytes) -> int:
        """Append data, and the header in front of it if the file is empty.

        Returns:
            how many bytes of an unfinished event, left by a run that was killed, were cut off before.

        Raises:
            OSError: it is not possible now. Nothing of `data` is in the file then.
        """
        cut = self._be_open()
        if self._size and self._rotation and self._rotation.period(time.time()) != self._period:
            self.rotate()
            self._be_open()
        self._append(compress(header + data if self._size == 0 else data, self._codec))
        if self._rotation.size and self._size >= self._rotation.size:
            self.rotate()
        return cut

    def _append(self, data: bytes) -> None:
        remaining = memoryview(data)
        try:
            while remaining:
                remaining = remaining[os.write(self._fd, remaining) :]
        except OSError:
            # A disk that is full takes the first part.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)
        self._is_dirty = True

    def _be_open(self) -> int:
        if self._fd >= 0 and not self._is_at_its_path():
            self.close()  # somebody has moved or removed it
        if self._fd >= 0:
            return 0
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags | (os.O_TRUNC if self._truncate else 0), 0o666)
        try:
            return self._begin(fd)
        except OSError:
            os.close(fd)
            raise

    def _begin(self, fd: int) -> int:
        status = os.fstat(fd)
        cut = 0
        self._size = status.st_size
        if self._size and stat.S_ISREG(status.st_mode):
            self._size = self._valid_size(fd)
            cut = status.st_size - self._size
            if cut:
                os.ftruncate(fd, self._size)
        self._fd = fd
        self._truncate = False
        self._is_new = True
        self._period = self._rotation.period(status.st_mtime if self._size else time.time())
        return cut

    def _valid_size(self, fd: int) -> int:
        if self._codec is None:
            return self._find_end(fd)
        with os.fdopen(os.dup(fd), "rb") as raw:
            return complete_length(raw, self._codec)

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._fd))  # noqa: PTH116 (a Path costs more)
        except FileNotFoundError:
            return False

    def sync(self) -> None:
        """Make durable what was written."""
        if self._is_dirty:
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.fsync(self._fd)
            self._is_dirty = False
        if self._is_new and self._fd >= 0:
            sync_directory(Path(self.path).parent)
            self._is_new = False

    def rotate(self) -> None:
        """Give the file its final name, if there is something in it. The next write begins a new one."""
        if self._fd < 0:
            return
        self.close()
        if self._size:
            Path(self.path).rename(_final_name(self.path))
            sync_directory(Path(self.path).parent)
            self._size = 0

    def rotate_in_time(self) -> None:
        """Rotate the file if its period is over."""
        if self._fd >= 0 and self._rotation.period(time.time()) != self._period:
            self.rotate()

    def close(self) -> None:
        """Make durable what was written, and close the file."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1


def _final_name(path: str) -> Path:
    stem, suffix = split_suffix(path)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    number = 1
    while (target := Path(f"{stem}-{now}.{number}{suffix}")).exists():
        number += 1
    return target


def end_of_last_line(fd: int, newline: bytes = b"\n", width: int = 1) -> int:
    """Return the length of a file up to and including its last newline, which begins at a multiple of `width`."""
    end = os.fstat(fd).st_size
    end -= end % width
    while end > 0:
        start = max(0, end - _BACKWARDS)
        block = os.pread(fd, end - start + len(newline) - 1, start)
        at = block.rfind(newline)
        while at >= 0 and (start + at) % width:
            at = block.rfind(newline, 0, at + len(newline) - 1)
        if at >= 0:
            return start + at + len(newline)
        end = start
    return 0


def count(fd: int, pattern: bytes, end: int) -> int:
    """Return how often a single character stands in a file in front of a place."""
    return sum(os.pread(fd, min(_BACKWARDS, end - at), at).count(pattern) for at in range(0, end, _BACKWARDS))
