"""Parsing and serialising JSON.

A batch is parsed at once, as one array of all its lines; only if that fails the lines are taken one by one.
"""

from __future__ import annotations

import codecs
import json
import math
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab
import orjson

from .._types import Context, Event
from ..abc.processor import Processor
from ..errors import PluginError, ProcessingError
from ._expect import are_all, one_by_one, wrong_type
from .bytes import EncodedProcessor

if TYPE_CHECKING:
    from ..pipeline import Pipeline

# Between two events of a joined batch stands a string that no event can know. So a line that is no complete JSON value
# by itself cannot pass by forming one together with its neighbours.
# It has no digits, which would look like those of a long number below.
_SEPARATOR = secrets.token_hex(8).translate(str.maketrans("0123456789", "ghijklmnop"))
_SEPARATOR_BYTES = f',"{_SEPARATOR}",'.encode()
_SEPARATOR_STR = f',"{_SEPARATOR}",'
_SEPARATOR_OF_STANDARD_LIBRARY = f', "{_SEPARATOR}", '

# orjson makes floats of integers beyond 64 bits; the standard library does not. So many digits in a row are left to it.
_LONG_NUMBER = b"0" * 19
_DIGITS_TO_ZERO = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))


# Of so many digits in a row, every fourth byte shows at least these.
_SAMPLE_OF_LONG_NUMBER = b"0" * 4


def _may_have_long_number(text: bytes) -> bool:
    # Much faster than a regular expression, and `rfind` than `find`; what the sample shows is looked at in full.
    if text[::4].translate(_DIGITS_TO_ZERO).rfind(_SAMPLE_OF_LONG_NUMBER) < 0:
        return False
    return text.translate(_DIGITS_TO_ZERO).rfind(_LONG_NUMBER) >= 0


def parse_json(event: str | bytes) -> Any:
    """Parse one JSON text as the standard library does, faster where the result is the same.

    Raises:
        json.JSONDecodeError: the text is no JSON.
    """
    try:
        data = event.encode() if isinstance(event, str) else event
        if not _may_have_long_number(data):
            return orjson.loads(data)
    except (UnicodeEncodeError, orjson.JSONDecodeError):
        pass  # NaN, Infinity and lone surrogates are understood by the standard library only
    return json.loads(event)


def parse_json_batch(events: list[Event]) -> list[Any] | None:
    """Parse JSON texts, all ``str`` or all ``bytes``, at once. None: they have to be parsed one by one."""
    try:
        # The brackets go to the first and the last text, since adding them to the whole would copy it.
        texts = events.copy()
        if isinstance(texts[0], str):
            texts[0] = "[" + texts[0]
            texts[-1] += "]"
            joined = _SEPARATOR_STR.join(texts).encode()
        else:
            texts[0] = b"[" + texts[0]
            texts[-1] += b"]"
            joined = _SEPARATOR_BYTES.join(texts)
        if _may_have_long_number(joined):
            return None
        values: list[Any] = orjson.loads(joined)
    except (TypeError, UnicodeEncodeError, orjson.JSONDecodeError):
        return None
    if len(values) != 2 * len(events) - 1 or values[1::2].count(_SEPARATOR) != len(events) - 1:
        return None
    return values[::2]


