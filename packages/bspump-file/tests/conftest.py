"""Fixtures of the tests of bspump-file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import bspump
import bspump.file
from bspump.testing import MemorySink, PumpRunner

ReadFiles = Callable[..., MemorySink]


@pytest.fixture
def pump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PumpRunner]:
    """An application to build pipelines in; run them with ``pump.run(scenario, *pipelines)``."""
    with PumpRunner() as runner:
        runner.configure("general", var_dir=tmp_path_factory.mktemp("var"))
        yield runner


@pytest.fixture
def read_files(pump: PumpRunner) -> ReadFiles:
    """A function that runs a pipeline from a source of files, for some cycles, and returns its sink.

    ``read_files(SourceClass, path, *arguments, cycles=1, pipeline={...}, **options)``; each call is a run of its own,
    of the same pipeline.
    """

    def read(
        source_class: Callable[..., bspump.file.FileABCSource],
        path: Path | str,
        *arguments: Any,
        cycles: int = 1,
        pipeline: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> MemorySink:
        reading = Reading(pump.app, pipeline)
        source = source_class(
            pump.app, reading, *arguments, id="files", config={"path": str(path), "settle": 0, **options}
        )
        sink = MemorySink(pump.app, reading)
        reading.build(source, sink)

        async def scenario() -> None:
            for _ in range(cycles):
                await run_cycle(source)
                if not reading.is_error():
                    await source.commit_now()

        pump.run(scenario, reading)
        pump.service.del_pipeline(reading)
        return sink

    return read


class Reading(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, config: Mapping[str, Any] | None) -> None:
        super().__init__(app, "Reading", config)


async def run_cycle(source: bspump.TriggerSource) -> None:
    """Return when a cycle has ended, or the pipeline stands still because of an error."""
    ended = asyncio.Event()

    def end(message: str, pipeline: bspump.Pipeline) -> None:
        ended.set()

    for message in ("bspump.pipeline.cycle_end!", "bspump.pipeline.error!"):
        source.Pipeline.PubSub.subscribe(message, end)
    source.TriggerEvent.set()
    await ended.wait()
