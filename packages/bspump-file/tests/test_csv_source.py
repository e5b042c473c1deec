"""Rows of CSV files become dictionaries."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import bspump
import bspump.common
from bspump.file import FileCSVSource
from bspump.testing import MemorySink, PumpRunner, until

ReadFiles = Callable[..., MemorySink]


def test_rows_know_their_line(read_files: ReadFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,one\n\n2,"two\nlines, and a ""quote"""\n3,three\n')
    sink = read_files(FileCSVSource, path)
    assert sink.events == [
        {"id": "1", "text": "one"},
        {"id": "2", "text": 'two\nlines, and a "quote"'},
        {"id": "3", "text": "three"},
    ]
    assert sink.contexts == [{"filename": str(path), "line": line} for line in (2, 4, 6)]


def test_every_file_has_its_own_header(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("\nb,c\n3,4\n")
    assert read_files(FileCSVSource, tmp_path / "*.csv").events == [{"a": "1", "b": "2"}, {"b": "3", "c": "4"}]


def test_field_names_can_be_given(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    assert read_files(FileCSVSource, tmp_path / "a.csv", ["x", "y"]).events == [
        {"x": "1", "y": "2"},
        {"x": "3", "y": "4"},
    ]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a\tb\r\n1\t2,3\r\n", {"dialect": "excel-tab"}),
        ("a;b\n1;2,3\n", {"delimiter": ";"}),
        ("a\tb\n1\t2,3\n", {"delimiter": "\\t"}),
        ("a,b\n1,'2,3'\n", {"quotechar": "'"}),
        ("a,b\n1,2\\,3\n", {"escapechar": "\\", "quoting": "none"}),
        ("a,b\n1,2\\,3\n", {"escapechar": "\\", "quoting": "3", "doublequote": "no"}),
        ('a, b\n1, "2,3"\n', {"skipinitialspace": "True", "strict": "yes"}),
        ('a,b\r1,"2,3"\r', {}),
        ('\ufeffa,b\n1,"2,3"\n', {"quoting": "QUOTE_ALL"}),
    ],
)
def test_formats_with_options_from_a_configuration_file(
    read_files: ReadFiles, tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_files(FileCSVSource, tmp_path / "a.csv", **options).events == [{"a": "1", "b": "2,3"}]


def test_numbers_with_quote_nonnumeric(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"a","b"\n1,"x"\n2.5,"y"\n')
    sink = read_files(FileCSVSource, tmp_path / "a.csv", quoting="nonnumeric")
    assert sink.events == [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": "y"}]


def test_any_text_is_read_as_the_standard_library_reads_it(read_files: ReadFiles, tmp_path: Path) -> None:
    chance = random.Random(1)
    pieces = ["a", "ř", '"', ",", "\n", " ", "longer text", "'", "", "0"]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["x", "y", "z"])
    for _ in range(30_000):
        writer.writerow(["".join(chance.choices(pieces, k=chance.randrange(8))) for _ in range(3)])
    (tmp_path / "a.csv").write_text(buffer.getvalue(), newline="")
    sink = read_files(FileCSVSource, tmp_path / "a.csv")
    assert sink.events == list(csv.DictReader(io.StringIO(buffer.getvalue(), newline="")))


def test_rows_of_another_width_as_dictreader_has_them(read_files: ReadFiles, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1\n1,2,3\n")
    assert read_files(FileCSVSource, tmp_path / "a.csv").events == [
        {"a": "1", "b": None},
        {"a": "1", "b": "2", None: ["3"]},
    ]


class Failures(bspump.Pipeline):
    """Takes dead letters."""

    def __init__(self, app: bspump.BSPumpApplication) -> None:
        super().__init__(app, "Failures")
        self.sink = MemorySink(app, self)
        self.build(bspump.common.InternalSource(app, self), self.sink)


class Rows(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, path: Path, config: dict[str, Any], **options: object) -> None:
        super().__init__(app, "Rows", config)
        self.source = FileCSVSource(app, self, config={"path": str(path), **options})
        self.sink = MemorySink(app, self)
        self.build(self.source, self.sink)


def test_malformed_rows_go_to_the_dead_letters_and_the_others_go_on(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,2\n3\n4,5,6\n7,"8"x\n9,10\n11,"never ends\n')
    failures = Failures(pump.app)
    config = {"on_error": "dead_letter", "dead_letter": "Failures"}
    rows = Rows(pump.app, path, config, strict_columns="yes", strict="yes", settle=0)

    async def scenario() -> None:
        rows.source.TriggerEvent.set()
        await until(lambda: not rows.source.is_triggered)

    pump.run(scenario, failures, rows)
    assert rows.sink.events == [{"a": "1", "b": "2"}, {"a": "9", "b": "10"}]
    letters = failures.sink.events
    assert [letter["event"] for letter in letters] == ["3\n", "4,5,6\n", '7,"8"x\n', '11,"never ends\n']
    assert [letter["context"]["line"] for letter in letters] == [3, 4, 5, 7]
    assert letters[0]["exception"]["message"] == "Line 3: the row has 1 fields, but there are 2 columns"
    assert "Line 5: the row is no valid CSV" in letters[2]["exception"]["message"]
    assert "does not end" in letters[3]["exception"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv-processed"]


def test_a_malformed_row_stops_the_pipeline_and_comes_again(pump: PumpRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"x\ny"\n3\n5,6\n')
    rows = Rows(pump.app, path, {}, strict_columns="yes")

    async def scenario() -> None:
        rows.source.TriggerEvent.set()
        await until(rows.is_error)
        assert rows.sink.events == [{"a": "1", "b": "x\ny"}]
        await until(lambda: rows.source.committed_position is not None)
        rows.source.strict_columns = False
        rows.set_error(None, None, None)
        await rows.sink.wait_for(3)

    pump.run(scenario, rows)
    # It goes on behind the last good row, with the columns from the header.
    assert rows.sink.events == [{"a": "1", "b": "x\ny"}, {"a": "3", "b": None}, {"a": "5", "b": "6"}]
    assert [context["line"] for context in rows.sink.contexts] == [2, 4, 5]


def test_a_bad_encoding_fails_the_file_behind_the_good_rows(
    read_files: ReadFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_bytes(b'a\n1\n2\n"3\n\xff"\n4\n')
    assert read_files(FileCSVSource, tmp_path / "a.csv").events == [{"a": "1"}, {"a": "2"}]
    assert "line 5" in caplog.text
    assert (tmp_path / "a.csv-failed").exists()


def test_a_reader_of_ones_own(read_files: ReadFiles, tmp_path: Path) -> None:
    class Commented(FileCSVSource):
        def reader(self, f: Iterable[str]) -> csv.DictReader[str]:
            return super().reader(line for line in f if not line.startswith("#"))

    (tmp_path / "a.csv").write_text("# comment\na,b\n1,2\n# comment\n3,4\n")
    sink = read_files(Commented, tmp_path / "a.csv")
    assert sink.events == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert (tmp_path / "a.csv-processed").exists()


def test_every_wrong_option_is_named(pump: PumpRunner, tmp_path: Path) -> None:
    Rows(pump.app, tmp_path, {}, quoting="some", delimiter="ab", mode="x", settle="soon", encoding="utf-99")
    problems = "\n".join(pump.service.configuration_problems)
    for option in ("quoting", "dialect", "mode", "settle", "encoding"):
        assert f"[pipeline:Rows:FileCSVSource] {option}:" in problems


def test_a_field_may_be_long(read_files: ReadFiles, tmp_path: Path) -> None:
    long = "x" * 1_000_000
    (tmp_path / "a.csv").write_text(f"a,b\n1,{long}\n2,y\n")
    sink = read_files(FileCSVSource, tmp_path / "a.csv")
    assert sink.events == [{"a": "1", "b": long}, {"a": "2", "b": "y"}]
