"""Events are written to files."""

from __future__ import annotations

import bz2
import csv
import datetime
import gzip
import io
import json
import lzma
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

import bspump
from bspump.abc.sink import Sink
from bspump.file import FileBlockSink, FileCSVSink, FileJSONLinesSink, FileLineSink
from bspump.testing import MemorySource, PumpRunner, until

WriteEvents = Callable[..., bspump.Pipeline]


class Writing(bspump.Pipeline):
    def __init__(
        self,
        pump: PumpRunner,
        sink: Callable[..., Sink],
        events: Sequence[Any],
        contexts: list[dict[str, Any]] | None,
        pipeline: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        super().__init__(pump.app, "Writing", pipeline)
        self.source = MemorySource(pump.app, self, events, contexts=contexts)
        self.sink = sink(pump.app, self, config=options)
        self.build(self.source, self.sink)


@pytest.fixture
def write_events(pump: PumpRunner) -> WriteEvents:
    """A function that runs a pipeline which writes events with a sink, and stops it gracefully."""

    def write(
        sink: Callable[..., Sink],
        events: Sequence[Any],
        contexts: list[dict[str, Any]] | None = None,
        pipeline: dict[str, Any] | None = None,
        **options: Any,
    ) -> bspump.Pipeline:
        writing = Writing(pump, sink, events, contexts, pipeline or {}, options)

        async def scenario() -> None:
            await until(lambda: writing.source.finished.is_set() or writing.is_error())

        pump.run(scenario, writing)
        pump.service.del_pipeline(writing)
        return writing

    return write


# What is written


def test_lines_get_the_newline_that_they_lack(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    write_events(
        FileLineSink, [b"bytes", "text ř", b"line\n", "line\n", b"", b"two\nlines", bytearray(b"x")], path=str(path)
    )
    assert path.read_bytes() == "bytes\ntext ř\nline\nline\n\ntwo\nlines\nx\n".encode()
    write_events(FileLineSink, [b"a", b"b\n", b"c\nd"], path=str(path), append="no")
    assert path.read_bytes() == b"a\nb\nc\nd\n"


def test_text_in_another_encoding(write_events: WriteEvents, tmp_path: Path) -> None:
    write_events(FileLineSink, ["ř", "š\n"], path=str(tmp_path / "a.txt"), encoding="iso-8859-2")
    assert (tmp_path / "a.txt").read_bytes() == b"\xf8\n\xb9\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32-be"])
def test_a_byte_order_mark_stands_at_the_start_only(write_events: WriteEvents, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    for number in (1, 2):
        write_events(FileCSVSink, [{"ř": number, "b": "x"}], path=str(path), encoding=encoding, lineterminator="lf")
        with path.open("ab") as file:
            file.write("torn".encode(encoding)[-5:])
    write_events(FileLineSink, ["end"], path=str(path), encoding=encoding)
    assert path.read_bytes() == "ř,b\n1,x\n2,x\nend\n".encode(encoding)


def test_json_lines_of_anything_that_an_event_may_hold(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    events = [
        {"a": 1, "b": [1.5, None, True], "c": "ř"},
        {"bytes": b"\xff\xc5\x99", "set": {1}, "when": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)},
        {1: "a", None: ["surplus"], b"k\xff": 2},
        {"large": 10**30},
        ["list", ("tuple",)],
        "text",
    ]
    write_events(FileJSONLinesSink, events, path=str(path))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        events[0],
        {"bytes": "\\xffř", "set": [1], "when": "2024-01-02T00:00:00+00:00"},
        {"1": "a", "null": ["surplus"], "k\\xff": 2},
        {"large": 10**30},
        ["list", ["tuple"]],
        "text",
    ]


