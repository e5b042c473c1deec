"""One file that is being read: locked, renamed, and put where it belongs afterwards."""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import io
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bspump.errors import BSPumpError

from ._compression import open_decompressed
from ._positions import Entry, Place

LOCKED = "-locked"
PROCESSED = "-processed"
FAILED = "-failed"
SUFFIXES = (LOCKED, PROCESSED, FAILED)
_INODE = " (inode "

# Not the file's fault: the process or the machine is short of something.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def key_of(path: str) -> str:
    """Return what a file is remembered by: its path, whatever the working directory of the next run is."""
    return os.path.abspath(path)  # noqa: PTH100 (Path.absolute() leaves '..' in)


class FileError(BSPumpError):
    """One file cannot be read, or not to its end. The others go on."""


@contextlib.contextmanager
def file_errors() -> Iterator[None]:
    """Make a `FileError` of what is raised because of the file that is read.

    Raises:
        FileError: with the original error as its cause.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _SHORTAGES:
            raise
        raise FileError(f"cannot be read: {error.strerror or error}") from error
    except (EOFError, UnicodeError) as error:
        raise FileError(f"cannot be read: {error}") from error


class Outcome(enum.Enum):
    """How a visit to a file ended."""

    FINISHED = enum.auto()
    FAILED = enum.auto()
    UNFINISHED = enum.auto()
    """Somebody still writes it: it is read on in the next cycle."""
    PENDING = enum.auto()
    """It is visited again in this cycle, to see whether its last line is complete."""
    FORGOTTEN = enum.auto()
    """It was rotated away and followed to its end; nothing needs to be known of it any more."""


class PromptFile(io.FileIO):
    """A file of which can be read just what the system has in its memory, without waiting for a disk.

    Attributes:
        waits: whether reading may wait, as usual. If not, it raises `BlockingIOError` where it would have to.
        can_be_prompt: False once it has turned out that the system has no such thing for this file.
    """

    waits = True
    can_be_prompt = hasattr(os, "RWF_NOWAIT")

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer. Returns how many bytes, 0 at the end of the file."""
        if self.waits:
            return super().readinto(buffer) or 0
        try:
            # The offset -1 stands for the place that the file has come to, which moves on.
            return os.preadv(self.fileno(), [buffer], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            raise
        except OSError as error:
            self.can_be_prompt = False
            raise BlockingIOError(error.errno, "This file cannot be read without waiting") from error


class InputFile:
    """A file that is held open and locked from when it is taken until it is put where it belongs. Methods block.

    Attributes:
        path: its original path, as the option of the source leads to it.
        current: its path at the moment.
        key: what it is remembered by: its absolute path; for a file that has been rotated away, also its inode.
        status: its status when it was opened.
        codec: the compression, or None.
        place: the place from which it is to be read on.
    """

    def __init__(self, path: str, current: str, fd: int, codec: str | None) -> None:
        self.path = path
        self.key = key_of(path)
        self.current = current
        self.codec = codec
        self.place = Place()
        self.fd = fd
        self.end_size = 0
        self.end: Entry | None = None
        """What the file was like when it was read to its end; it may be rewritten before that is committed."""
        self.status = os.fstat(fd)
        self.is_waiting = False
        """Whether the file ends with something that may be incomplete."""
        self.has_writer = False
        """Whether somebody had it open for writing when it was read to its end."""

    @classmethod
    def open(cls, path: str, current: str, codec: str | None) -> InputFile | None:
        """Open a file. None if it is gone.

        Raises:
            FileError: it cannot be opened.
        """
        try:
            fd = os.open(current, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _SHORTAGES:
                raise
            raise FileError(f"cannot be opened: {error.strerror}") from error
        return cls(path, current, fd, codec)

    @classmethod
    def take(cls, path: str, codec: str | None, *, is_orphan: bool, rename: bool) -> InputFile | None:
        """Open and lock a file. None if it is gone, or somebody else has it.

        Args:
            path: the original path.
            codec: the compression.
            is_orphan: it has the suffix ``-locked`` already; if nobody holds the lock, who renamed it was killed.
            rename: take the file for oneself alone, which its new name shows to everybody; otherwise it is shared, also
                with those who write it.

        Raises:
            FileError: it cannot be opened or renamed.
        """
        current = path + LOCKED if is_orphan else path
        file = cls.open(path, current, codec)
        if file is None:
            return None
        try:
            if (
                ((not rename and not is_orphan) or _lock(file.fd, shared=not rename))
                and file._is_at(current)
                and (is_orphan or not rename or file._rename())
            ):
                return file
        except OSError as error:
            file.close()
            reason = f"cannot be renamed to '{path}{LOCKED}': {error.strerror}"
            raise FileError(f"{reason}; use post = noop where files cannot be renamed") from error
        file.close()
        return None

    def _is_at(self, path: str) -> bool:
        """Tell whether the open file is still the one at a path."""
        try:
            return os.path.samestat(os.stat(path), self.status)  # noqa: PTH116 (a Path costs more than the call)
        except FileNotFoundError:
            return False

    def _rename(self) -> bool:
        if Path(self.path + LOCKED).exists():
            return False  # one of the same name has to be finished first
        Path(self.path).rename(self.path + LOCKED)
        self.current = self.path + LOCKED
        return True

    def content(self) -> BinaryIO:
        """Return a file object that reads the content from its beginning. Closing it does not close the file."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        return open_decompressed(PromptFile(self.fd, closefd=False), self.codec)

    @property
    def rotated_key(self) -> str:
        """What the file is remembered by once its path leads to another one, or to none."""
        return f"{key_of(self.path)}{_INODE}{self.status.st_ino})"

    @staticmethod
    def path_of_key(key: str) -> str:
        """Return the original path, absolute, of the file that is remembered by a key."""
        return key.rpartition(_INODE)[0] if key.endswith(")") and _INODE in key else key

    # Is it complete?

    def note_end(self, *, is_exact: bool) -> None:
        """Take note of where the end is; exactly there if all of the content has been read just now."""
        self.end_size = os.lseek(self.fd, 0, os.SEEK_CUR) if is_exact else os.fstat(self.fd).st_size

    def has_grown(self) -> bool:
        """Tell whether something was added since the end was noted."""
        return os.fstat(self.fd).st_size > self.end_size

    def is_being_written(self) -> bool | None:
        """Tell whether somebody has the file open for writing. None: the system does not say."""
        if not hasattr(fcntl, "F_SETLEASE"):
            return None
        try:
            # Should somebody open it at this very moment, the kernel sends a signal; let it be one that does no harm.
            fcntl.fcntl(self.fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        except OSError:
            return None
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    def is_settled(self, seconds: float) -> bool:
        """Tell whether nobody writes the file, and nobody has done so for some time."""
        if self.is_being_written():
            return False
        return abs(time.time() - os.fstat(self.fd).st_mtime) >= seconds

    def is_complete(self, seconds: float) -> bool:
        """Tell whether nobody writes the file; where the system does not say, after some time of rest."""
        is_being_written = self.is_being_written()
        return self.is_settled(seconds) if is_being_written is None else not is_being_written

    # Where it goes

    def release(self) -> None:
        """Give the file back its original name, unless another one has that by now, and let it go."""
        if self.current != self.path and self._is_at(self.current) and not Path(self.path).exists():
            Path(self.current).rename(self.path)
            self.current = self.path
        self.close()

    def move(self, suffix: str, directory: str = "") -> Path:
        """Give the file its final name, in another directory if there is one given, and let it go.

        Returns:
            the directory, which is to be synchronised for this to be durable.
        """
        source = Path(self.current)
        folder = Path(directory) if directory else source.parent
        if self._is_at(self.current):
            folder.mkdir(parents=True, exist_ok=True)
            target = _free_name(folder, Path(self.path).name, suffix)
            try:
                source.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _move_across(source, target)
        self.close()
        return folder

    def delete(self) -> Path:
        """Remove the file. Returns the directory, as `move`."""
        if self._is_at(self.current):
            Path(self.current).unlink()
        self.close()
        return Path(self.current).parent

    def suspend(self) -> None:
        """Close the file, which gives up the lock, until `resume`."""
        self.close()

    def resume(self) -> bool:
        """Have the file open, if it is still there."""
        if self.fd < 0 and self._is_at(self.current):
            self.fd = os.open(self.current, os.O_RDONLY | os.O_CLOEXEC)
        return self.fd >= 0

    def close(self) -> None:
        """Let go of the file, whatever its name is."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def set_aside(path: str, *, is_orphan: bool) -> bool:
    """Give a file that cannot even be opened the suffix ``-failed``. False if that is not possible either."""
    current = Path(path + LOCKED if is_orphan else path)
    try:
        current.rename(_free_name(current.parent, Path(path).name, FAILED))
    except OSError:
        return False
    return True


def _lock(fd: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks; the name has to do
    return True


def _free_name(folder: Path, name: str, suffix: str) -> Path:
    """Return a path that nothing is at: ``<name><suffix>``, or ``<name>-2<suffix>`` and so on."""
    target = folder / (name + suffix)
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{name}-{number}{suffix}"
    return target


def _move_across(source: Path, target: Path) -> None:
    """Move a file to another file system; it is there as a whole or not at all."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copy2(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    source.unlink()
