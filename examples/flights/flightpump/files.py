"""Small things with files."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BLOCK = 1 << 20


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressing it where its suffix says so."""
    stream: IO[bytes] = _OPENERS.get(path.suffix, open)(path, "rb")
    return stream


def count_lines(path: Path) -> int:
    """Return how many lines with something in them follow the first one."""
    with open_bytes(path) as stream:
        stream.readline()
        return sum(1 for line in stream if not line.isspace())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: str) -> None:
    """Replace a file. At any instant, and after a crash, it has either all of the old content or all of the new."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make a renaming in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
