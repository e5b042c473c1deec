"""Where one event ends and the next begins."""

from __future__ import annotations

import random

import pytest

from bspump import ProcessingError
from bspump.ipc._framing import FramingError, Splitter, framer, splitter_factory

EVENTS = [b"one", b"", b"three\r", b"x" * 70_000, b"<13>1 - - - - - -", "žluťoučký".encode(), b"last"]


def split(splitter: Splitter, data: bytes, sizes: random.Random | None = None) -> list[bytes | FramingError]:
    """Return frames and errors in their order, the data having come in pieces of chance."""
    found: list[bytes | FramingError] = []
    position = 0
    while position < len(data):
        size = sizes.choice((1, 2, 3, 1000, 50_000)) if sizes is not None else len(data)
        add(found, *splitter.feed(data[position : position + size]))
        position += size
    add(found, *splitter.finish())
    return found


def add(found: list[bytes | FramingError], frames: list[bytes], errors: list[tuple[int, FramingError]]) -> None:
    items: list[bytes | FramingError] = list(frames)
    for index, error in reversed(errors):
        items.insert(index, error)
    found.extend(items)


@pytest.mark.parametrize("framing", ["newline", "nul", "octet-counting", "length-prefix"])
@pytest.mark.parametrize("seed", range(5))
def test_what_a_sink_frames_a_source_splits_in_whatever_pieces_it_comes(framing: str, seed: int) -> None:
    frame = framer(framing, 4)
    events = [event for event in EVENTS if event or framing != "octet-counting"]
    data = b"".join(map(frame, events))
    assert split(splitter_factory(framing, 10**6, 4)(), data, random.Random(seed)) == events


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_length_prefixes_of_every_size(size: int) -> None:
    frame = framer("length-prefix", size)
    assert frame(b"abc") == b"\0" * (size - 1) + b"\x03abc"
    assert split(splitter_factory("length-prefix", 1000, size)(), frame(b"abc") + frame(b"")) == [b"abc", b""]


def test_a_length_that_the_prefix_cannot_tell_is_refused() -> None:
    with pytest.raises(ProcessingError, match="256 bytes, more than length_size = 1 can tell"):
        framer("length-prefix", 1)(b"x" * 256)


@pytest.mark.parametrize(("framing", "delimiter"), [("newline", b"\n"), ("nul", b"\0")])
def test_an_event_is_not_cut_in_two_by_what_is_in_it(framing: str, delimiter: bytes) -> None:
    frame = framer(framing, 4)
    assert frame(b"ends by itself" + delimiter) == b"ends by itself" + delimiter
    with pytest.raises(ProcessingError, match=r"in its middle \(at byte 1\)"):
        frame(b"a" + delimiter + b"b")


def test_no_framing_sends_events_as_they_are() -> None:
    assert framer("none", 4)(b"a\nb") == b"a\nb"


def test_the_last_line_may_lack_its_newline() -> None:
    assert split(splitter_factory("newline", 100, 4)(), b"a\nb") == [b"a", b"b"]


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_line_that_is_too_long_is_left_out_and_the_next_one_comes(seed: int | None) -> None:
    chance = random.Random(seed) if seed is not None else None
    data = b"good\n" + b"x" * 50_000 + b"\nnext\n" + b"y" * 11 + b"\n" + b"z" * 10 + b"\n"
    good, long, following, eleven, ten = split(splitter_factory("newline", 10, 4)(), data, chance)
    assert (good, following, ten) == (b"good", b"next", b"z" * 10)
    assert isinstance(long, FramingError)
    assert "longer than line_limit (10 bytes)" in str(long)
    assert long.head.startswith(b"xxx")
    assert not long.is_final
    assert isinstance(eleven, FramingError)


def test_a_line_without_an_end_takes_no_memory_beyond_the_limit() -> None:
    splitter = splitter_factory("newline", 1000, 4)()
    errors = 0
    for _ in range(100):
        errors += len(splitter.feed(b"x" * 900)[1])
        assert splitter.pending <= 1000
    assert errors == 1


@pytest.mark.parametrize("framing", ["octet-counting", "length-prefix"])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_frame_that_is_too_long_is_left_out_and_the_next_one_comes(framing: str, seed: int | None) -> None:
    frame = framer(framing, 4)
    chance = random.Random(seed) if seed is not None else None
    data = frame(b"good") + frame(b"x" * 50_000) + frame(b"next")
    found = split(splitter_factory(framing, 100, 4)(), data, chance)
    assert [found[0], found[2]] == [b"good", b"next"]
    assert "it has 50000 bytes" in str(found[1])


@pytest.mark.parametrize("data", [b"hello", b"012 abc", b"12345678901 x", b"5x", b" 5", b"-1 x"])
def test_what_has_no_length_in_front_ends_the_stream(data: bytes) -> None:
    found = split(splitter_factory("octet-counting", 100, 4)(), b"2 ok" + data)
    assert found[0] == b"ok"
    assert isinstance(found[1], FramingError)
    assert found[1].is_final
    assert "expected a length in digits and a space" in str(found[1])


@pytest.mark.parametrize(("framing", "data"), [("octet-counting", b"10 abc"), ("length-prefix", b"\0\0\0\x0aabc")])
def test_a_frame_that_is_cut_off_by_the_end_is_no_event(framing: str, data: bytes) -> None:
    (error,) = split(splitter_factory(framing, 100, 4)(), data)
    assert "ended within a frame" in str(error)


def test_syslog_comes_counted_or_in_lines() -> None:
    make = splitter_factory("syslog", 100, 4)
    assert split(make(), b"<1>a\n<2>b\n") == [b"<1>a", b"<2>b"]
    assert split(make(), b"4 <1>a5 <2>\nb") == [b"<1>a", b"<2>\nb"]
    assert split(make(), b"") == []
