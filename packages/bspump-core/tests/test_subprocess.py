"""A program's output as events: what of it arrives, whatever ends the program or the pump."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump.common import Aggregator
from bspump.subprocess import SubProcessSource
from bspump.subprocess._position_file import PositionFile
from bspump.testing import MemorySink, PumpRunner, until
from bspump.trigger import PubSubTrigger


class Fragile(bspump.Processor):
    """Fails at one event until it is mended."""

    bad: Any = None

    def process(self, context: bspump.Context, event: Any) -> Any:
        if event == self.bad:
            raise ValueError(event)
        return event


class Slow(bspump.Sink):
    """Takes events, but none of them is durable before `release` is set."""

    def __init__(self, app: Any, pipeline: bspump.Pipeline) -> None:
        super().__init__(app, pipeline)
        self.events: list[Any] = []
        self.release = asyncio.Event()

    def process(self, context: bspump.Context, event: Any) -> None:
        self.events.append(event)

    async def checkpoint(self) -> None:
        await self.release.wait()


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-u", "-c", code, *arguments]


def build(
    pump: PumpRunner, command: Any, sink: bspump.Sink | None = None, on_error: str = "stop", **config: Any
) -> tuple[bspump.Pipeline, SubProcessSource, MemorySink]:
    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": on_error})
    options = {"command": command, "commit_interval": 0.01, "restart_backoff": 0.001, "stop_grace": 0.5, **config}
    source = SubProcessSource(pump.app, pipeline, config=options)
    memory = MemorySink(pump.app, pipeline)
    pipeline.build(source, Fragile(pump.app, pipeline), sink or memory)
    return pipeline, source, memory


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_each_line_is_an_event(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, "printf 'one\\ntwo\\n\\nlast'")
    pump.run(lambda: sink.wait_for(4), pipeline)
    assert sink.events == [b"one", b"two", b"", b"last"]


def test_many_lines_arrive_in_their_order_as_text(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, ["seq", "100000"], encoding="ascii")
    pump.run(lambda: sink.wait_for(100_000), pipeline)
    assert sink.events == [str(number) for number in range(1, 100_001)]


def test_there_is_no_shell(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, "echo '$HOME' `id` ; echo $(id)")
    pump.run(lambda: sink.wait_for(1), pipeline)
    assert sink.events == [b"$HOME `id` ; echo $(id)"]


def test_each_trigger_runs_the_program_once(pump: PumpRunner) -> None:
    pipeline, source, sink = build(pump, "echo x")
    source.on(PubSubTrigger(pump.app, "go!"))

    async def scenario() -> None:
        for count in (1, 2, 3):
            pump.app.PubSub.publish("go!")
            await sink.wait_for(count)
            await until(lambda: not source.is_triggered)

    pump.run(scenario, pipeline)
    assert sink.events == [b"x"] * 3


def test_standard_error_goes_to_the_log_and_a_failure_is_said_with_its_last_lines(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    code = "import sys; print('fine'); [print('trouble', n, file=sys.stderr) for n in range(5)]; sys.exit(3)"
    pipeline, _, sink = build(pump, python(code))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert sink.events == [b"fine"]
    assert "P.*SubProcessSource: trouble 0" in caplog.text
    message = pipeline.rest_get()["Error"]
    assert "ended with the exit code 3: trouble 2 / trouble 3 / trouble 4" in message


def test_a_program_that_floods_its_standard_error_does_not_flood_the_log(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    code = "import sys; sys.stderr.write('x\\n' * 5000 + 'y' * 100000 + '\\n'); print('end')"
    pipeline, source, sink = build(pump, python(code))

    async def scenario() -> None:
        await sink.wait_for(1)
        await until(lambda: not source.is_triggered)

    pump.run(scenario, pipeline)
    lines = [record for record in caplog.records if "SubProcessSource: " in record.getMessage()]
    assert 100 < len(lines) < 120
    assert max(len(record.getMessage()) for record in lines) < 2000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"command": ""}, "command: '' is empty, but has to name a program"),
        ({"command": "echo 'x"}, 'command: "echo \'x" cannot be split into a program and its arguments'),
        ({"ok_return_codes": "0, good"}, "ok_return_codes: '0, good' is no list of whole numbers"),
        ({"restart": "perhaps"}, "restart: 'perhaps' is none of never, on_failure, always"),
        ({"replay": "all"}, "replay: 'all' is none of none, start, position, unacknowledged"),
        ({"encoding": "utf-9"}, "encoding: 'utf-9' is no known text encoding"),
        ({"stop_grace": "soon"}, "stop_grace: 'soon' is not a duration"),
    ],
)
def test_a_wrong_option_is_refused(pump: PumpRunner, options: dict[str, Any], sentence: str) -> None:
    build(pump, **{"command": "true", **options})
    [problem] = pump.service.configuration_problems
    assert problem.startswith("[pipeline:P:SubProcessSource] ")
    assert sentence in problem


def test_a_program_that_is_not_there_is_refused_at_the_start(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, _, _ = build(pump, "no-such-program --help")

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline)
    assert "[pipeline:P:SubProcessSource] command: there is no program 'no-such-program'" in caplog.text


def test_lines_that_are_too_long_or_no_text_fail_alone(pump: PumpRunner) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\n%s\nb\n\xff\xfe\n%s\nc\n' % (b'x' * 300000, b'y' * 101))"
    pipeline, _, sink = build(pump, python(code), on_error="skip", encoding="utf-8", line_length_max="100")
    pump.run(lambda: sink.wait_for(3), pipeline)
    assert sink.events == ["a", "b", "c"]
    assert pipeline._counts.errors == 3


def test_a_program_that_failed_is_started_again_until_it_does_not(pump: PumpRunner, tmp_path: Path) -> None:
    code = "import os,sys; f=open(sys.argv[1],'a+'); f.write('x'); f.flush(); n=f.tell(); print(n); sys.exit(n < 3)"
    pipeline, source, sink = build(pump, python(code, str(tmp_path / "runs")), restart="on_failure")

    async def scenario() -> None:
        await sink.wait_for(3)
        await until(lambda: not source.is_triggered)

    pump.run(scenario, pipeline)
    assert sink.events == [b"1", b"2", b"3"]


def test_a_program_may_be_started_again_for_ever_and_other_codes_may_be_success(pump: PumpRunner) -> None:
    pipeline, _, sink = build(pump, "sh -c 'echo x; exit 7'", restart="always", ok_return_codes="0, 7")
    pump.run(lambda: sink.wait_for(4), pipeline)
    assert set(sink.events) == {b"x"}
    assert not pipeline.L.Deque


def test_a_piece_of_a_line_of_a_program_that_failed_is_no_event(pump: PumpRunner) -> None:
    pipeline, source, sink = build(pump, "sh -c 'echo whole; printf pie; exit 1'", on_error="skip")
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert sink.events == [b"whole"]
    assert source.accepted_total == 1


def test_a_program_waits_while_the_pipeline_does_not_read(pump: PumpRunner) -> None:
    code = (
        "import sys\nfor n in range(200000): print('x' * 100, n); sys.stderr.write(f'{n}\\n') if n % 1000 == 0 else 0"
    )
    pipeline, source, sink = build(pump, python(code))

    async def scenario() -> None:
        await sink.wait_for(1)
        pipeline.throttle("test")
        await until(lambda: source._program is not None and source._program._process.stdout._paused)  # type: ignore[union-attr]
        assert len(sink.events) < 200_000
        pipeline.throttle("test", False)
        await sink.wait_for(200_000)

    pump.run(scenario, pipeline)


def test_what_a_stop_keeps_out_is_said(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    class Held(Fragile):
        def process(self, context: bspump.Context, event: Any) -> Any:
            self.Pipeline.throttle("test")
            return event

    pipeline = bspump.Pipeline(pump.app, "P")
    command = python("import time; print('\\n'.join(map(str, range(5000)))); time.sleep(1000)")
    source = SubProcessSource(pump.app, pipeline, config={"command": command, "stop_grace": 0.1})
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, Held(pump.app, pipeline), sink)
    pump.run(lambda: sink.wait_for(1), pipeline)
    assert 0 < len(sink.events) < 5000
    assert re.search(r"SubProcessSource.* ends with [0-9]+ line\(s\), or more, that were not brought", caplog.text)


def test_a_stop_ends_the_program_and_all_that_it_started(pump: PumpRunner) -> None:
    stubborn = "trap '' TERM; sleep 1000 & echo $!; echo $$; while true; do sleep 1; done"
    pipeline, _, sink = build(pump, ["sh", "-c", stubborn], stop_grace="50ms")
    pump.run(lambda: sink.wait_for(2), pipeline)
    while any(is_alive(int(pid)) for pid in sink.events):
        os.sched_yield()  # a killed process needs a moment, and the time limit of the test ends this loop otherwise


def test_what_an_error_keeps_out_is_brought_once_it_is_cleared(pump: PumpRunner) -> None:
    """The program cannot give it again, so it is kept and the program goes on."""
    pipeline, _, sink = build(pump, ["seq", "5000"])
    fragile = pipeline.locate_processor("Fragile")
    assert isinstance(fragile, Fragile)
    fragile.bad = b"1234"

    async def scenario() -> None:
        await until(pipeline.is_error)
        fragile.bad = None
        pipeline.set_error(None, None, None)
        await sink.wait_for(5000)

    pump.run(scenario, pipeline)
    assert sink.events == [str(number).encode() for number in range(1, 5001)]


def lose_something_and_clear(
    pump: PumpRunner, command: Any, lines: int, **config: Any
) -> tuple[SubProcessSource, list[int]]:
    """Run a pipeline that loses events behind an aggregator once. Returns all that came to the sink."""
    pipeline = bspump.Pipeline(pump.app, "P")
    options = {"command": command, "commit_interval": 0.001, "stop_grace": 0.5, **config}
    source = SubProcessSource(pump.app, pipeline, config=options)
    fragile, sink = Fragile(pump.app, pipeline), MemorySink(pump.app, pipeline)
    aggregator = Aggregator(pump.app, pipeline, config={"completion_size": 1})
    pipeline.build(source, aggregator, fragile, sink)
    broken: list[Any] = []
    process = fragile.process

    def process_and_break_once(context: bspump.Context, event: Any) -> Any:
        if int(event[0][1]) == lines // 2 and not broken:
            broken.append(event)
            raise OSError("lost behind the first depth")
        return process(context, event)

    fragile.process = process_and_break_once  # type: ignore[method-assign]

    def numbers() -> list[int]:
        return [int(event) for aggregate in sink.events for _, event in aggregate]

    async def scenario() -> None:
        await until(pipeline.is_error)
        pipeline.set_error(None, None, None)
        await until(lambda: len(set(numbers())) == lines and not source.is_triggered)

    pump.run(scenario, pipeline)
    assert broken
    return source, numbers()


def test_what_was_lost_comes_again_from_a_program_that_repeats_itself(pump: PumpRunner, tmp_path: Path) -> None:
    _, numbers = lose_something_and_clear(pump, "seq 300", 300, replay="start", position_dir=str(tmp_path))
    assert set(numbers) == set(range(1, 301))
    [file] = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["lines"] == 0  # the run is complete; the next one begins anew


COUNTER = "import os\nfor n in range(int(os.environ['BSPUMP_POSITION']) + 1, 301): print(n)"


def test_what_was_lost_comes_again_from_a_program_that_knows_positions(pump: PumpRunner, tmp_path: Path) -> None:
    _, numbers = lose_something_and_clear(pump, python(COUNTER), 300, replay="position", position_dir=str(tmp_path))
    assert set(numbers) == set(range(1, 301))


ACKNOWLEDGED = """
import sys, pathlib
file = pathlib.Path(sys.argv[1])
first = int(file.read_text()) if file.exists() else 0
for n in range(first + 1, int(sys.argv[2]) + 1):
    print(n)
