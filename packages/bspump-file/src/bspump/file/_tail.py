"""Following files that grow, as ``tail -F`` does: by name, through rotation, truncation and re-creation."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ._batches import BatchReader, once
from ._compression import codec_of
from ._input_file import FileError, InputFile, Outcome, file_errors, key_of
from ._output import end_of_last_line
from ._positions import Entry, Place
from ._progress import Visit
from ._scan import Candidate, is_matched

if TYPE_CHECKING:
    from ._batch_source import LineBasedSource

# How often new files are looked for, in seconds, at most.
_SCAN_INTERVAL = 1.0
# How long a file that was rotated away is followed while somebody has it open, but writes nothing.
_LONGEST_REST = 300.0
_COUNTED_AT_ONCE = 1 << 20


@dataclasses.dataclass(slots=True, eq=False)
class Followed:
    """A file that is followed."""

    file: InputFile
    reader: BatchReader | None = None
    """None as long as the file is empty."""
    moved_at: float = dataclasses.field(default_factory=time.monotonic)
    """When something was read from it last."""
    at_its_path: int | None = None
    """The inode of the file that its path led to at the last look."""
    is_rotated: bool = False
    """Whether its path leads to another file by now, or to none."""
    is_drained: bool = False
    """Rotated, and read to an end at which nothing was added for a while: the next file may be begun."""
    is_over: bool = False
    """Nobody will add to it any more."""
    has_news: bool = False
    is_truncated: bool = False
    other_key: str = ""
    """Where it was found after it was rotated, if it matches the path of the source there too."""


class Follower:
    """Follows the files of one source, from one start of its cycle on."""

    def __init__(self, source: LineBasedSource, poll_interval: float, settle: float, *, from_end: bool) -> None:
        self._source = source
        self._poll_interval = poll_interval
        self._settle = settle
        self._from_end = from_end
        self._files: list[Followed] = []
        self._failed: set[tuple[int, int]] = set()
        self._visit: Visit | None = None
        self._next_scan = 0.0

    async def run(self) -> None:
        """Follow files until cancelled."""
        source = self._source
        for followed in await source._in_thread(self._find_rotated_blocking):
            self._add(followed)
        while True:
            await source.Pipeline.ready()
            if time.monotonic() >= self._next_scan:
                await self._look_for_new_files()
            moving = await source._in_thread(self._poll_blocking)
            for followed in moving:
                await self._advance(followed)
            if not moving:
                await asyncio.sleep(self._poll_interval)

    # Which files

    async def _look_for_new_files(self) -> None:
        self._next_scan = time.monotonic() + max(_SCAN_INTERVAL, self._poll_interval)
        found = await self._source._find()
        for candidate in await self._source._in_thread(self._without_renamed_blocking, found):
            if candidate.is_orphan or self._is_known(candidate):
                continue
            try:
                followed = await self._source._in_thread(self._take_blocking, candidate)
            except FileError as error:
                await self._source.refuse(candidate, error)
                continue
            if followed is not None:
                self._add(followed)
        # From now on, what is new was not there at the start.
        self._from_end = False

    def _without_renamed_blocking(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the files that were not finished under another name, which another file has now or will have."""
        entries = self._source._store.entries
        finished = {(entry.device, entry.inode): key for key, entry in entries.items() if entry.state == "finished"}
        old_keys = {
            candidate.key: key
            for candidate in candidates
            if (key := finished.get(_identity(candidate.status))) and entries[key].is_unchanged(candidate.status)
        }
        # All at once: they pass their names on to each other.
        renamed = {key: entries.pop(old_key) for key, old_key in old_keys.items()}
        entries.update(renamed)
        return [candidate for candidate in candidates if candidate.key not in renamed]

    def _is_known(self, candidate: Candidate) -> bool:
        """Tell whether a file is held already, or was followed and failed."""
        for followed in self._files:
            if os.path.samestat(followed.file.status, candidate.status):
                followed.other_key = candidate.key if followed.is_rotated else ""
                return True
            if followed.file.key == candidate.key:
                return True  # until the next look has seen that it is rotated
        return _identity(candidate.status) in self._failed

    def _add(self, followed: Followed) -> None:
        self._files.append(followed)
        self._files.sort(key=lambda followed: not followed.is_rotated)
        # Committed soon, so that the file is known after a restart even if nothing of it was.
        self._source.position = self._visit_of(followed).position(followed.file.place)

    def _take_blocking(self, candidate: Candidate) -> Followed | None:
        source = self._source
        codec = codec_of(candidate.path, source.compression)
        file = InputFile.open(candidate.path, candidate.path, codec) if codec is None else None
        if file is None:
            return None
        known = [entry.place for entry in source._store.entries.values() if entry.is_of(file.fd)]
        source._progress.hold(file)
        if known:
            file.place = max(known)
        elif self._from_end:
            file.place = _last_place(file.fd)
        return Followed(file, at_its_path=file.status.st_ino)

    def _find_rotated_blocking(self) -> list[Followed]:
        """Find the files that have lost their names since they were committed."""
        entries = self._source._store.entries
        found: dict[int, Followed] = {}
        for key, entry in list(entries.items()):
            path = InputFile.path_of_key(key)
            is_own = is_matched(path, self._source._paths)
            if entry.state != "open" or not is_own or _inode(path) == entry.inode:
                continue
            followed = found[entry.inode] if entry.inode in found else self._find_by_inode(Path(path), entry)
            if followed is None:
                del entries[key]
                self._source.report_lost(path, entry)
            else:
                followed.file.place = max(followed.file.place, entry.place)
                found[entry.inode] = followed
        return list(found.values())

    def _find_by_inode(self, path: Path, entry: Entry) -> Followed | None:
        others = path.parent.iterdir() if path.parent.is_dir() else ()
        for other in others:
            configured = entry.path if key_of(entry.path) == str(path) else str(path)
            file = InputFile.open(configured, str(other), None) if _inode(str(other)) == entry.inode else None
            if file is None:
                continue
            if entry.is_of(file.fd):
                file.key = file.rotated_key
                self._source._progress.hold(file)
                if not is_matched(str(other), self._source._paths):
                    self._source.report_rotated(configured, str(other))
                return Followed(file, is_rotated=True)
            file.close()
        return None

    # What has happened to them

    def _poll_blocking(self) -> list[Followed]:
        moving: list[Followed] = []
        undrained: set[str] = set()
        for followed in self._files:
            # As long as a file that had the same path before is read, this one is only held.
            if followed.file.path not in undrained and self._look_at(followed):
                moving.append(followed)
            # Afterwards, since before its end is looked at, a scan has to tell whether it matches under another name.
            self._look_at_path(followed)
            if followed.is_rotated and not followed.is_drained:
                undrained.add(followed.file.path)
        return moving

    def _look_at_path(self, followed: Followed) -> None:
        """Find out whether a file was rotated; what has its path by now is to be held before that is rotated too."""
        file = followed.file
        at_its_path = _inode(file.path)
        if at_its_path == followed.at_its_path:
            return
        followed.at_its_path = at_its_path
        self._next_scan = 0.0
        if at_its_path != file.status.st_ino and not followed.is_rotated:
            followed.is_rotated = True
            self._source._progress.rekey(file, file.rotated_key)

    def _look_at(self, followed: Followed) -> bool:
        """Find out whether there is something to do about a file."""
        file, reader = followed.file, followed.reader
        now = time.monotonic()
        size = os.fstat(file.fd).st_size
        consumed = reader.consumed if reader is not None else file.place.offset
        followed.is_truncated = size < consumed or (
            size > consumed and reader is not None and not reader.continues(file.fd)
        )
        followed.has_news = size > (0 if followed.is_truncated else consumed)
        if followed.has_news or followed.is_truncated:
            followed.moved_at = now
        elif followed.is_rotated:
            self._look_at_end(followed, now - followed.moved_at)
        is_at_rest = reader is not None and reader.has_event_at_rest and now - followed.moved_at >= self._settle
        return followed.has_news or followed.is_truncated or followed.is_over or is_at_rest

    def _look_at_end(self, followed: Followed, rest: float) -> None:
        nobody_writes = followed.file.is_being_written() is False
        followed.is_drained = followed.is_drained or nobody_writes or rest >= self._settle
        followed.is_over = nobody_writes or rest >= _LONGEST_REST

    # Reading

    def _visit_of(self, followed: Followed) -> Visit:
        """Return the visit to a file, having ended that to another one."""
        if self._visit is None or self._visit.file is not followed.file:
            self._end_visit(Outcome.PENDING)
            self._visit = self._source._progress.begin(followed.file)
        return self._visit

    def _end_visit(self, outcome: Outcome) -> None:
        if self._visit is not None:
            self._source.position = self._source._progress.end(self._visit, outcome)
            self._visit = None

    async def _advance(self, followed: Followed) -> None:
        """Pass on what was added to a file, and let go of it if it is over."""
        self._visit_of(followed)
        try:
            await self._read(followed)
        except FileError as error:
            self._failed.add(_identity(followed.file.status))
            self._source.report_failed(followed.file, error)
            await self._let_go(followed)
        else:
            if followed.is_over:
                await self._let_go(followed)

    async def _read(self, followed: Followed) -> None:
        source, file = self._source, followed.file
        visit = self._visit_of(followed)
        if followed.is_truncated:
            source.report_truncated(file)
            followed.is_truncated = False
            followed.reader = None
            file.place = Place()
        if followed.has_news:
            if followed.reader is None:
                with file_errors():
                    followed.reader = await source._in_thread(source.make_reader, file, file.content())
            reader = followed.reader
            # It may have been truncated since the last look at it, and have grown again.
            await source.emit_all(visit, lambda: reader.read() if reader.continues(file.fd) else None)
            file.place = reader.place
        elif followed.reader is not None:
            reader = followed.reader
            await source.emit_all(visit, once(lambda: reader.flush(with_remainder=followed.is_over)))
            file.place = reader.place

    async def _let_go(self, followed: Followed) -> None:
        self._files.remove(followed)
        # Who wrote it may begin the next one right now, and nobody looks at the path of this one any more.
        self._next_scan = 0.0
        if followed.other_key and followed.is_over:
            # It matches under its new name too, and is not to be read once more.
            await self._source._in_thread(self._source._progress.rekey, followed.file, followed.other_key)
            followed.file.note_end(is_exact=False)
            if self._visit is not None:
                self._visit.status = os.fstat(followed.file.fd)
            self._end_visit(Outcome.FINISHED)
        elif followed.is_over:
            self._end_visit(Outcome.FORGOTTEN)
        else:
            self._end_visit(Outcome.UNFINISHED)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 (as strings come from glob)
    except OSError:
        return None


def _last_place(fd: int) -> Place:
    """Return the place behind the last newline of a file."""
    end = end_of_last_line(fd)
    lines = sum(
        os.pread(fd, min(_COUNTED_AT_ONCE, end - at), at).count(b"\n") for at in range(0, end, _COUNTED_AT_ONCE)
    )
    return Place(end, lines)
