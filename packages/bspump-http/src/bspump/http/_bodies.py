"""How a batch of events becomes the body of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from bspump import Event, RejectedError


class BodyFormat(NamedTuple):
    """A format: the encoder of one event, how encoded events are joined, and what the result is called."""

    encode: Callable[[Event], bytes]
    join: Callable[[list[bytes]], bytes]
    content_type: str
    is_single: bool
    """Whether each event is a request of its own."""


def _json(event: Event) -> bytes:
    """Return JSON text: bytes and text are taken for JSON already."""
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return event.encode()
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RejectedError(f"the event cannot be written as JSON: {error}") from None


def _json_line(event: Event) -> bytes:
    text = _json(event).strip()
    if b"\n" not in text and b"\r" not in text:
        return text
    try:
        return _json(json.loads(text))
    except ValueError as error:
        raise RejectedError(f"the event has several lines and is no valid JSON: {error}") from None


def _raw(event: Event) -> bytes:
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return event.encode()
    raise RejectedError(f"the event is {type(event).__name__}, but format = raw expects bytes or str")


def _only(bodies: list[bytes]) -> bytes:
    return bodies[0]


FORMATS = {
    "json_array": BodyFormat(_json, lambda items: b"[" + b",".join(items) + b"]", "application/json", False),
    "json_lines": BodyFormat(
        _json_line, lambda items: b"".join(item + b"\n" for item in items), "application/x-ndjson", False
    ),
    "json": BodyFormat(_json, _only, "application/json", True),
    "raw": BodyFormat(_raw, _only, "application/octet-stream", True),
}
