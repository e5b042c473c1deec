"""What a user gets wrong is said at the start, in a sentence, and a job that failed ends with the exit code 1."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bspump
import bspump.common
import bspump.option
import bspump.trigger
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class AsyncProcess(bspump.Processor):
    async def process(self, context: bspump.Context, event: Any) -> Any:
        return event


class SyncGenerate(bspump.Generator):
    def generate(self, context: bspump.Context, event: Any, depth: int) -> None:  # type: ignore[override]
        return


class SyncWrite(bspump.BufferedSink):
    def write(self, batch: bspump.Batch) -> None:  # type: ignore[override]
        return


@pytest.mark.parametrize(
    ("component", "sentence"),
    [
        (AsyncProcess, "process() cannot be a coroutine function; derive from bspump.Generator to wait"),
        (SyncGenerate, "generate() has to be a coroutine function (async def)"),
        (SyncWrite, "write() has to be a coroutine function (async def)"),
    ],
)
def test_a_method_of_the_wrong_kind_is_refused(
    pump: PumpRunner, component: type[bspump.Processor], sentence: str
) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    with pytest.raises(TypeError) as caught:
        pipeline.append_processor(component(pump.app, pipeline))
    assert sentence in str(caught.value)


def test_what_looks_like_a_mistake_is_said_at_the_start(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pump.configure("pipeline:Mian", on_error="skip")
    pump.configure("pipeline:Main", on_eror="skip", whatever="secret")
    pump.configure("lookup:Names", refresh_perod="1h", master_url="")
    pump.service.add_lookup(bspump.DictionaryLookup(pump.app, "Names"))
    main, empty = bspump.Pipeline(pump.app, "Main"), bspump.Pipeline(pump.app, "Empty")
    main.build(bspump.common.IteratorSource(pump.app, main, [1]), MemorySink(pump.app, main))

    async def scenario() -> None:
        return

    pump.run(scenario, main, empty)
    assert "[pipeline:Mian] belongs to no component; did you mean 'pipeline:Main'?" in caplog.text
    assert "[pipeline:Main] on_eror: there is no such option; did you mean 'on_error'?" in caplog.text
    assert "[lookup:Names] refresh_perod: there is no such option; did you mean 'refresh_period'?" in caplog.text
    assert "secret" not in caplog.text
    assert "IteratorSource('Main.*IteratorSource') has no trigger" in caplog.text
    assert "Pipeline 'Empty' has no source; was build() called?" in caplog.text


def test_a_tee_with_an_unknown_target_is_a_configuration_problem(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(
        MemorySource(pump.app, pipeline, [1]),
        bspump.common.TeeProcessor(pump.app, pipeline).bind("Nowhere.*TeeSource"),
        MemorySink(pump.app, pipeline),
    )

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline)
    assert "cannot route to 'Nowhere.*TeeSource'" in caplog.text


def test_events_that_are_left_in_a_queue_are_said(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = bspump.common.InternalSource(pump.app, pipeline)
    pipeline.build(source, MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        pipeline.set_error(None, None, ValueError("stopped by hand"))
        for number in range(5):
            source.put({}, number)

    pump.run(scenario, pipeline)
    assert "InternalSource('P.*InternalSource') ends with 5 event(s) not processed" in caplog.text


def test_who_waits_to_bring_an_event_is_told_when_the_pipeline_stops(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(bspump.common.InternalSource(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        pipeline.throttle("somebody")
        bringing = asyncio.ensure_future(pipeline.process(1))
        await asyncio.sleep(0)
        await pipeline.stop()
        with pytest.raises(bspump.PipelineError, match="takes no more events"):
            await bringing
        with pytest.raises(bspump.PipelineError, match="was stopped"):
            await pipeline.ready()

    pump.run(scenario, pipeline)


def test_a_sink_that_cannot_write_shows_it(pump: PumpRunner) -> None:
    class Down(bspump.BufferedSink):
        ConfigDefaults = {"linger": 0.001, "retry_backoff": 0.001}
        is_down = True

        async def write(self, batch: bspump.Batch) -> None:
            if self.is_down:
                raise ConnectionError("nobody listens")

    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, [1]), Down(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        await until(lambda: sink.rest_get().get("LastError") == "ConnectionError: nobody listens")
        sink.is_down = False
        await until(lambda: "LastError" not in sink.rest_get())

    pump.run(scenario, pipeline)


_JOB = """
import sys
import bspump, bspump.common, bspump.trigger