def test_an_event_that_is_no_json_fails_alone(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writing = write_events(FileJSONLinesSink, [1, object(), 2], path=str(path), pipeline={"on_error": "skip"})
    assert path.read_text() == "1\n2\n"
    assert "object has no equivalent in JSON" in writing.L.Deque[0].getMessage()
    write_events(FileJSONLinesSink, [object()], path=str(path), unknown="repr")
    assert "<object object at" in path.read_text()


def test_csv_with_the_keys_of_the_first_event_as_header(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    events = [{"a": 1, "b": "x,y"}, {"b": 'q"', "a": None}, {"a": 2}, {"a": 3, "b": "two\nlines"}]
    write_events(FileCSVSink, events, path=str(path), lineterminator="\\n")
    assert path.read_text() == 'a,b\n1,"x,y"\n,"q"""\n2,\n3,"two\nlines"\n'


def test_csv_appended_to_keeps_its_columns(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_events(FileCSVSink, [{"a": 1, "b": 2}], path=str(path))
    write_events(FileCSVSink, [{"b": 4, "a": 3}], path=str(path))
    assert list(csv.reader(io.StringIO(path.read_text()))) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_a_row_without_column_fails_alone(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    events = [{"a": 1, "b": 2}, {"a": 3, "c": 4}, "no row", {"a": 5, "b": 6}]
    writing = write_events(FileCSVSink, events, path=str(path), pipeline={"on_error": "skip"})
    assert list(csv.DictReader(io.StringIO(path.read_text()))) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    assert "'c'" in writing.L.Deque[0].getMessage()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delimiter": ";", "quoting": "QUOTE_ALL"}, '"a";"b"\n"1";"x"\n'),
        ({"dialect": "unix"}, '"a","b"\n"1","x"\n'),
        ({"dialect": "excel-tab", "lineterminator": "lf"}, "a\tb\r\n1\tx\r\n"),
        ({"doublequote": "False", "escapechar": "\\", "quoting": "0"}, "a,b\n1,x\n"),
    ],
)
def test_csv_formats(write_events: WriteEvents, tmp_path: Path, options: dict[str, str], text: str) -> None:
    write_events(FileCSVSink, [{"a": 1, "b": "x"}], path=str(tmp_path / "a.csv"), **options)
    assert (tmp_path / "a.csv").read_bytes() == text.encode()


def test_a_context_may_name_the_csv_file(write_events: WriteEvents, tmp_path: Path) -> None:
    contexts = [{"path": str(tmp_path / "x.csv")}, {}, {"path": str(tmp_path / "x.csv")}]
    write_events(FileCSVSink, [{"a": 1}, {"a": 2}, {"a": 3}], contexts, path=str(tmp_path / "y.csv"))
    assert (tmp_path / "x.csv").read_text() == "a\n1\n3\n"
    assert (tmp_path / "y.csv").read_text() == "a\n2\n"


class ByNumber(FileLineSink):
    def get_file_name(self, context: bspump.Context, event: bytes) -> str:
        return f"{self.Config['path']}/{int(event) % 20}.txt.gz"


def test_many_files_with_few_of_them_open(write_events: WriteEvents, tmp_path: Path) -> None:
    events = [b"%d" % number for number in range(5000)]
    write_events(ByNumber, events, path=str(tmp_path), max_open_files=3, buffer_size="1k")
    for rest in range(20):
        lines = gzip.decompress((tmp_path / f"{rest}.txt.gz").read_bytes()).splitlines()
        assert lines == [b"%d" % number for number in range(rest, 5000, 20)]


def test_block_sink_replaces_or_appends_or_refuses(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_events(FileBlockSink, [b"0123456789", b"ab"], path=str(path))
    assert path.read_bytes() == b"ab"
    write_events(FileBlockSink, [b"c", "ř"], path=str(path), mode="ab")
    assert path.read_bytes() == b"abc\xc5\x99"
    writing = write_events(
        FileBlockSink, [b"x"], path=str(path), flags="O_CREAT, O_EXCL", pipeline={"on_error": "skip"}
    )
    assert path.read_bytes() == b"abc\xc5\x99"
    assert "File exists" in writing.L.Deque[0].getMessage()


def test_block_sink_gives_each_event_a_file(write_events: WriteEvents, tmp_path: Path) -> None:
    class Named(FileBlockSink):
        def get_file_name(self, context: bspump.Context, event: bytes) -> str:
            return str(context["name"])

    contexts = [{"name": str(tmp_path / name)} for name in "abc"]
    write_events(Named, [b"1", b"2", b"3"], contexts)
    assert [(path.name, path.read_bytes()) for path in sorted(tmp_path.iterdir())] == [
        ("a", b"1"),
        ("b", b"2"),
        ("c", b"3"),
    ]


# Durable, and whole after a crash


def test_after_a_checkpoint_everything_is_in_the_file(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    writing = Writing(pump, FileLineSink, [b"one", b"two"], None, {}, {"path": str(path), "flush_interval": 1000})

    async def scenario() -> None:
        await writing.source.finished.wait()
        assert not path.exists()
        await writing.checkpoint()
        assert path.read_bytes() == b"one\ntwo\n"

    pump.run(scenario, writing)


def test_events_are_written_soon_without_a_checkpoint(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    writing = Writing(pump, FileLineSink, [b"one"], None, {}, {"path": str(path), "flush_interval": 0.01})
    writing.source.commit_interval = 1000

    async def scenario() -> None:
        await until(lambda: path.exists() and path.read_bytes() == b"one\n")

    pump.run(scenario, writing)


@pytest.mark.parametrize("torn", [b"half of a li", b"x" * 200_000])
def test_a_torn_line_is_cut_off(
    write_events: WriteEvents, tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"whole\n" + torn)
    write_events(FileLineSink, [b"next"], path=str(path))
    assert path.read_bytes() == b"whole\nnext\n"
    assert f"the last {len(torn)} byte(s)" in caplog.text
    path.write_bytes(torn)
    write_events(FileLineSink, [b"next"], path=str(path))
    assert path.read_bytes() == b"next\n"


@pytest.mark.parametrize("torn", ["5", '5,"six', '5,"six\n', '5,"six\n""more\n', '5,"six\n""more\n' + "x\n" * 60_000])
def test_a_torn_row_is_cut_off_at_a_newline_outside_of_quotes(
    write_events: WriteEvents, tmp_path: Path, torn: str
) -> None:
    path = tmp_path / "a.csv"
    whole = 'a,b\n1,"two\nlines"\n3,4\n'
    path.write_text(whole + torn)
    write_events(FileCSVSink, [{"a": 7, "b": 8}], path=str(path), lineterminator="lf")
    assert path.read_text() == whole + "7,8\n"


@pytest.mark.parametrize("content", ['size\n5" pipe\n', 'size\n5" pipe\n6" pipe\n7" pipe\n'])
def test_a_quote_in_the_middle_of_a_field_does_not_look_torn(
    write_events: WriteEvents, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    write_events(FileCSVSink, [{"size": 1}], path=str(path), lineterminator="lf")
    assert path.read_text() == content + "1\n"


CODECS: list[tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress, gzip.decompress),
    (".bz2", bz2.compress, bz2.decompress),
    (".xz", lzma.compress, lzma.decompress),
    (
        ".zst",
        lambda data: zstandard.ZstdCompressor().compress(data),
        lambda data: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read(),
    ),
]


@pytest.mark.parametrize(("suffix", "compress", "decompress"), CODECS)
def test_compressed_files_are_appended_to_and_torn_ends_are_cut_off(
    write_events: WriteEvents,
    tmp_path: Path,
    suffix: str,
    compress: Callable[[bytes], bytes],
    decompress: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / f"a.txt{suffix}"
    write_events(FileLineSink, [b"one"], path=str(path))
    with path.open("ab") as file:
        file.write(compress(os.urandom(3000))[:2000])
    write_events(FileLineSink, [b"two"], path=str(path))
    assert decompress(path.read_bytes()) == b"one\ntwo\n"


def test_a_compressed_csv_has_one_header(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    for number in (1, 2):
        write_events(FileCSVSink, [{"a": number, "b": 0}], path=str(path))
    assert gzip.decompress(path.read_bytes()) == b"a,b\n1,0\n2,0\n"


def test_a_file_that_somebody_moved_or_removed_is_made_again(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    writing = Writing(pump, FileCSVSink, [{"a": 1}], None, {}, {"path": str(path)})

    async def scenario() -> None:
        await writing.source.finished.wait()
        await writing.checkpoint()
        path.rename(tmp_path / "b.csv")
        await writing.process({"a": 2})
        await writing.checkpoint()

    pump.run(scenario, writing)
    assert (tmp_path / "b.csv").read_text() == "a\n1\n"
    assert path.read_text() == "a\n2\n"


# Rotation


def test_rotation_by_size(write_events: WriteEvents, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    events = [{"number": number, "noise": os.urandom(50).hex()} for number in range(3000)]
    write_events(FileJSONLinesSink, events, path=str(path), rotate_size="20k", buffer_size="1k")
    rotated = sorted(tmp_path.glob("a-*"), key=lambda path: int(path.name.split(".")[1]))
    assert len(rotated) > 3
    assert all(re.fullmatch(r"a-\d{8}T\d{6}\.\d+\.jsonl\.gz", path.name) for path in rotated)
    assert all(path.stat().st_size >= 20 * 1024 for path in rotated)
    numbers = [
        json.loads(line)["number"]
        for part in sorted(tmp_path.iterdir())
        for line in gzip.decompress(part.read_bytes()).splitlines()
    ]
    assert sorted(numbers) == list(range(3000))


def test_rotation_by_time_also_when_nothing_comes(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    writing = Writing(pump, FileCSVSink, [{"a": 1}], None, {}, {"path": str(path), "rotate_every": "0.2"})

    async def scenario() -> None:
        await until(lambda: len(list(tmp_path.glob("a-*.1.csv"))) == 1)
        assert not path.exists()
        await writing.process({"a": 2})
        await until(lambda: len(list(tmp_path.glob("a-*.csv"))) == 2)

    pump.run(scenario, writing)
    assert sorted(part.read_text() for part in tmp_path.iterdir()) == ["a\n1\n", "a\n2\n"]


def test_a_file_of_an_earlier_period_is_rotated_before_it_is_written_to(
    write_events: WriteEvents, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old\n")
    os.utime(path, (0, 0))
    write_events(FileLineSink, [b"new"], path=str(path), rotate_every="1D")
    assert path.read_text() == "new\n"
    assert [part.read_text() for part in tmp_path.glob("a-*.1.txt")] == ["old\n"]


def test_rotate_closes_a_csv_file(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    writing = Writing(pump, FileCSVSink, [{"a": 1}], None, {}, {"path": str(path), "rotate_size": "1G"})

    async def scenario() -> None:
        await writing.source.finished.wait()
        assert isinstance(writing.sink, FileCSVSink)
        writing.sink.rotate()
        await writing.process({"a": 2})

    pump.run(scenario, writing)
    (rotated,) = tmp_path.glob("a-*.1.csv")
    assert rotated.read_text() == "a\n1\n"
    assert path.read_text() == "a\n2\n"


@pytest.mark.parametrize("sink", [FileLineSink, FileJSONLinesSink])
def test_a_missing_path_is_a_configuration_problem(pump: PumpRunner, sink: Callable[..., Sink]) -> None:
    Writing(pump, sink, [], None, {}, {})
    (problem,) = pump.service.configuration_problems
    assert "path: '' is empty" in problem


def test_an_encoding_that_is_none_is_a_configuration_problem(pump: PumpRunner) -> None:
    Writing(pump, FileBlockSink, [], None, {}, {"path": "a", "encoding": "utf-99"})
    (problem,) = pump.service.configuration_problems
    assert problem.endswith("encoding: 'utf-99' is no known text encoding (such as utf-8)")
