"""Finding the files that a source is to read."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import os
import stat
import time
from collections.abc import Iterator

from ._input_file import FAILED, LOCKED, PROCESSED, SUFFIXES, key_of


@dataclasses.dataclass(slots=True)
class Candidate:
    """A file that may be read."""

    path: str
    """Its original path, as the option of the source leads to it."""
    key: str
    """What it is remembered by."""
    is_orphan: bool
    """It has the suffix ``-locked``: somebody reads it, or was killed while doing so."""
    status: os.stat_result

    def was_written_to(self) -> bool:
        """Tell whether the file has changed since it was found. Blocks."""
        status = _regular(self.path)
        return status is not None and (status.st_size, status.st_mtime_ns) != (
            self.status.st_size,
            self.status.st_mtime_ns,
        )


@dataclasses.dataclass(slots=True)
class Scan:
    """What was found."""

    candidates: list[Candidate]
    nothing_at: list[str]
    """Paths and patterns at which there is nothing."""
    directories: list[str]
    """Paths without wildcards at which there is a directory."""
    counts: dict[str, float]
    """The values of the gauge ``file_count``."""


def scan(patterns: list[str], include: list[str], exclude: list[str], order: str) -> Scan:
    """Find files.

    Args:
        patterns: paths or glob patterns.
        include: patterns of which one has to match the path, if there are any.
        exclude: patterns of which none may match.
        order: ``name`` or ``time`` (of the last modification).
    """
    began = time.perf_counter()
    candidates: dict[str, Candidate] = {}
    numbers = {PROCESSED: 0, FAILED: 0, LOCKED: 0}
    result = Scan([], [], [], {})
    seen: set[str] = set()
    for pattern in patterns:
        is_found = False
        for path, suffix, status in _matches(pattern):
            is_found = True
            key = key_of(path)
            if key + suffix in seen or not _is_wanted(path, include, exclude):
                continue
            seen.add(key + suffix)
            if suffix:
                numbers[suffix] += 1
            if status is not None and (suffix or key not in candidates):
                candidates[key] = Candidate(path, key, suffix == LOCKED, status)
        if not is_found:
            (result.directories if os.path.isdir(pattern) else result.nothing_at).append(pattern)  # noqa: PTH112
    if order == "time":
        result.candidates = sorted(candidates.values(), key=lambda c: (not c.is_orphan, c.status.st_mtime_ns, c.path))
    else:
        result.candidates = sorted(candidates.values(), key=lambda c: (not c.is_orphan, c.path))
    unprocessed = len(seen) - sum(numbers.values())
    result.counts = {
        "processed": numbers[PROCESSED],
        "failed": numbers[FAILED],
        "locked": numbers[LOCKED],
        "unprocessed": unprocessed,
        "all_files": len(seen),
        "scan_time": time.perf_counter() - began,
    }
    return result


def _matches(pattern: str) -> Iterator[tuple[str, str, os.stat_result | None]]:
    """Yield the original path and the suffix of every regular file that a pattern stands for.

    The third item is its status, unless the suffix says that the file is done with.
    """
    for suffix in ("", *SUFFIXES):
        for path in _expand(pattern, suffix):
            its_suffix = next((suffix for suffix in SUFFIXES if path.endswith(suffix)), "")
            if its_suffix in (PROCESSED, FAILED):
                yield path.removesuffix(its_suffix), its_suffix, None
            elif (status := _regular(path)) is not None:
                yield path.removesuffix(its_suffix), its_suffix, status


def _expand(pattern: str, suffix: str) -> Iterator[str]:
    path = pattern + suffix
    # A file whose name happens to look like a pattern is meant as it is.
    if os.path.lexists(path):
        yield path
    elif glob.has_magic(pattern):
        yield from glob.iglob(path, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)


def _regular(path: str) -> os.stat_result | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (as strings come from glob)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _is_wanted(path: str, include: list[str], exclude: list[str]) -> bool:
    if include and not any(fnmatch.fnmatch(path, pattern) for pattern in include):
        return False
    return not any(fnmatch.fnmatch(path, pattern) for pattern in exclude)


def is_matched(key: str, patterns: list[str]) -> bool:
    """Tell whether a file, by its absolute path, is one that the patterns stand for, be it there or not."""
    absolute = map(key_of, patterns)
    return any(key == pattern or fnmatch.fnmatchcase(key, pattern.replace("**/", "*")) for pattern in absolute)
