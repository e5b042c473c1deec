"""From reading to committing: which files a source has visited, and what becomes of them once that is durable."""

from __future__ import annotations

import collections
import dataclasses
import os
from pathlib import Path

from ._input_file import FAILED, LOCKED, PROCESSED, InputFile, Outcome, key_of
from ._positions import Entry, FilePosition, Place, PositionStore, sync_directory
from ._scan import is_matched

# How many files that are read, but not committed, are kept open and locked. Beyond that only the names of the earliest
# say that they are taken.
_MOST_OPEN = 256


@dataclasses.dataclass(slots=True)
class Visit:
    """The reading of one file from one place on."""

    number: int
    file: InputFile
    place: Place
    status: os.stat_result
    """The status of the file when the visit began."""
    outcome: Outcome | None = None
    """How it ended; None while it goes on."""

    def position(self, place: Place, *, is_end: bool = False) -> FilePosition:
        """Return the position of the source at a place of the file."""
        return FilePosition(self.file.path, place.offset, place.line, self.number, is_end)


class Progress:
    """The visits that are not committed. Methods that block are named so.

    Args:
        store: what was committed.
        post: what is done with a finished file: ``move``, ``delete`` or ``noop``.
        move_destination: where to move it; "" for its own folder.
    """

    def __init__(self, store: PositionStore, post: str, move_destination: str) -> None:
        self._store = store
        self._post = post
        self._move_destination = move_destination
        self._visits: dict[int, Visit] = {}
        self._last_number = 0
        self._changed_folders: set[Path] = set()
        self._open: collections.deque[InputFile] = collections.deque()
        self.held: dict[str, InputFile] = {}
        """The files that are taken, by their keys."""

    def hold(self, file: InputFile) -> None:
        """Take charge of a file that was taken."""
        self.held[file.key] = file

    def begin(self, file: InputFile) -> Visit:
        """Begin a visit."""
        self._last_number += 1
        visit = Visit(self._last_number, file, file.place, os.fstat(file.fd))
        self._visits[visit.number] = visit
        return visit

    def end(self, visit: Visit, outcome: Outcome) -> FilePosition:
        """End a visit where the file's place is. Returns the position of the source."""
        visit.outcome = outcome
        visit.place = visit.file.place
        return visit.position(visit.place, is_end=True)

    def limit_open_blocking(self, file: InputFile) -> None:
        """Close the files that were read longest ago, now that one more has been read."""
        self._open.append(file)
        while len(self._open) > _MOST_OPEN:
            self._open.popleft().suspend()

    def commit_blocking(self, position: FilePosition) -> None:
        """Make the position durable and put the files where they belong."""
        for number in list(self._visits):
            if number < position.visit or (number == position.visit and position.is_end):
                self._conclude(self._visits[number])
                del self._visits[number]
        for folder in list(self._changed_folders):
            sync_directory(folder)
            self._changed_folders.discard(folder)
        current = self._visits.get(position.visit)
        if current is not None and current.file.resume():
            self._remember(current.file, Place(position.offset, position.line))
        self._store.save()

    def _conclude(self, visit: Visit) -> None:
        """Put a file where it belongs."""
        file = visit.file
        if file.resume():
            if visit.outcome is Outcome.PENDING:
                self._remember(file, visit.place)
                return
            self._put_away(file, visit)
            self._let_go(file)
        elif visit.outcome is not Outcome.PENDING:  # somebody has removed it
            self._let_go(file)
            self._store.entries.pop(file.key, None)

    def _let_go(self, file: InputFile) -> None:
        if self.held.get(file.key) is file:
            del self.held[file.key]

    def _put_away(self, file: InputFile, visit: Visit) -> None:
        if visit.outcome is Outcome.FORGOTTEN:
            self._store.entries.pop(file.key, None)
            file.close()
            return
        # A file that has grown since its end was read has not come to its end.
        is_unfinished = visit.outcome is Outcome.UNFINISHED or (visit.outcome is Outcome.FINISHED and file.has_grown())
        if is_unfinished:
            self._remember(file, visit.place)
            file.release()
        elif self._post == "noop":
            entry = self._remember(file, visit.place)
            entry.state = "failed" if visit.outcome is Outcome.FAILED else "finished"
            # What was written since the visit began may not have been read.
            entry.set_status(visit.status)
            file.release()
        else:
            if visit.outcome is Outcome.FAILED:
                folder = file.move(FAILED)
            elif self._post == "delete":
                folder = file.delete()
            else:
                folder = file.move(PROCESSED, self._move_destination)
            self._changed_folders.add(folder)
            self._store.entries.pop(file.key, None)

    def _remember(self, file: InputFile, place: Place) -> Entry:
        entries = self._store.entries
        if file.end is not None and file.end.place == place:
            entry = dataclasses.replace(file.end)
        else:
            entry = Entry.of(file.fd, place, compressed=file.codec is not None)
        entries[file.key] = entry
        entry.path = file.path
        home = key_of(file.path)
        if file.key != home and home in entries and entries[home].inode == entry.inode:
            del entries[home]
        return entry

    def rekey(self, file: InputFile, key: str) -> None:
        """Remember a file by another key from now on."""
        if self.held.pop(file.key, None) is not None:
            self.held[key] = file
        entries = self._store.entries
        entries.pop(key, None)
        if file.key in entries and entries[file.key].inode == file.status.st_ino:
            # Another file may have the old key before this one is committed again.
            entries[key] = entries.pop(file.key)
        file.key = key

    def forget_blocking(self) -> None:
        """Drop everything that is not committed and let go of the files; they keep their names."""
        for file in self._all_files():
            file.close()
        self.held.clear()
        self._visits.clear()

    def release_blocking(self) -> None:
        """Give the files that are not done with their original names."""
        for file in self._all_files():
            file.release()
        self.held.clear()
        self._visits.clear()

    def _all_files(self) -> set[InputFile]:
        # Another file may be held by the key of one that is read, but not committed.
        return {*self.held.values(), *(visit.file for visit in self._visits.values())}

    def prune_blocking(self, patterns: list[str], *, finished_too: bool) -> None:
        """Forget files that match the patterns and do not exist any more, and perhaps the finished ones."""
        entries = self._store.entries
        gone = [
            key
            for key, entry in entries.items()
            if is_matched(InputFile.path_of_key(key), patterns)
            and (
                (finished_too and entry.state == "finished") or not (Path(key).exists() or Path(key + LOCKED).exists())
            )
        ]
        for key in gone:
            del entries[key]
        if gone:
            self._store.save()
