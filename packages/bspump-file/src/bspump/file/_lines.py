"""Reading a file by large blocks and splitting these into lines."""

from __future__ import annotations

import codecs
import io
import os
from typing import BinaryIO, NamedTuple

from ._input_file import FileError, PromptFile
from ._positions import Place

# A block that is a job for the thread should be large; what is read at once should still be in the processor's cache
# when it is used.
BLOCK = 1 << 20
PROMPT_BLOCK = 1 << 17
_SMALLEST_BLOCK = 1 << 13
# So many lines go through a pipeline in one piece.
_LINES_AT_ONCE = 480
_LONGEST_MARK = 4
_COMPARED = 64

_NEWLINE_NAMES = {"": "", "lf": "\n", "cr": "\r", "crlf": "\r\n", "\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n"}
# The byte order marks by the encodings that have them; the longer ones first, since one begins with the other.
_MARKS = {
    "utf-8": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
}
_UNMARKED = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_WIDTHS = {"utf-16": 2, "utf-32": 4}


def width_of(codec: str) -> int:
    """Return how many bytes the units of an encoding have."""
    return next((width for name, width in _WIDTHS.items() if codec.startswith(name)), 1)


def newline_of(option: str) -> str | None:
    """Return the newline that an option stands for: the characters, their escapes, or lf, crlf, cr. None: neither."""
    if option in ("\n", "\r", "\r\n"):
        return option
    return _NEWLINE_NAMES.get(option.strip().lower())


def split_mark(encoding: str) -> tuple[str, bytes]:
    """Return how a file in an encoding is written: the encoding of its pieces, and the byte order mark at its start."""
    name = codecs.lookup(encoding).name
    if name == "utf-8-sig":
        return "utf-8", codecs.BOM_UTF8
    if name in _UNMARKED:
        return _UNMARKED[name], _MARKS[name][0][0]
    return name, b""


class Format(NamedTuple):
    """How the lines of a kind of file are told apart and decoded."""

    newline: str = "\n"
    """What ends a line; "" means what the file itself uses."""
    encoding: str | None = None
    """None: the lines stay bytes."""
    errors: str = "strict"
    line_limit: int = 1 << 26
    """The most bytes that a line, or an event of several lines, may have."""
    block: int = BLOCK
    """How many bytes are read, and split into lines, at once."""