class Fussy(bspump.Processor):
    def process(self, context, event):
        if event == {bad}:
            raise ValueError("not that one")
        return event

class Job(bspump.Pipeline):
    def __init__(self, app, id, count):
        super().__init__(app, id)
        self.build(
            bspump.common.IteratorSource(app, self, range(1, count + 1)).on(bspump.trigger.RunOnceTrigger(app)),
            Fussy(app, self),
            bspump.common.PrintSink(app, self),
        )

app = bspump.BSPumpApplication()
app.PumpService.add_pipelines(Job(app, "Short", 1), Job(app, "Long", 20000))
sys.exit(app.run())
"""


def _run(tmp_path: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "job.py"
    path.write_text(script)
    return subprocess.run(
        [sys.executable, str(path), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_application_with_two_jobs_ends_after_both(tmp_path: Path) -> None:
    ended = _run(tmp_path, _JOB.format(bad=-1))
    assert ended.returncode == 0
    assert "20000" in ended.stdout.split()


def test_a_job_that_fails_ends_with_exit_code_1(tmp_path: Path) -> None:
    ended = _run(tmp_path, _JOB.format(bad=777))
    assert ended.returncode == 1
    assert "its job cannot be finished: pipeline 'Long' is stopped" in ended.stderr


@pytest.mark.parametrize("listen", ["banana", "127.0.0.1:99999", "127.0.0.1"])
def test_a_wrong_address_of_the_web_server_is_said_in_a_sentence(tmp_path: Path, listen: str) -> None:
    ended = _run(tmp_path, _JOB.format(bad=-1), "-w", listen)
    assert ended.returncode == 1
    assert f"error: [web] listen: '{listen}' is no address and port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_web_server_that_cannot_listen_ends_the_application(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        script = "import sys, bspump\nsys.exit(bspump.BSPumpApplication().run())"
        ended = _run(tmp_path, script, "-w", f"127.0.0.1:{taken.getsockname()[1]}")
    assert ended.returncode == 1
    assert "its web server cannot listen" in ended.stderr


def test_an_option_that_cannot_be_expanded_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "dollar.conf").write_text("[pipeline:Long]\non_error = a$b\n")
    ended = _run(tmp_path, _JOB.format(bad=-1), "-c", "dollar.conf")
    assert ended.returncode == 1
    assert "error: [pipeline:Long] cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_command_line_comes_before_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("[web]\nlisten = 127.0.0.1:1\n")
    ended = _run(tmp_path, _JOB.format(bad=-1), "-c", "web.conf", "-w", "banana", "-l", "pump.log")
    assert "error: [web] listen: 'banana' is no address and port" in ended.stderr
    assert (tmp_path / "pump.log").exists()


def test_a_broken_configuration_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.conf").write_text("[pipeline:A]\nx = 1\n[pipeline:A]\nx = 2\n")
    ended = _run(tmp_path, _JOB.format(bad=-1), "-c", "broken.conf")
    assert ended.returncode == 1
    assert "error: The configuration file cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_event_that_cannot_even_be_shown_is_set_aside_like_any_other(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Shy:
        def __repr__(self) -> str:
            raise ValueError

    class Refusing(bspump.Processor):
        def process(self, context: bspump.Context, event: object) -> object:
            if isinstance(event, Shy):
                raise TypeError("no")
            return event

    pipeline = bspump.Pipeline(pump.app, "P", config={"on_error": "skip"})
    source = MemorySource(pump.app, pipeline, [1, Shy(), 2])
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(source, Refusing(pump.app, pipeline), sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == [1, 2]
    assert "TypeError: no, event <Shy, of which repr() raises ValueError>" in caplog.text


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("paht", "path"), ("ulr", "url"), ("mdoe", "mode"), ("usrname", "username")]
)
def test_letters_that_are_swapped_or_missing_are_noticed(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, misspelt: str, meant: str
) -> None:
    class Sink(MemorySink):
        ConfigDefaults = {"path": "", "url": "", "mode": "", "username": "", "compression": ""}
        account = bspump.option.text(key="username", aliases=("user_name",), help="Who it is.")

    pump.configure("pipeline:Main:Sink", **{misspelt: "x", "user_name": "x"})
    pipeline = bspump.Pipeline(pump.app, "Main")
    pipeline.build(MemorySource(pump.app, pipeline), Sink(pump.app, pipeline))
    start_and_stop(pump, pipeline)
    assert f"[pipeline:Main:Sink] {misspelt}: there is no such option; did you mean '{meant}'?" in caplog.text
    assert "user_name:" not in caplog.text


def test_options_that_are_handed_over_are_looked_at_as_those_in_a_file(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = bspump.Pipeline(pump.app, "Main")
    source = bspump.common.InternalSource(pump.app, pipeline, config={"queue_maxsize": 1, "nothing_of_the_kind": 2})
    pipeline.build(source, MemorySink(pump.app, pipeline))
    start_and_stop(pump, pipeline)
    begin = "[pipeline:Main:InternalSource]"
    assert f"{begin} queue_maxsize: there is no such option; did you mean 'queue_max_size'?" in caplog.text
    assert f"{begin} nothing_of_the_kind: there is no such option\n" in caplog.text


@pytest.mark.parametrize(
    ("section", "meant"), [("pipline:P", "pipeline:P"), ("Pipeline:P", "pipeline:P"), ("lokup:L", "lookup:L")]
)
def test_a_misspelt_kind_of_section_is_noticed(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, section: str, meant: str
) -> None:
    pump.configure(section, path="x")
    pump.configure("sentry:general", path="x")
    start_and_stop(pump)
    assert f"[{section}] belongs to no component; did you mean '{meant}'?" in caplog.text
    assert "sentry" not in caplog.text


def test_a_pipeline_without_a_sink_at_its_end_is_noticed(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline), bspump.common.PrintProcessor(pump.app, pipeline))
    start_and_stop(pump, pipeline)
    assert "Pipeline 'P' ends with PrintProcessor('P.PrintProcessor'), which is no sink" in caplog.text


def test_processors_may_be_given_as_a_list(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    printers: list[bspump.Processor] = [
        bspump.common.PrintProcessor(pump.app, pipeline, str(number)) for number in range(2)
    ]
    sink = MemorySink(pump.app, pipeline)
    pipeline.build(MemorySource(pump.app, pipeline), printers, sink)
    assert list(pipeline.iter_processors()) == [*printers, sink]


def test_an_option_that_is_not_set_is_named_with_its_section(pump: PumpRunner) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    with pytest.raises(KeyError) as caught:
        pipeline.Config["url"]
    assert caught.value.args == ("[pipeline:P] url is not set",)
    assert pipeline.Config.get("url") is None


@pytest.mark.parametrize("interval", ["often", [1], float("nan"), 0])
def test_a_trigger_says_what_is_wrong_with_its_interval(pump: PumpRunner, interval: Any) -> None:
    with pytest.raises(
        bspump.ConfigurationError, match=r"^PeriodicTrigger interval: .* is (no number of|not above 0) seconds"
    ):
        bspump.trigger.PeriodicTrigger(pump.app, interval)


def test_text_that_is_no_json_is_told_without_a_traceback(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = bspump.Pipeline(pump.app, "P")
    source = MemorySource(pump.app, pipeline, ["{bad"])
    pipeline.build(source, bspump.common.StdJsonToDictParser(pump.app, pipeline), MemorySink(pump.app, pipeline))
    pump.run(lambda: until(pipeline.is_error), pipeline)
    assert "Pipeline 'P' stopped at P.StdJsonToDictParser: JSONDecodeError: " in caplog.text
    assert "Traceback" not in caplog.text


def start_and_stop(pump: PumpRunner, *pipelines: bspump.Pipeline) -> None:
    async def scenario() -> None:
        return

    pump.run(scenario, *pipelines)