class StdJsonToDictParser(Processor):
    """Parses a JSON text, ``str`` or ``bytes``, into what the standard library makes of it.

    Raises:
        json.JSONDecodeError: the event is no JSON.
    """

    def process(self, context: Context, event: Event) -> Event:
        """Parse one event."""
        if not isinstance(event, str | bytes | bytearray):
            raise wrong_type(self, event, "JSON as str or bytes")
        value = parse_json(bytes(event) if isinstance(event, bytearray) else event)
        if value is None:
            raise ProcessingError(f"{self!r} got the JSON value null, which cannot be an event")
        return value

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Parse a batch."""
        values = parse_json_batch(events)
        # `all` is the quick question; only where there are zeros or empty values it has to be asked properly.
        if values is None or (not all(values) and any(value is None for value in values)):
            values = one_by_one(self, contexts, events)
        return contexts, values


class CySimdJsonParser(Processor):
    """Parses a JSON text, as bytes, into an object of cysimdjson, which converts a value when it is asked for.

    It pays where few values of a large text are used; where many are, `StdJsonToDictParser` is quicker. Each event
    keeps the memory that it looks into, up to twenty times its text, until it and all that was taken out of it are
    gone. Objects are mappings and arrays are sequences, but neither can be changed; ``event.export()`` makes
    dictionaries and lists of them.

    Raises:
        PluginError: the package cysimdjson is not installed.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        try:
            from ._lazy_json import parse_lazily
        except ModuleNotFoundError as error:
            if error.name != "cysimdjson":
                raise
            raise PluginError(f"{self!r} needs a package: pip install 'bspump-core[simdjson]'") from None
        self._parse = parse_lazily

    def process(self, context: Context, event: Event) -> Event:
        """Parse one event."""
        if not isinstance(event, bytes | bytearray):
            raise wrong_type(self, event, "JSON as bytes")
        return self._parse(bytes(event))

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Parse a batch."""
        if not are_all(events, bytes):
            return contexts, one_by_one(self, contexts, events)
        return contexts, list(map(self._parse, events))


class StdDictToJsonParser(Processor):
    """Serialises an event into a JSON text as the standard library writes it."""

    def process(self, context: Context, event: Event) -> str:
        """Serialise one event."""
        try:
            return json.dumps(event)
        except (TypeError, ValueError, RecursionError) as error:
            raise _not_serialisable(self, event, error) from error

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Serialise a batch: as one array, which is then taken apart at what stands between the events."""
        with_separators = [_SEPARATOR] * (2 * len(events) - 1)
        with_separators[::2] = events
        return contexts, json.dumps(with_separators)[1:-1].split(_SEPARATOR_OF_STANDARD_LIBRARY)


class DictToJsonBytesParser(EncodedProcessor):
    """Serialises an event into compact JSON as bytes. NaN and infinities, which JSON does not have, become null.

    Besides what the standard library serialises: dates and times (ISO 8601), UUIDs, dataclasses and enumerations.
    """

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._is_utf8 = codecs.lookup(self.Encoding).name == "utf-8"

    def process(self, context: Context, event: Event) -> bytes:
        """Serialise one event."""
        try:
            data = orjson.dumps(event)
            if self._is_utf8:
                return data
            return data.decode().encode(self.Encoding)
        except (TypeError, UnicodeEncodeError):
            return self._serialise_otherwise(event)

    def _serialise_otherwise(self, event: Event) -> bytes:
        """Serialise keys that are no strings, integers beyond 64 bits, and characters that the encoding lacks."""
        try:
            return _dumps(event, ensure_ascii=False).encode(self.Encoding)
        except UnicodeEncodeError:
            return _dumps(event, ensure_ascii=True).encode(self.Encoding)
        except (TypeError, ValueError, RecursionError) as error:
            raise _not_serialisable(self, event, error) from error

    def process_batch(self, contexts: list[Context], events: list[Event]) -> tuple[list[Context], list[Event]]:
        """Serialise a batch."""
        if self._is_utf8:
            try:
                return contexts, list(map(orjson.dumps, events))
            except TypeError:
                pass
        return contexts, one_by_one(self, contexts, events)


def _not_serialisable(processor: Processor, event: Event, error: Exception) -> ProcessingError:
    return ProcessingError(
        f"{processor!r} got {type(event).__name__} that cannot become JSON ({error}), but expects dictionaries, lists, "
        f"text, numbers, truth values and None"
    )


def _dumps(event: Event, *, ensure_ascii: bool) -> str:
    """Serialise what orjson does not, to what it would make of it."""
    text = json.dumps(event, ensure_ascii=ensure_ascii, separators=(",", ":"), default=_as_orjson_does)
    if "NaN" in text or "Infinity" in text:
        finite = _without_infinities(event)
        text = json.dumps(finite, ensure_ascii=ensure_ascii, separators=(",", ":"), default=_as_orjson_does)
    return text


def _as_orjson_does(value: object) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_without_infinities(key): _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return value


# Names under which the manual and earlier versions know them
JSONParserProcessor = StdJsonToDictParser
JsonToDictParser = StdJsonToDictParser
DictToJsonParser = StdDictToJsonParser