class LineReader:
    """The lines of one file, from a place on. Methods block.

    Args:
        content: the file, at its beginning.
        place: the place to begin at.
        form: how to split it.

    Attributes:
        codec: the encoding as it is after the byte order mark was seen, or None.
        start: the place behind the byte order mark.
        place: the place that the reader began at.
        consumed: how many bytes of the file have been read, from its beginning.
        first_block: the beginning of the file, for those who need it wherever they begin to read.
    """

    def __init__(self, content: BinaryIO, place: Place, form: Format) -> None:
        self._content = content
        raw: object = getattr(content, "raw", None)
        self._prompt = raw if isinstance(raw, PromptFile) and raw.can_be_prompt else None
        self._form = form
        self._prompt_block = min(form.block, PROMPT_BLOCK)
        self._error: Exception | None = None
        self._last_bytes = b""
        self.consumed = 0
        first = self._read_block()
        self.codec, mark = _encoding(first[:_LONGEST_MARK], form.encoding)
        self._width = width_of(self.codec or "")
        self.newline = (_newline_in(first) if form.newline == "" else form.newline).encode(self.codec or "ascii")
        self.start = Place(mark, 0)
        self.place = max(place, self.start)
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._line = self.place.line
        self.first_block = first[mark:]
        self._next: bytes | None = self._skip(first, self.place.offset)

    def _skip(self, first: bytes, offset: int) -> bytes:
        if offset <= len(first):
            return first[offset:]
        if self._content.seekable():
            self._content.seek(offset)
            self.consumed = offset
            self._last_bytes = b""
            return b""
        passed = len(first)
        while passed < offset:
            data = self._content.read(min(BLOCK, offset - passed))
            if not data:
                raise FileError(f"ends after {passed} bytes, in front of the place up to which it was read ({offset})")
            passed += len(data)
        self.consumed = offset
        return b""

    def read(self) -> list[bytes] | None:
        """Return the next whole lines, each with its newline; None at the end of the file as it is now."""
        while True:
            data = self._next or self._read_block()
            self._next = None
            if not data:
                return None
            lines = self._split_behind_rest(data)
            if self._rest_size > self._form.line_limit:
                raise FileError(f"line {self._line + len(lines) + 1} is longer than line_limit")
            if lines:
                self._line += len(lines)
                wanted = _LINES_AT_ONCE * len(data) // len(lines)
                self._prompt_block = min(max(wanted, _SMALLEST_BLOCK), PROMPT_BLOCK, self._form.block)
                return lines

    def _split_behind_rest(self, data: bytes) -> list[bytes]:
        """Return the lines that are whole now, and keep the rest."""
        if self._rest and not self._has_newline(data):
            self._rest.append(data)
            self._rest_size += len(data)
            return []
        if len(self.newline) > 1:  # a part of a newline may be in the rest
            lines = self.split(b"".join([*self._rest, data]))
        else:
            lines = self.split(data)
            lines[0] = b"".join([*self._rest, lines[0]])
        is_whole = lines[-1].endswith(self.newline) and not len(lines[-1]) % self._width
        self._set_rest(b"" if is_whole else lines.pop())
        return lines

    def _has_newline(self, data: bytes) -> bool:
        """Tell whether there is a newline in what follows the rest, or where the two meet."""
        size = len(self.newline)
        return self.newline in data or self.newline in self._rest[-1][1 - size :] + data[: size - 1]

    def _set_rest(self, rest: bytes) -> None:
        self._rest = [rest] if rest else []
        self._rest_size = len(rest)

    def take_rest(self) -> bytes:
        """Return what stands behind the last newline so far, and forget it."""
        rest = b"".join(self._rest)
        self._set_rest(b"")
        return rest

    @property
    def has_rest(self) -> bool:
        """Whether anything stands behind the last newline so far."""
        return bool(self._rest)

    @property
    def offset(self) -> int:
        """How many bytes are in front of the rest."""
        return self.consumed - self._rest_size

    @property
    def is_prompt(self) -> bool:
        """Whether `read_promptly` may have something."""
        return self._prompt is not None and self._prompt.can_be_prompt

    def read_promptly(self) -> list[bytes] | None:
        """Do as `read` where that takes no waiting; None also where it would."""
        if self._prompt is None:
            return None
        self._prompt.waits = False
        try:
            return self.read()
        except BlockingIOError:
            return None
        finally:
            self._prompt.waits = True

    def split(self, data: bytes) -> list[bytes]:
        """Split bytes into lines that keep their newline; the last one may have none."""
        if self._width > 1:
            return _split_wide(data, self.newline, self._width)
        if self.newline == b"\n":
            return io.BytesIO(data).readlines()
        lines = [part + self.newline for part in data.split(self.newline)]
        last = lines.pop().removesuffix(self.newline)
        return [*lines, last] if last else lines

    def _read_block(self) -> bytes:
        """Return up to a block; what comes before a damaged part of the file is returned before the error is raised."""
        if self._error is not None:
            raise self._error
        parts: list[bytes] = []
        missing = self._prompt_block if self.is_prompt else self._form.block
        while missing > 0:
            try:
                part = self._read_some(missing)
            except BlockingIOError:
                if not parts:
                    raise
                break
            except (OSError, EOFError) as error:
                if not parts:
                    raise
                self._error = error
                break
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        block = parts[0] if len(parts) == 1 else b"".join(parts)
        self.consumed += len(block)
        self._last_bytes = block[-_COMPARED:] or self._last_bytes
        return block

    def continues(self, fd: int) -> bool:
        """Tell whether what was read last is still in front of the place up to which the file was read."""
        size = len(self._last_bytes)
        return os.pread(fd, size, self.consumed - size) == self._last_bytes

    def _read_some(self, size: int) -> bytes:
        read: object = getattr(self._content, "read1", None)
        return bytes(read(size)) if callable(read) else self._content.read(size)


def _encoding(head: bytes, encoding: str | None) -> tuple[str | None, int]:
    """Return the encoding without byte order mark, and the length of the mark."""
    if encoding is None:
        return None, 0
    name = codecs.lookup(encoding).name.removesuffix("-sig")
    for mark, codec in _MARKS.get(name, ()):
        if head.startswith(mark):
            return codec, len(mark)
    return _UNMARKED.get(name, name), 0


def _newline_in(data: bytes) -> str:
    return "\r" if b"\r" in data and b"\n" not in data else "\n"


def _split_wide(data: bytes, newline: bytes, width: int) -> list[bytes]:
    """Split at newlines that begin at a multiple of the width of a character."""
    lines: list[bytes] = []
    start = 0
    at = data.find(newline)
    while at >= 0:
        if at % width:
            at = data.find(newline, at + 1)
            continue
        end = at + len(newline)
        lines.append(data[start:end])
        start = end
        at = data.find(newline, start)
    if start < len(data):
        lines.append(data[start:])
    return lines
