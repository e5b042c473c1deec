"""Where a source is in its files, kept on disk.

Each source has one small JSON file, written anew at every commit: into a temporary file, which then takes its place.
Several processes may run the same source over the same folder; each takes a slot, which is a file of its own, and
looks into those of the others when it takes over a file. What a process has left that was killed is taken over by the
next one that looks.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = 1024
_TAIL = 256


class Place(NamedTuple):
    """A place in the content of a file, after decompression: at the beginning of a line."""

    offset: int = 0
    line: int = 0
    """How many lines are in front of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class FilePosition:
    """The position of a source of files: which file, and the place behind the last event that was accepted."""

    filename: str
    offset: int
    line: int
    visit: int
    """The number of the visit to the file; a file that is left for a while and read on later has several."""
    is_end: bool = False
    """Whether the visit has ended here."""


@dataclasses.dataclass(slots=True)
class Entry:
    """What is remembered of one file, and by what it is recognised."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    head: str
    head_size: int
    tail: str
    offset: int = 0
    line: int = 0
    state: str = "open"
    """``open``: read up to the place; ``finished`` or ``failed``: not to be read again while it stays as it is."""
    path: str = ""
    """The original path as the option of the source led to it."""

    @classmethod
    def of(cls, fd: int, place: Place, *, compressed: bool = False) -> Entry:
        """Make the entry of an open file."""
        status = os.fstat(fd)
        head_size = min(_HEAD, status.st_size if compressed else place.offset)
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified=status.st_mtime_ns,
            changed=status.st_ctime_ns,
            head=_digest(os.pread(fd, head_size, 0)),
            head_size=head_size,
            tail="" if compressed else _digest(_before(fd, place.offset)),
            offset=place.offset,
            line=place.line,
        )

    def set_status(self, status: os.stat_result) -> None:
        """Say what the status of the file was when it was read."""
        self.size, self.modified, self.changed = status.st_size, status.st_mtime_ns, status.st_ctime_ns

    @property
    def place(self) -> Place:
        """The place up to which the file was read."""
        return Place(self.offset, self.line)

    def is_of(self, fd: int) -> bool:
        """Tell whether an open file is the one that the entry was made of, perhaps with more at its end.

        The numbers of deleted files are given to new ones, and files are rewritten in place; so the first bytes count,
        and those in front of the place.
        """
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != (self.device, self.inode):
            return False
        if _digest(os.pread(fd, self.head_size, 0)) != self.head:
            return False
        if not self.tail:
            return status.st_size >= self.size
        return status.st_size >= self.offset and _digest(_before(fd, self.offset)) == self.tail

    def is_unchanged(self, status: os.stat_result, *, and_permissions: bool = False) -> bool:
        """Tell whether a file is as it was when the entry was made."""
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != (self.device, self.inode, self.size, self.modified):
            return False
        return not and_permissions or status.st_ctime_ns == self.changed


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _before(fd: int, offset: int) -> bytes:
    size = min(_TAIL, offset)
    return os.pread(fd, size, offset - size)


class PositionStore:
    """The entries of one source, by the original path of the file, which is absolute. All methods block.

    Programs with the same name keep their positions in the same place; each leaves alone what it does not know.

    Args:
        directory: where the position files are.
        name: the name of the source, which theirs begin with.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._lock_fd: int | None = None
        self.path = directory / f"{name}.json"
        self.entries: dict[str, Entry] = {}
        self._others: list[dict[str, Entry]] = []

    def open(self) -> None:
        """Take a slot and load what was saved there.

        Raises:
            OSError: the directory cannot be used.
            ValueError: the position file cannot be understood.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        slot = 1
        while not self._take(slot):
            slot += 1
        self.entries = _load(self.path)
        self.load_others()

    def _take(self, slot: int) -> bool:
        self.path = self._directory / (f"{self._name}.json" if slot == 1 else f"{self._name}.{slot}.json")
        self._lock_fd = _lock(self.path)
        return self._lock_fd is not None

    def load_others(self) -> None:
        """Load what other processes have saved; what those have left that have ended becomes our own."""
        self._others = []
        for path in (self._directory / f"{self._name}.json", *self._directory.glob(f"{self._name}.*.json")):
            if path == self.path or not path.exists():
                continue
            lock_fd = _lock(path)
            if lock_fd is None:
                self._others.append(_load(path))
                continue
            try:
                self._take_over(path)
            finally:
                os.close(lock_fd)

    def _take_over(self, path: Path) -> None:
        for key, entry in _load(path).items():
            own = self.entries.get(key)
            if own is None or (own.inode == entry.inode and own.place < entry.place):
                self.entries[key] = entry
        self.save()
        # Otherwise a later run would find in it a place that is no longer true.
        path.unlink(missing_ok=True)

    def of_all_slots(self, key: str) -> Iterator[Entry]:
        """Yield the entries of a file in all the slots."""
        for entries in (self.entries, *self._others):
            if key in entries:
                yield entries[key]

    def save(self) -> None:
        """Write the entries; they are on disk when this returns."""
        content = {path: dataclasses.asdict(entry) for path, entry in self.entries.items()}
        write_atomically(self.path, json.dumps({"version": 1, "files": content}).encode())

    def close(self) -> None:
        """Give the slot up."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def _lock(path: Path) -> int | None:
    """Lock the slot of a position file. Returns what to close to give it up; None if another process has it."""
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, f"cannot be locked ({error.strerror})", str(path.parent)) from error
    return fd


def _load(path: Path) -> dict[str, Entry]:
    try:
        content = json.loads(path.read_bytes())
        return {name: Entry(**entry) for name, entry in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The position file '{path}' cannot be understood ({error}); remove it to read from the beginning"
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any time either the old or the new content is there, and the new one survives."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames, creations and deletions in a directory survive a loss of power."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
