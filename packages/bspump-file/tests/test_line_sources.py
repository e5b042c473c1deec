"""Lines become events."""

from __future__ import annotations

import asyncio
import bz2
import errno
import gzip
import itertools
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import bspump
import bspump.file
from bspump.file import FileJSONLinesSource, FileLineSource, FileMultiLineSource
from bspump.testing import MemorySink, PumpRunner

ReadFiles = Callable[..., MemorySink]


def test_lines_keep_their_newline_and_know_where_they_come_from(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\nthree\r\n\x0bfour\x85\n")
    sink = read_files(FileLineSource, path)
    assert sink.events == [b"one\n", b"\n", b"three\r\n", b"\x0bfour\x85\n"]
    assert sink.contexts == [{"filename": str(path), "line": line} for line in (1, 2, 3, 4)]


def test_each_event_has_a_context_of_its_own(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    sink = read_files(FileLineSource, tmp_path / "a.txt")
    sink.contexts[0]["mark"] = True
    assert "mark" not in sink.contexts[1]


def test_lines_across_blocks_are_whole(read_files: ReadFiles, tmp_path: Path) -> None:
    lines = [b"%d " % number + b"x" * (number % 5000) + b"\n" for number in range(2000)]
    (tmp_path / "a.txt").write_bytes(b"".join(lines))
    sink = read_files(FileLineSource, tmp_path / "a.txt")
    assert sink.events == lines
    assert [context["line"] for context in sink.contexts] == list(range(1, 2001))


@pytest.mark.parametrize("problem", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_the_system_does_not_have_in_memory_is_waited_for(
    read_files: ReadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    lines = [b"%d " % number + b"x" * (number % 500) + b"\n" for number in range(5000)]
    (tmp_path / "a.txt").write_bytes(b"".join(lines))
    really_read = os.preadv
    tries = itertools.count()

    def read(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        if next(tries) % 3 == 0:
            raise OSError(problem, os.strerror(problem))
        return really_read(fd, [memoryview(buffers[0])[:10_000]], offset, flags)

    monkeypatch.setattr(os, "preadv", read)
    sink = read_files(FileLineSource, tmp_path / "a.txt")
    assert sink.events == lines
    assert [context["line"] for context in sink.contexts] == list(range(1, 5001))


@pytest.mark.parametrize(("encoding", "newline"), [("utf-16-le", "\n"), ("utf-8", "\r\n"), ("utf-8", "\n")])
def test_lines_are_whole_wherever_reading_happens_to_stop(
    read_files: ReadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, newline: str
) -> None:
    lines = ["\u0a58\u000a"[:1] * (number % 300) + newline for number in range(1000)] + ["x" * 500_000 + newline, "y"]
    (tmp_path / "a.txt").write_bytes("".join(lines).encode(encoding))
    really_read = os.preadv

    def read(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        return really_read(fd, [memoryview(buffers[0])[:1999]], offset, flags)

    monkeypatch.setattr(os, "preadv", read)
    sink = read_files(FileLineSource, tmp_path / "a.txt", mode="r", encoding=encoding, newline=newline)
    assert sink.events == lines


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1250", "utf-16", "utf-16-be", "utf-32", "cp500"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_in_any_encoding(read_files: ReadFiles, tmp_path: Path, encoding: str, newline: str) -> None:
    text = [
        "příliš" if encoding not in ("latin-1", "cp500") else "café",
        "",
        "ਊ\u0a0a" * 3 if "utf" in encoding else "x",
    ]
    content = "".join(line + newline for line in text)
    (tmp_path / "a.txt").write_bytes(content.encode(encoding))
    sink = read_files(FileLineSource, tmp_path / "a.txt", mode="r", encoding=encoding, newline=newline)
    assert sink.events == [line + newline for line in text]


def test_text_is_utf8_and_a_byte_order_mark_is_left_out(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n\xc5\x99\n")
    assert read_files(FileLineSource, tmp_path / "a.txt", mode="r").events == ["one\n", "ř\n"]


COMPRESSIONS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
    (".lzma", lambda data: lzma.compress(data, lzma.FORMAT_ALONE)),
    (".zst", lambda data: zstandard.ZstdCompressor().compress(data)),
]


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSIONS)
def test_compressed_files(
    read_files: ReadFiles, tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    lines = [os.urandom(20).hex().encode() + b"\n" for _ in range(20_000)]
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(compress(b"".join(lines)))
    sink = read_files(FileLineSource, path)
    assert sink.events == lines
    assert path.with_name(path.name + "-processed").exists()


@pytest.mark.parametrize(("suffix", "compress"), [case for case in COMPRESSIONS if case[0] != ".lzma"])
def test_archives_of_several_parts(
    read_files: ReadFiles, tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / f"a{suffix}").write_bytes(compress(b"one\ntw") + compress(b"o\nthree"))
    # The end of the archive is the end of the last line.
    assert read_files(FileLineSource, tmp_path / f"a{suffix}").events == [b"one\n", b"two\n", b"three"]


def test_compression_can_be_stated(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(gzip.compress(b"one\n"))
    assert read_files(FileLineSource, tmp_path / "a.log", compression="gzip").events == [b"one\n"]


def test_multi_line_events_are_what_is_in_the_file(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"rest\n<1>first\n 2nd line\n 3rd line\n<1>second\n<1>third\n end\n")
    sink = read_files(FileMultiLineSource, path, "<")
    assert sink.events == [b"rest\n", b"<1>first\n 2nd line\n 3rd line\n", b"<1>second\n", b"<1>third\n end\n"]
    assert sink.contexts == [{"filename": str(path), "line": line} for line in (1, 2, 5, 6)]


def test_multi_line_events_as_text_across_blocks(read_files: ReadFiles, tmp_path: Path) -> None:
    events = [f"<{number}>\n" + "  more\n" * (number % 400) for number in range(1500)]
    (tmp_path / "a.log").write_text("".join(events))
    assert read_files(FileMultiLineSource, tmp_path / "a.log", "<", mode="r").events == events


def test_json_lines(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n[1, 2]\n"text"\n12345678901234567890123\n')
    sink = read_files(FileJSONLinesSource, path)
    assert sink.events == [{"a": 1}, [1, 2], "text", 12345678901234567890123]
    assert [context["line"] for context in sink.contexts] == [1, 3, 4, 5]


def test_malformed_json_lines_are_skipped_one_by_one(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": \n[1\n2]\nnull\n{"a": 2}\n')
    sink = read_files(FileJSONLinesSource, path, pipeline={"on_error": "skip"})
    assert sink.events == [{"a": 1}, {"a": 2}]
    for line in (2, 3, 4, 5):
        assert f"Line {line}:" in caplog.text
    assert path.with_name("a.jsonl-processed").exists()


def test_a_line_that_is_too_long_fails_the_file_and_not_the_memory(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n" + b"x" * 3_000_000 + b"\n")
    sink = read_files(FileLineSource, tmp_path / "a.txt", line_limit="1MB")
    assert sink.events == [b"one\n"]
    assert "line 2 is longer than line_limit" in caplog.text
    assert (tmp_path / "a.txt-failed").exists()


class Uppercase(bspump.file.FileABCSource):
    """A source as the manual shows them."""

    async def read(self, filename: str, f: object) -> None:
        for line in f:  # type: ignore[attr-defined]
            await self.process(line.upper(), {"filename": filename})
            await self.simulate_event()


@pytest.mark.parametrize(("mode", "expected"), [("rb", [b"ONE\n", b"TWO"]), ("r", ["ONE\n", "TWO"])])
def test_a_source_of_ones_own(read_files: ReadFiles, tmp_path: Path, mode: str, expected: list[object]) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\ntwo"))
    sink = read_files(Uppercase, tmp_path / "a.txt.gz", mode=mode)
    assert sink.events == expected
    assert (tmp_path / "a.txt.gz-processed").exists()


def test_what_ones_own_source_raises_fails_the_file_and_not_the_others(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(bspump.file.FileABCSource):
        async def read(self, filename: str, f: object) -> None:
            if filename.endswith("a.txt"):
                raise ValueError("not this one")
            await self.process(filename)

    for name in ("a.txt", "b.txt"):
        (tmp_path / name).touch()
    sink = read_files(Picky, tmp_path / "*.txt")
    assert sink.events == [str(tmp_path / "b.txt")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt-failed", "b.txt-processed"]
    assert "not this one" in caplog.text


class Lines(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, path: str) -> None:
        super().__init__(app, "Lines")
        self.source = FileLineSource(app, self, config={"path": path})
        self.sink = MemorySink(app, self)
        self.build(self.source, self.sink)


def test_the_event_loop_is_not_held_up(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"some line of a file\n" * 300_000)
    pipeline = Lines(pump.app, str(tmp_path / "a.txt"))
    counts: list[int] = []

    async def scenario() -> None:
        pipeline.source.TriggerEvent.set()
        while len(pipeline.sink.events) < 300_000:
            counts.append(len(pipeline.sink.events))
            await asyncio.sleep(0)

    pump.run(scenario, pipeline)
    # Others have had their turn all the while, never more than some thousand lines apart.
    assert max(later - earlier for earlier, later in itertools.pairwise(counts)) <= 20_000
