"""Splitting a response into decoded lines while it arrives."""

from __future__ import annotations

import codecs

_BOM = "\ufeff"


class LineTooLongError(ValueError):
    """A line is longer than allowed."""


class LineSplitter:
    """Makes lines of chunks. A line is text without its newline, or bytes if it is not valid in the encoding.

    Args:
        encoding: the encoding of the response.
        limit: the most bytes that a line may have.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding = encoding
        self._limit = limit
        self._is_first = True
        self._remainder: list[bytes] = []
        self._remainder_size = 0
        # Where a newline is more than the byte \n, lines can be told apart only after decoding.
        self._is_wide = "\n".encode(encoding) != b"\n"
        self._decoder = codecs.getincrementaldecoder(encoding)() if self._is_wide else None
        self._text = ""

    def feed(self, chunk: bytes) -> list[str | bytes]:
        """Return the lines that end in a chunk.

        Raises:
            LineTooLongError: a line is longer than the limit.
            UnicodeDecodeError: the response is not valid, in an encoding whose lines cannot be told apart then.
        """
        if self._decoder is not None:
            return self._feed_wide(self._decoder.decode(chunk))
        end = chunk.rfind(b"\n")
        if end < 0:
            self._keep(chunk)
            return []
        block = b"".join([*self._remainder, chunk[:end]])
        self._remainder, self._remainder_size = [], 0
        self._keep(chunk[end + 1 :])
        return self._decoded(block)

    def finish(self) -> list[str | bytes]:
        """Return the line that has no newline behind it, if there is one."""
        if self._decoder is not None:
            text = self._text + self._decoder.decode(b"", final=True)
            self._text = ""
            return [text] if text else []
        block = b"".join(self._remainder)
        self._remainder, self._remainder_size = [], 0
        return self._decoded(block) if block else []

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._remainder.append(rest)
            self._remainder_size += len(rest)
            self._check(self._remainder_size)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise LineTooLongError(f"a line is longer than line_limit ({self._limit} bytes)")

    def _decoded(self, block: bytes) -> list[str | bytes]:
        try:
            lines: list[str | bytes] = list(block.decode(self._encoding).split("\n"))
        except UnicodeDecodeError:
            lines = [self._decoded_line(line) for line in block.split(b"\n")]
        if self._is_first:
            self._is_first = False
            first = lines[0]
            if isinstance(first, str):
                lines[0] = first.removeprefix(_BOM)
        return lines

    def _decoded_line(self, line: bytes) -> str | bytes:
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            return line

    def _feed_wide(self, text: str) -> list[str | bytes]:
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix(_BOM)
        *lines, self._text = (self._text + text).split("\n")
        self._check(len(self._text))
        return list(lines)
