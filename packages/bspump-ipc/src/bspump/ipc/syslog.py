"""Syslog: messages of RFC 5424 and RFC 3164 become dictionaries."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asab

from bspump import Context, Event, ProcessingError, Processor, option

if TYPE_CHECKING:
    from bspump import Pipeline

_LARGEST_PRIORITY = 191
_BYTE_ORDER_MARK = "\ufeff"

_PRIORITY = re.compile(r"<(\d{1,3})>")
_RFC5424 = re.compile(
    r"(?P<version>[1-9]\d{0,2}) (?P<timestamp>\S+) (?P<hostname>\S{1,255}) (?P<app_name>\S{1,48}) "
    r"(?P<procid>\S{1,128}) (?P<msgid>\S{1,32}) (?=[-\[])",
    re.ASCII,
)
_ELEMENT = re.compile(r'\[([^\s="\]]{1,32})((?: [^\s="\]]{1,32}="(?:[^"\\\]]|\\.)*")*)\]', re.DOTALL)
_PARAMETER = re.compile(r' ([^\s="\]]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
_RFC3164_TIME = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? ")
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ")
_HOSTNAME = re.compile(r"([^\s:\[\]]+) (?=\S)")
_TAG = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\]\s]{1,128})\])?: ?")

_MONTHS = {"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * index : 3 * index + 3]: index + 1 for index in range(12)}
# A time without a year that is so far in the future was in the year before.
_FUTURE = datetime.timedelta(days=1)


class SyslogParser(Processor):
    """Parses a syslog message, ``bytes`` or ``str``, into a dictionary.

    Both formats are recognised by themselves: RFC 5424, and what RFC 3164 describes, which is what most devices send.
    The keys are ``facility`` and ``severity`` (numbers), ``timestamp`` (seconds since the epoch), ``hostname``,
    ``app_name``, ``procid``, ``msgid``, ``structured_data`` (a dictionary of dictionaries), ``message``, and
    ``version`` (1 for RFC 5424, 0 for RFC 3164). What a message does not have is None. Where RFC 3164 leaves it open,
    what does not look like a time, a host or a tag belongs to the message, so that nothing is lost.

    Bytes are decoded as UTF-8; in a message of RFC 3164, whose encoding nobody knows, other bytes become U+FFFD.

    Raises:
        ProcessingError: it is no syslog message.
    """

    timezone = option.text("UTC", help="The time zone of times that do not tell theirs, such as ``Europe/Prague``.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._zone: datetime.tzinfo = datetime.UTC
        with self.options() as options:
            try:
                if self.timezone != "UTC":
                    self._zone = zoneinfo.ZoneInfo(self.timezone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                options.refuse("timezone", "is no time zone that this system knows (such as Europe/Prague)")

    def process(self, context: Context, event: Event) -> dict[str, Any]:
        """Parse one message."""
        if isinstance(event, bytes | bytearray):
            text = bytes(event).decode("utf-8", "replace")
        elif isinstance(event, str):
            text = event
        else:
            raise ProcessingError(f"{self!r} got {type(event).__name__}, but expects a syslog message as bytes or str")
        text = text.rstrip("\r\n\0")
        priority = _PRIORITY.match(text)
        if priority is None or int(priority[1]) > _LARGEST_PRIORITY:
            raise ProcessingError(
                f"{self!r} got no syslog message: expected a priority, <0> to <{_LARGEST_PRIORITY}>, at its beginning"
            )
        facility, severity = divmod(int(priority[1]), 8)
        parsed: dict[str, Any] = {"facility": facility, "severity": severity}
        header = _RFC5424.match(text, priority.end())
        if header is not None:
            self._parse_rfc5424(text, header, parsed)
        else:
            self._parse_rfc3164(text, priority.end(), parsed)
        return parsed

    # RFC 5424

    def _parse_rfc5424(self, text: str, header: re.Match[str], parsed: dict[str, Any]) -> None:
        parsed["version"] = int(header["version"])
        parsed["timestamp"] = self._iso_time(header["timestamp"])
        for key in ("hostname", "app_name", "procid", "msgid"):
            parsed[key] = None if header[key] == "-" else header[key]
        parsed["structured_data"], end = self._structured_data(text, header.end())
        message = text[end + 1 :] if end < len(text) else None
        if message is not None and message.startswith(_BYTE_ORDER_MARK):
            message = message[1:]
        parsed["message"] = message

    def _iso_time(self, text: str) -> float | None:
        if text == "-":
            return None
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise ProcessingError(f"{self!r} got a syslog message with the time {text!r}, which is none") from None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)).timestamp()

    def _structured_data(self, text: str, start: int) -> tuple[dict[str, dict[str, str]] | None, int]:
        if text[start] == "-":
            self._check_end(text, start + 1)
            return None, start + 1
        elements: dict[str, dict[str, str]] = {}
        end = start
        while (element := _ELEMENT.match(text, end)) is not None:
            parameters = _PARAMETER.findall(element[2])
            elements.setdefault(element[1], {}).update({name: _ESCAPED.sub(r"\1", value) for name, value in parameters})
            end = element.end()
        self._check_end(text, end)
        return elements, end

    def _check_end(self, text: str, end: int) -> None:
        if end < len(text) and text[end] != " ":
            raise ProcessingError(
                f"{self!r} got a syslog message whose structured data is malformed at character {end}"
            )

    # RFC 3164

    def _parse_rfc3164(self, text: str, position: int, parsed: dict[str, Any]) -> None:
        parsed["version"] = 0
        parsed["timestamp"], position = self._bsd_time(text, position)
        parsed["hostname"] = parsed["app_name"] = parsed["procid"] = None
        if parsed["timestamp"] is not None and (hostname := _HOSTNAME.match(text, position)) is not None:
            parsed["hostname"] = hostname[1]
            position = hostname.end()
        if (tag := _TAG.match(text, position)) is not None:
            parsed["app_name"], parsed["procid"] = tag[1], tag[2]
            position = tag.end()
        parsed["msgid"] = parsed["structured_data"] = None
        parsed["message"] = text[position:]

    def _bsd_time(self, text: str, position: int) -> tuple[float | None, int]:
        found = _ISO_TIME.match(text, position)
        if found is not None:
            return self._iso_time(found[1]), found.end()
        found = _RFC3164_TIME.match(text, position)
        if found is None or found[1] not in _MONTHS:
            return None, position
        now = datetime.datetime.fromtimestamp(self.time(), self._zone)
        month = _MONTHS[found[1]]
        day, hour, minute, second = map(int, found.group(2, 3, 4, 5))
        microsecond = int((found[6] or "0").ljust(6, "0"))
        for year in (now.year + 1, now.year, now.year - 1, now.year - 2, now.year - 3, now.year - 4):
            try:
                moment = datetime.datetime(year, month, day, hour, minute, second, microsecond, self._zone)
            except ValueError:
                continue  # the 29th of February, or nonsense
            if moment <= now + _FUTURE:
                return moment.timestamp(), found.end()
        return None, position
