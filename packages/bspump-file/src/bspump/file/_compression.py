"""Compressed files: telling them by their name, reading and writing them.

Each of the formats but ``.lzma`` allows several compressed streams one after the other in one file (members, streams or
frames), and reads back as their contents joined. That is how a file is appended to, and how what was written so far
is complete at any time. Of ``.lzma`` the usual tools read the first stream only, so it can be read, but not written.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

import zstandard

_CODEC_OF_SUFFIX = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bz2",
    ".xz": "xz",
    ".lzma": "lzma",
    ".zst": "zstd",
    ".zstd": "zstd",
}
CODECS = ("gzip", "bz2", "xz", "lzma", "zstd")
WRITABLE_CODECS = ("gzip", "bz2", "xz", "zstd")
# Small, since some data decompresses to a thousand times its size.
_BLOCK = 1 << 15
# The header of a gzip file may say that this is the size of its content, in the window bits of zlib.
_GZIP_WINDOW = 31


class BrokenArchiveError(OSError):
    """A compressed file is damaged or is no such file; `truncated` if it only ends too early."""

    def __init__(self, message: str, *, truncated: bool = False) -> None:
        super().__init__(message)
        self.truncated = truncated


class _Decompressor(Protocol):
    """What the decompressors of all the formats have in common: one stream each."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


_DECOMPRESSORS: dict[str, Callable[[], object]] = {
    "gzip": lambda: zlib.decompressobj(_GZIP_WINDOW),
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, compresslevel=6),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError)


def codec_of(filename: str, compression: str = "auto") -> str | None:
    """Return the codec of a file, or None if it is not compressed.

    Args:
        filename: its suffix decides when `compression` is ``auto``.
        compression: ``auto``, ``none`` or the name of a codec.
    """
    if compression == "none":
        return None
    if compression != "auto":
        return compression
    return next((codec for suffix, codec in _CODEC_OF_SUFFIX.items() if filename.endswith(suffix)), None)


def split_suffix(filename: str) -> tuple[str, str]:
    """Split a file name before its suffix, to which that of a compression belongs: ``a.csv.gz`` at ``.csv.gz``."""
    directory, slash, name = filename.rpartition("/")
    end = next((len(name) - len(suffix) for suffix in _CODEC_OF_SUFFIX if name.endswith(suffix)), len(name))
    dot = name.rfind(".", 1, end)
    cut = dot if dot > 0 else end
    return directory + slash + name[:cut], name[cut:]


def compress(data: bytes, codec: str | None) -> bytes:
    """Return `data` as one complete stream of the codec; as it is if there is none."""
    return data if codec is None else _COMPRESSORS[codec](data)


def open_decompressed(raw: io.RawIOBase | io.BufferedReader, codec: str | None) -> BinaryIO:
    """Return a file object that reads the content of `raw`, which it closes with itself."""
    if codec is None:
        return cast(BinaryIO, raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw, _BLOCK))
    return cast(BinaryIO, io.BufferedReader(_DecompressedFile(raw, codec), _BLOCK))


class _DecompressedFile(io.RawIOBase):
    """The content of a compressed file, over all its streams."""

    def __init__(self, raw: io.RawIOBase | io.BufferedReader, codec: str) -> None:
        self._raw = raw
        self._streams = _Streams(codec)
        self._available = b""
        self._taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        while self._taken == len(self._available):
            data = self._raw.read(_BLOCK)
            if not data:
                self._streams.finish()
                return 0
            self._available = self._streams.feed(data)
            self._taken = 0
        part = self._available[self._taken : self._taken + len(view)]
        view[: len(part)] = part
        self._taken += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Streams:
    """Decompresses one stream after the other.

    Attributes:
        complete: how many of the compressed bytes belong to streams that have come to their end.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._current: _Decompressor | None = None
        self._fed = 0
        self._broken: BrokenArchiveError | None = None
        self.complete = 0

    def feed(self, data: bytes) -> bytes:
        """Take compressed bytes and return what they decompress to.

        Raises:
            BrokenArchiveError: they are damaged. What came before the damage has been returned.
        """
        if self._broken is not None:
            raise self._broken
        self._fed += len(data)
        parts: list[bytes] = []
        while data:
            if self._current is None:
                if not self._begin(data):
                    break
                self._current = cast(_Decompressor, _DECOMPRESSORS[self._codec]())
            try:
                parts.append(self._current.decompress(data))
            except _ERRORS as error:
                self._broken = BrokenArchiveError(f"broken {self._codec} data: {error}")
                if not any(parts):
                    raise self._broken from error
                break
            data = b""
            if self._current.eof:
                data = self._current.unused_data
                self.complete = self._fed - len(data)
                self._current = None
        return b"".join(parts)

    def _begin(self, data: bytes) -> bool:
        """Tell whether a further stream begins here: tapes and some tools fill up with zeros behind the last one."""
        return self.complete == 0 or bool(data.strip(b"\0"))

    def finish(self) -> None:
        """Take note that there are no more compressed bytes.

        Raises:
            BrokenArchiveError: they are damaged, or a stream has begun and not ended.
        """
        if self._broken is not None:
            raise self._broken
        if self._current is not None:
            raise BrokenArchiveError(f"the {self._codec} data ends too early", truncated=True)


def complete_length(raw: io.BufferedReader, codec: str) -> int:
    """Return how many bytes of a compressed file are complete streams; what follows them was never finished.

    Raises:
        BrokenArchiveError: the file is damaged, or no such file at all.
    """
    streams = _Streams(codec)
    while data := raw.read(_BLOCK):
        streams.feed(data)
    return streams.complete
