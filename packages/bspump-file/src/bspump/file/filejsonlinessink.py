"""Writing JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bspump import Event, ProcessingError, option

from ._file_sink import AppendingSink


class FileJSONLinesSink(AppendingSink):
    r"""Writes each event as a line of JSON, in UTF-8.

    ``bytes`` are written as text, in which ``\xff`` stands for a byte that is no UTF-8; sets as lists; keys as
    strings.

    Further options: those of `AppendingSink` (path, append, compression, encoding, rotate_size, rotate_every,
    buffer_size, buffer_limit, flush_interval, max_open_files).
    """

    unknown = option.choice(
        "refuse",
        ("refuse", "repr"),
        help="What to do about an object that JSON has nothing for: ``refuse`` the event (see ``on_error`` of the "
        "pipeline), or write its ``repr``.",
    )

    def serialise(self, path: str, events: Sequence[Event]) -> bytes:
        """Return the lines."""
        dumps, default, newline = orjson.dumps, self._default, orjson.OPT_APPEND_NEWLINE
        try:
            return b"".join([dumps(event, default, newline) for event in events])
        except TypeError:
            return b"".join(map(self._line, events))

    def _line(self, event: Event) -> bytes:
        try:
            return orjson.dumps(event, self._default, orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        except TypeError:
            pass  # keys that are bytes, integers beyond 64 bits, surrogates
        try:
            text = json.dumps(_with_str_keys(event), default=self._default, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise ProcessingError(f"{self!r} cannot write the event as JSON: {error}") from error
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _default(self, value: object) -> object:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "backslashreplace")
        if isinstance(value, set | frozenset):
            return list(value)
        if isinstance(value, Mapping):
            return dict(value)
        if self.unknown == "repr":
            return repr(value)
        raise TypeError(f"{type(value).__name__} has no equivalent in JSON")


def _with_str_keys(value: Any) -> Any:
    """Return the value with the keys of all its dictionaries as strings."""
    if isinstance(value, dict):
        return {_key(key): _with_str_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_str_keys(item) for item in value]
    return value


def _key(key: object) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    return key if isinstance(key, str) else str(key)
