"""The application, as a process of its own and in this one."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump.testing import PumpRunner, until

HEAD = """
import asyncio
import bspump, bspump.common, bspump.trigger
import asab

class Sample(bspump.Pipeline):
    def __init__(self, app, id="Sample"):
        super().__init__(app, id)
        self.build(
            bspump.common.IteratorSource(app, self, ["an event"]).on(bspump.trigger.RunOnceTrigger(app)),
            bspump.common.PrintSink(app, self),
        )
"""


class Script:
    """A program in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ASAB_")}

    def _write(self, body: str, configuration: str) -> list[str]:
        (self.folder / "pump.py").write_text(HEAD + textwrap.dedent(body))
        command = [sys.executable, "pump.py"]
        if configuration:
            (self.folder / "pump.conf").write_text(textwrap.dedent(configuration))
            command += ["-c", "pump.conf"]
        return command

    def run(self, body: str, configuration: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self._write(body, configuration), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, body: str, configuration: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._write(body, configuration),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


# As a process


def test_a_job_prints_the_banner_and_its_events_and_ends_with_0(script: Script) -> None:
    done = script.run("""
        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            app.PumpService.add_pipeline(Sample(app))
            raise SystemExit(app.run())
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"BitSwan BSPump version {bspump.__version__}"
    assert "an event" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_running_pump_says_how_many_pipelines_are_ready_and_stops_gracefully(script: Script) -> None:
    with script.start("""
        class Numbers(bspump.Source):
            async def main(self):
                number = 0
                while True:
                    await self.process_batch([number], position=lambda count: number + count)
                    number += 1
                    await asyncio.sleep(0)

            async def commit(self, position):
                self.committed = position

        class Slow(bspump.BufferedSink):
            ConfigDefaults = {"batch_size": 100}
            written = 0

            async def write(self, batch):
                await asyncio.sleep(0.01)
                self.written += len(batch)

        class Endless(bspump.Pipeline):
            def __init__(self, app):
                super().__init__(app)
                self.source, self.sink = Numbers(app, self), Slow(app, self)
                self.build(self.source, self.sink)

        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            pipeline = Endless(app)
            app.PumpService.add_pipelines(pipeline)
            code = app.run()
            print("written", pipeline.sink.written, "committed", pipeline.source.committed)
            raise SystemExit(code)
    """) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "pipeline(s) ready." in line:
                    process.send_signal(signal.SIGTERM)
            code = process.wait(30)
        finally:
            process.kill()
    assert "1 pipeline(s) ready.\n" in lines
    word, written, _, committed = lines[-1].split()
    assert (code, word) == (0, "written")
    assert int(written) == int(committed) > 0
    assert "Traceback" not in "".join(lines)


def test_the_service_of_the_manual_may_initialise_the_pump_itself(script: Script) -> None:
    done = script.run("""
        class BlankService(asab.Service):
            def __init__(self, app, service_name="blank.BlankService"):
                super().__init__(app, service_name)

            async def initialize(self, app):
                svc = app.get_service("bspump.PumpService")
                self.SamplePipeline = Sample(app, "SamplePipeline")
                svc.add_pipeline(self.SamplePipeline)
                await svc.initialize(app)

        class BlankModule(asab.Module):
            def __init__(self, app):
                super().__init__(app)
                self.BlankService = BlankService(app)

        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            app.add_module(BlankModule)
            raise SystemExit(app.run())
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("an event") == 1


def test_all_configuration_problems_are_told_at_once_without_a_traceback(script: Script) -> None:
    done = script.run(
        """
        class User(asab.Service):
            async def initialize(self, app):
                await app.PumpService.initialize(app)

        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            services = [User(app, f"user {number}") for number in range(3)]
            app.PumpService.add_pipelines(Sample(app), Sample(app, "Other"))
            raise SystemExit(app.run())
        """,
        """
        [pipeline:Sample]
        on_error=explode
        stop_timeout=soon
        [pipeline:Other]
        on_error=dead_letter
        dead_letter=Nowhere
        """,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    for problem in (
        "[pipeline:Sample] on_error: 'explode' is none of stop, skip, dead_letter",
        "[pipeline:Sample] stop_timeout: 'soon' is not a duration",
        "[pipeline:Other] dead_letter: 'Nowhere' is no pipeline",
        "The application does not start: 3 configuration problem(s)",
    ):
        assert text.count(problem) == 1, text
    assert "Traceback" not in text
    assert "an event" not in text
    assert "pipeline(s) ready." not in text


def test_a_mistake_while_building_is_told_in_a_sentence(script: Script) -> None:
    done = script.run("""
        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            bspump.trigger.CronTrigger(app, "at noon")
    """)
    assert done.returncode == 1
    assert "error: CronTrigger schedule: 'at noon' is no cron schedule" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_fails_ends_the_application_with_1(script: Script) -> None:
    done = script.run("""
        class User(asab.Service):
            async def initialize(self, app):
                raise OSError("no licence")

        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            services = [User(app, f"user {number}") for number in range(3)]
            app.PumpService.add_pipeline(Sample(app))
            raise SystemExit(app.run())
    """)
    assert done.returncode == 1, done.stderr
    assert "User cannot be initialised: no licence" in done.stdout + done.stderr


def test_several_jobs_end_without_an_emergency(script: Script) -> None:
    done = script.run("""
        if __name__ == "__main__":
            app = bspump.BSPumpApplication()
            app.PumpService.add_pipelines(*(Sample(app, f"P{number}") for number in range(5)))
            raise SystemExit(app.run())
    """)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_m_bspump_has_a_command_line(script: Script) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bspump", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "--config" in done.stdout
    assert "127.0.0.1:8080" in " ".join(done.stdout.split())


def test_importing_bspump_imports_no_client_library_and_no_web_server() -> None:
    code = "import bspump, bspump.common, bspump.trigger, sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = set(done.stdout.split())
    heavy = {
        "aiohttp",
        "aiokafka",
        "aiormq",
        "aio_pika",
        "pika",
        "aiomysql",
        "pymysql",
        "aioftp",
        "numpy",
        "elasticsearch",
    }
    assert not modules & heavy
    assert not {name for name in modules if name.startswith("bspump.web")}


def test_every_exported_name_is_there() -> None:
    for name in bspump.__all__:
        assert getattr(bspump, name) is not None
    assert {"BSPumpApplication", "Pipeline", "Source", "Sink", "Processor", "Generator"} <= set(bspump.__all__)


# In this process


def test_there_is_no_web_server_unless_it_is_asked_for(pump: PumpRunner) -> None:
    assert pump.app.WebContainer is None
    assert pump.app.WebService is None


def listens(app: bspump.BSPumpApplication) -> list[tuple[str, int]]:
    return [(address, port) for address, port, _ in app.WebContainer._listen]


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ([], {"web_listen": "127.0.0.1:1234"}, [("127.0.0.1", 1234)]),
        (["-w"], {}, [("127.0.0.1", 8080)]),
        (["-w", "127.0.0.1:4321"], {}, [("127.0.0.1", 4321)]),
        (["--web-api", "127.0.0.1:4321"], {"web_listen": "127.0.0.1:1234"}, [("127.0.0.1", 4321)]),
    ],
    ids=["argument", "-w", "-w address", "both"],
)
def test_where_the_web_server_listens(arguments: list[str], options: Any, expected: Any) -> None:
    with PumpRunner(arguments, **options) as runner:
        assert listens(runner.app) == expected
        assert runner.app.WebContainer.WebApp.router is not None


def test_an_application_may_add_arguments() -> None:
    parser = bspump.BSPumpApplication.create_argument_parser(bspump.BSPumpApplication.__new__(bspump.BSPumpApplication))
    parser.add_argument("--topic")
    arguments = parser.parse_args(["--topic", "t", "-w"])
    assert (arguments.topic, arguments.web_api) == ("t", "127.0.0.1:8080")
    assert parser.parse_args(["-w", "0.0.0.0:80"]).web_api == "0.0.0.0:80"


def test_main_says_how_many_pipelines_are_ready(pump: PumpRunner, capsys: pytest.CaptureFixture[str]) -> None:
    pipelines = [bspump.Pipeline(pump.app, id) for id in "PQ"]
    for pipeline in pipelines:
        pipeline.build(bspump.testing.MemorySource(pump.app, pipeline), bspump.testing.MemorySink(pump.app, pipeline))
    pump.run(pump.app.main, *pipelines)
    assert "2 pipeline(s) ready.\n" in capsys.readouterr().out


def test_after_a_runner_a_new_one_starts_afresh() -> None:
    for _ in range(2):
        with PumpRunner() as runner:
            runner.configure("pipeline:P", on_error="explode")
            bspump.Pipeline(runner.app, "P")
            assert len(runner.service.configuration_problems) == 1
    with PumpRunner() as runner:
        bspump.Pipeline(runner.app, "P")
        assert runner.service.configuration_problems == []
        runner.run(lambda: until(lambda: True))


# JSON files


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".json", bytes),
        (".json.gz", gzip.compress),
        (".json.bz2", bz2.compress),
        (".json.xz", lzma.compress),
        (".json.lzma", lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_files_may_be_compressed(tmp_path: Path, suffix: str, compress: Any) -> None:
    content = {"ž": [1, None]}
    path = tmp_path / f"file{suffix}"
    path.write_bytes(compress(json.dumps(content).encode()))
    assert bspump.load_json_file(path) == content
    assert bspump.load_json_file(str(path)) == content


def test_a_json_file_that_is_missing_or_broken_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bspump.load_json_file(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        bspump.load_json_file(tmp_path / "broken.json")


def test_a_subpackage_is_imported_when_it_is_used() -> None:
    code = "import bspump; print(bspump.common.NullSink.__name__, bspump.trigger.RunOnceTrigger.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == (
        b"NullSink RunOnceTrigger\n"
    )


def test_a_subpackage_of_a_distribution_that_is_not_installed_names_it() -> None:
    # Asked for in a process that does not find any of them.
    code = "import bspump, bspump.errors; bspump.__path__ = []; bspump.kafka"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True).stderr
    assert said.splitlines()[-1].endswith(
        "bspump.kafka needs a package that is not installed: pip install bspump-kafka"
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bspump' has no attribute 'Pipline'"):
        bspump.Pipline  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(bspump, "_private")