for line in sys.stdin:
    file.write_text(str(first + int(line)))
    if first + int(line) == int(sys.argv[2]):
        break
"""


def test_what_was_lost_comes_again_from_a_program_that_is_told(pump: PumpRunner, tmp_path: Path) -> None:
    file = tmp_path / "acknowledged"
    command = python(ACKNOWLEDGED, str(file), "300")
    _, numbers = lose_something_and_clear(pump, command, 300, replay="unacknowledged")
    assert set(numbers) == set(range(1, 301))
    assert file.read_text() == "300"


@pytest.mark.parametrize("replay", ["start", "position", "unacknowledged"])
def test_nothing_is_committed_before_it_is_durable(pump: PumpRunner, tmp_path: Path, replay: str) -> None:
    file = tmp_path / "acknowledged"
    code = {"start": "print('1\\n2\\n3'); input()", "position": "print('1\\n2\\n3'); import time; time.sleep(9)"}
    command = python(ACKNOWLEDGED, str(file), "3") if replay == "unacknowledged" else python(code[replay])
    pipeline = bspump.Pipeline(pump.app, "P", config={"stop_timeout": "0.2s"})
    config = {"command": command, "replay": replay, "position_dir": str(tmp_path), "commit_interval": 0}
    source = SubProcessSource(pump.app, pipeline, config={**config, "stop_grace": "10ms"})
    sink = Slow(pump.app, pipeline)
    pipeline.build(source, sink)
    pump.run(lambda: until(lambda: len(sink.events) == 3), pipeline)
    assert not file.exists()
    assert not list(tmp_path.glob("*.json"))


def test_a_stop_tells_the_program_before_it_ends_it(pump: PumpRunner, tmp_path: Path) -> None:
    file = tmp_path / "acknowledged"
    code = "import sys, pathlib; print('a\\nb\\nc')\nfor line in sys.stdin: pathlib.Path(sys.argv[1]).write_text(line)"
    config: dict[str, Any] = {"replay": "unacknowledged", "commit_interval": "1h", "stop_grace": "10s"}
    pipeline, _, sink = build(pump, python(code, str(file)), **config)
    pump.run(lambda: sink.wait_for(3), pipeline)
    assert file.read_text() == "3\n"


@pytest.mark.parametrize("replay", ["start", "position"])
def test_after_a_stop_the_next_run_goes_on_exactly_there(tmp_path: Path, replay: str) -> None:
    seen: list[bytes] = []
    endless = "import os\nn = int(os.environ.get('BSPUMP_POSITION', 0))\nwhile True: n += 1; print(n)"
    for _ in range(3):
        with PumpRunner() as pump:
            pipeline, _, sink = build(pump, python(endless), replay=replay, position_dir=str(tmp_path))
            pump.run(lambda sink=sink: sink.wait_for(1000), pipeline)  # type: ignore[misc]
            seen.extend(sink.events)
    assert seen == [str(number).encode() for number in range(1, len(seen) + 1)]


def test_a_position_of_the_programs_own_is_given_back_to_it(tmp_path: Path) -> None:
    class Cursors(SubProcessSource):
        def position_of(self, event: bspump.Event, number: int) -> str:
            return f"s={json.loads(event)['cursor']}"

    def run_once() -> list[Any]:
        with PumpRunner() as pump:
            pipeline = bspump.Pipeline(pump.app, "P")
            code = "import sys, json; print(json.dumps({'given': sys.argv[1], 'cursor': len(sys.argv[1])}))"
            config = {
                "command": python(code, "--after={position}"),
                "replay": "position",
                "start_position": "s=0",
                "position_dir": str(tmp_path),
            }
            source, sink = Cursors(pump.app, pipeline, config=config), MemorySink(pump.app, pipeline)
            pipeline.build(source, sink)
            pump.run(lambda: sink.wait_for(1), pipeline)
            return [json.loads(event)["given"] for event in sink.events]

    assert run_once() == ["--after=s=0"]
    assert run_once() == ["--after=s=11"]


def test_two_processes_cannot_use_the_same_position_file(pump: PumpRunner, tmp_path: Path) -> None:
    holder = PositionFile(tmp_path / "P.SubProcessSource.subprocess.json", "")
    holder.open()
    pipeline, _, _ = build(pump, "seq 3", replay="start", position_dir=str(tmp_path))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    holder.close()
    assert "another process uses it; each needs a position_dir of its own" in pipeline.rest_get()["Error"]


def test_a_position_file_that_cannot_be_understood_is_said(pump: PumpRunner, tmp_path: Path) -> None:
    (tmp_path / "P.SubProcessSource.subprocess.json").write_text("{}")
    pipeline, _, _ = build(pump, "seq 3", replay="start", position_dir=str(tmp_path))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert "it cannot be understood ('lines'); remove it to begin anew" in pipeline.rest_get()["Error"]
