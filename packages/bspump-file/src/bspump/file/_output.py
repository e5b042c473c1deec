"""One file that is being written: appended to, made durable, rotated."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bspump.errors import BSPumpError

from ._compression import complete_length, compress, split_suffix
from ._positions import sync_directory

_BACKWARDS = 1 << 16
_LONGEST_NAME = 255
_MOST_PARTS = 1024  # IOV_MAX of Linux
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ELOOP)


class BusyFileError(OSError):
    """Somebody else is writing the file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"'{path}' is being written by another sink or process; each needs a file of its own")


class LostWritesError(BSPumpError):
    """What was written to a file since it was last made durable is lost, and was cut off."""

    def __init__(self, path: str, error: OSError) -> None:
        reason = error.strerror or error
        super().__init__(
            f"'{path}' could not be made durable ({reason}); what was written since then has to come again"
        )


def name_problem(path: str) -> str | None:
    """Return why no file can ever have a name, in words; None if it may be possible."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.split("/")):
        return os.strerror(errno.ENAMETOOLONG)
    try:
        return os.strerror(errno.EISDIR) if stat.S_ISDIR(os.stat(path).st_mode) else None  # noqa: PTH116 (a Path costs more)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error.strerror if is_name_error(error) else None


def is_name_error(error: OSError) -> bool:
    """Tell whether an error means that a file of that name cannot be written, however often it is tried."""
    return error.errno in _NAME_ERRORS


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

    As long as it is open, it is locked (flock) against other writers of the same kind, in this process too. Where the
    file system has no locks, what is torn may be somebody else's, and is never cut off.

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
        self._is_regular = False
        self._is_torn = False
        self._is_dirty = False
        self._is_new = False
        self._durable_size = 0
        self._has_lost = False

    def write(self, header: bytes, parts: Sequence[bytes]) -> str:
        """Append the parts, one after the other, and the header in front of them if the file is empty.

        Returns:
            what was done before about the end of an event that a killed run has left there; mostly nothing.

        Raises:
            OSError: it is not possible now. Nothing of the parts is in the file then.
            LostWritesError: what was written before is lost. Nothing of the parts is in the file.
        """
        notice = self._be_open()
        if self._size and (self._is_full or self._rotation.period(time.time()) != self._period):
            self.rotate()
            self._be_open()
        if self._size == 0 and header:
            parts = [header, *parts]
        self._append(parts if self._codec is None else [compress(b"".join(parts), self._codec)])
        if self._is_full:
            # If it cannot be, that is said before the next write: this one is done.
            with contextlib.suppress(OSError):
                self.rotate()
        return notice

    @property
    def _is_full(self) -> bool:
        return bool(self._rotation.size) and self._size >= self._rotation.size

    def _append(self, parts: Sequence[bytes]) -> None:
        written = 0
        try:
            for start in range(0, len(parts), _MOST_PARTS):
                remaining: Sequence[bytes | memoryview] = parts[start : start + _MOST_PARTS]
                while remaining:
                    taken = os.writev(self._fd, remaining)
                    written += taken
                    remaining = _behind(remaining, taken)
        except OSError:
            # A disk that is full takes the first part.
            self._take_back(written)
            raise
        self._size += written
        self._is_dirty = True

    def _take_back(self, written: int) -> None:
        """Cut off the first part of a write, unless somebody else has written to the file meanwhile."""
        if not written or not self._is_regular:
            return
        self._is_torn = True
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size == self._size + written:
                os.ftruncate(self._fd, self._size)
                self._is_torn = False

    def _be_open(self) -> str:
        if self._fd >= 0:
            self._cut_lost()
            status = os.fstat(self._fd)
            if self._is_at_its_path(status) and not self._is_torn:
                if self._is_regular:
                    self._size = status.st_size  # somebody may have emptied it
                    self._durable_size = min(self._durable_size, self._size)
                return ""
            self.close()
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        notice = ""
        while self._fd < 0:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                notice = self._begin(fd) or notice
            finally:
                if self._fd < 0:
                    os.close(fd)
        return notice

    def _begin(self, fd: int) -> str:
        """Take charge of the file; if its path leads to another one by now, that has to be opened."""
        is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        is_locked = is_regular and self._lock(fd)
        status = os.fstat(fd)
        if not self._is_at_its_path(status):
            return ""
        notice = ""
        size = status.st_size
        if is_regular and self._truncate:
            os.ftruncate(fd, 0)
            size = 0
        elif is_regular and size:
            size = self._valid_size(fd)
            if size < status.st_size:
                notice = f"the last {status.st_size - size} byte(s) of '{self.path}' were no whole event, left by a run"
                if not is_locked:
                    target = _final_name(self.path)
                    Path(self.path).rename(target)
                    return f"{notice} that was killed, or written just now: the file becomes '{target}'"
                if os.fstat(fd).st_size != status.st_size:
                    raise BusyFileError(self.path)
                os.ftruncate(fd, size)
                notice += " that was killed: cut off"
        self._fd = fd
        self._size = self._durable_size = size
        self._has_lost = False
        self._is_regular = is_regular
        self._is_torn = self._truncate = False
        self._is_new = True
        self._period = self._rotation.period(status.st_mtime if size else time.time())
        return notice

    def _lock(self, fd: int) -> bool:
        """Lock the file against other writers. False: the file system has no locks."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyFileError(self.path) from None
        except OSError:
            return False
        return True

    def _valid_size(self, fd: int) -> int:
        if self._codec is None:
            return self._find_end(fd)
        with os.fdopen(os.dup(fd), "rb") as raw:
            return complete_length(raw, self._codec)

    def _is_at_its_path(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), status)  # noqa: PTH116 (a Path costs more)
        except FileNotFoundError:
            return False

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            LostWritesError: it cannot be; it was cut off.
        """
        if self._is_dirty:
            self._cut_lost()
            if self._is_regular:
                self._fsync()
            self._durable_size = self._size
            self._is_dirty = False
        if self._is_new and self._fd >= 0:
            sync_directory(Path(self.path).parent)
            self._is_new = False

    def _fsync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            # The system may have dropped what it could not write, and then calls the next try a success.
            self._has_lost = True
            with contextlib.suppress(OSError):
                self._cut_lost()
            raise LostWritesError(self.path, error) from error

    def _cut_lost(self) -> None:
        """Cut off what may not be on disk, unless somebody else has written to the file meanwhile."""
        if self._has_lost:
            if os.fstat(self._fd).st_size == self._size:
                os.ftruncate(self._fd, self._durable_size)
                self._size = self._durable_size
            self._has_lost = False

    def rotate(self) -> None:
        """Give the file its final name, if there is something in it. The next write begins a new one."""
        if self._fd < 0:
            return
        self.sync()
        # Renamed while it is locked; and another file that has its path by now is left alone.
        if self._size and self._is_at_its_path(os.fstat(self._fd)):
            Path(self.path).rename(_final_name(self.path))
            sync_directory(Path(self.path).parent)
        self.close()
        self._size = 0

    def rotate_in_time(self) -> None:
        """Rotate the file if its period is over."""
        if self._fd >= 0 and self._rotation.period(time.time()) != self._period:
            self.rotate()

    def close(self) -> None:
        """Make durable what was written, and close the file."""
        if self._fd >= 0:
            self.sync()
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _behind(parts: Sequence[bytes | memoryview], size: int) -> Sequence[bytes | memoryview]:
    """Return what stands behind the first so many bytes."""
    for index, part in enumerate(parts):
        if size < len(part):
            return [memoryview(part)[size:], *parts[index + 1 :]]
        size -= len(part)
    return []


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
