"""Syslog messages become dictionaries."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest

import bspump
from bspump.ipc import StreamServerSource, SyslogParser
from bspump.testing import MemorySink, PumpRunner, until

BuildPipeline = Callable[..., bspump.Pipeline]


class Parsing(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, **options: Any) -> None:
        super().__init__(app, "Parsing")
        self.parser = SyslogParser(app, self, config=options)


@pytest.fixture
def parser(pump: PumpRunner) -> SyslogParser:
    return Parsing(pump.app).parser


def utc(*numbers: int) -> float:
    year, month, day, hour, minute, second, microsecond = (*numbers, 0)[:7]
    return datetime.datetime(year, month, day, hour, minute, second, microsecond, datetime.UTC).timestamp()


# The first three are the examples of RFC 5424.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
            b"\xef\xbb\xbf'su root' failed on /dev/pts/8",
            {
                "facility": 4,
                "severity": 2,
                "version": 1,
                "timestamp": utc(2003, 10, 11, 22, 14, 15, 3000),
                "hostname": "mymachine.example.com",
                "app_name": "su",
                "procid": None,
                "msgid": "ID47",
                "structured_data": None,
                "message": "'su root' failed on /dev/pts/8",
            },
        ),
        (
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            {
                "facility": 20,
                "severity": 5,
                "timestamp": utc(2003, 8, 24, 12, 14, 15, 3),
                "procid": "8710",
                "msgid": None,
                "message": "%% It's time to make the do-nuts.",
            },
        ),
        (
            '<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
            'eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]',
            {
                "structured_data": {
                    "exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"},
                    "examplePriority@32473": {"class": "high"},
                },
                "message": None,
            },
        ),
        (
            r'<0>1 - - - - - [a x="\"quoted\" \] \\ \n" y=""][b] ',
            {
                "structured_data": {"a": {"x": r"\"quoted\" ] \ \n".replace('\\"', '"'), "y": ""}, "b": {}},
                "message": "",
            },
        ),
        ("<191>1 - - - - - -", {"facility": 23, "severity": 7, "timestamp": None, "hostname": None, "message": None}),
        ("<13>1 - - - - - - two\nlines\n", {"message": "two\nlines"}),
    ],
)
def test_rfc_5424(parser: SyslogParser, text: str | bytes, expected: dict[str, Any]) -> None:
    parsed = parser.process({}, text)
    assert {key: parsed[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            {
                "facility": 4,
                "severity": 2,
                "version": 0,
                "timestamp": utc(2024, 10, 11, 22, 14, 15),
                "hostname": "mymachine",
                "app_name": "su",
                "procid": None,
                "msgid": None,
                "structured_data": None,
                "message": "'su root' failed for lonvick on /dev/pts/8",
            },
        ),
        (
            b"<38>Mar  1 00:00:01 host sshd[4721]: Accepted",
            {"timestamp": utc(2025, 3, 1, 0, 0, 1), "app_name": "sshd", "procid": "4721", "message": "Accepted"},
        ),
        (
            "<13>Feb 29 12:00:00.25 host app: leap",
            {"timestamp": utc(2024, 2, 29, 12, 0, 0, 250_000), "hostname": "host", "message": "leap"},
        ),
        (
            "<13>2025-03-05T06:07:08.000001+01:00 host app[1]: modern rsyslog",
            {"timestamp": utc(2025, 3, 5, 5, 7, 8, 1), "hostname": "host", "app_name": "app", "procid": "1"},
        ),
        (
            "<13>Use the BFG!",
            {"timestamp": None, "hostname": None, "app_name": None, "message": "Use the BFG!"},
        ),
        ("<13>Xyz 99 99:99:99 host app: text", {"timestamp": None, "message": "Xyz 99 99:99:99 host app: text"}),
        ("<13>", {"facility": 1, "severity": 5, "message": ""}),
        (b"<13>Mar  1 00:00:01 host app: caf\xe9", {"message": "caf\ufffd"}),
        ("<13>1 is no version here", {"version": 0, "message": "1 is no version here"}),
    ],
)
def test_rfc_3164(
    parser: SyslogParser, monkeypatch: pytest.MonkeyPatch, text: str | bytes, expected: dict[str, Any]
) -> None:
    monkeypatch.setattr(parser, "time", lambda: utc(2025, 3, 5, 12, 0, 0))
    parsed = parser.process({}, text)
    assert {key: parsed[key] for key in expected} == expected


def test_times_around_the_new_year_have_the_right_year(parser: SyslogParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "time", lambda: utc(2024, 12, 31, 23, 59, 59))
    assert parser.process({}, "<13>Jan  1 00:00:05 h a: x")["timestamp"] == utc(2025, 1, 1, 0, 0, 5)
    monkeypatch.setattr(parser, "time", lambda: utc(2025, 1, 1, 0, 0, 5))
    assert parser.process({}, "<13>Dec 31 23:59:59 h a: x")["timestamp"] == utc(2024, 12, 31, 23, 59, 59)


def test_times_without_a_zone_are_in_the_one_that_is_set(pump: PumpRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = Parsing(pump.app, timezone="Europe/Prague").parser
    monkeypatch.setattr(parser, "time", lambda: utc(2025, 8, 5, 12, 0, 0))
    assert parser.process({}, "<13>Aug  1 12:00:00 h a: x")["timestamp"] == utc(2025, 8, 1, 10, 0, 0)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ("hello", "expected a priority, <0> to <191>, at its beginning"),
        ("<192>hello", "expected a priority"),
        ("<1234>hello", "expected a priority"),
        ("<13>1 2003-13-99T22:14:15Z h a p m - text", "the time '2003-13-99T22:14:15Z', which is none"),
        ('<13>1 - - - - - [a x="unfinished] text', "structured data is malformed at character 16"),
        ("<13>1 - - - - - -text", "structured data is malformed at character 17"),
        (7, "got int, but expects a syslog message as bytes or str"),
    ],
)
def test_what_is_no_syslog_message_is_told(parser: SyslogParser, event: bspump.Event, complaint: str) -> None:
    with pytest.raises(bspump.ProcessingError, match=complaint.replace("[", r"\[")) as caught:
        parser.process({}, event)
    assert str(caught.value).startswith("SyslogParser('Parsing.SyslogParser') got ")


def test_an_unknown_time_zone_is_told(pump: PumpRunner) -> None:
    Parsing(pump.app, timezone="Mars/Olympus")
    (problem,) = pump.service.configuration_problems
    assert problem.startswith("[pipeline:Parsing:SyslogParser] timezone: 'Mars/Olympus' is no time zone")


def test_messages_over_tcp(pump: PumpRunner, receiving: BuildPipeline) -> None:
    pipeline = receiving(StreamServerSource, SyslogParser, framing="syslog", decode="bytes")
    sink = pipeline.Processors[0][-1]
    assert isinstance(sink, MemorySink)

    async def scenario() -> None:
        source = pipeline.Sources[0]
        assert isinstance(source, StreamServerSource)
        await until(lambda: source.addresses)
        address = source.addresses[0]
        assert isinstance(address, tuple)
        port = address[1]
        for data in (b"17 <13>app: new\nline14 <13>app: other", b"<13>app: a line\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.close()
        await sink.wait_for(3)

    pump.run(scenario, pipeline)
    assert sorted(event["message"] for event in sink.events) == ["a line", "new\nline", "other"]
