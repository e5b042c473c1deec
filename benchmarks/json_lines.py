"""A file of JSON lines: parse, filter, enrich, serialise, into a file, against a hand-written script."""

from __future__ import annotations

import contextlib
import filecmp
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import orjson

import bspump
import bspump.common
import bspump.file
import bspump.trigger

from . import _pump
from ._flights import Flight, add_airport, keep_delayed, write_flights
from ._harness import Figures, Goal, Plan, Row, alternate, measure, serve

_BLOCK = 1 << 16  # a few hundred lines; what they are parsed into fits the processor's cache


class TimedSource(bspump.file.FileLineSource):
    """Reads the lines of a file, and measures from the first look for it until everything is durable and committed."""

    seconds = 0.0

    async def cycle(self) -> None:
        began = perf_counter()
        await super().cycle()
        await self.Pipeline.checkpoint()
        await self.commit_now()
        self.seconds = perf_counter() - began


class KeepDelayed(bspump.Processor):
    """Drops what left in time."""

    def process(self, context: bspump.Context, event: Flight) -> Flight | None:
        return keep_delayed(event)


class AddAirport(bspump.Processor):
    """Adds what is known of the destination."""

    def process(self, context: bspump.Context, event: Flight) -> Flight:
        return add_airport(event)


class FlightsPipeline(bspump.Pipeline):
    """What a user would write."""

    def __init__(
        self,
        app: bspump.BSPumpApplication,
        source_class: type[TimedSource],
        flights: Path,
        output: Path,
        config: dict[str, object],
    ) -> None:
        super().__init__(app, "Flights")
        positions = output.with_suffix(".positions")
        reading = {"path": str(flights), "post": "noop", "position_dir": str(positions), **config}
        self.source = source_class(app, self, config=reading)
        self.build(
            self.source.on(bspump.trigger.RunOnceTrigger(app)),
            bspump.common.StdJsonToDictParser(app, self),
            KeepDelayed(app, self),
            AddAirport(app, self),
            bspump.file.FileJSONLinesSink(app, self, config={"path": str(output), "append": "no"}),
        )


def run_pipeline(flights: str, output: str, source_class: type[TimedSource] = TimedSource, **config: object) -> Figures:
    """Run the pipeline once over the whole file, from the beginning."""
    app = bspump.BSPumpApplication(args=[])
    pipeline = FlightsPipeline(app, source_class, Path(flights), Path(output), config)
    _pump.run(app, pipeline)
    return {"seconds": pipeline.source.seconds}


def _timed(script: Callable[[str, str], None]) -> Callable[[str, str], Figures]:
    def run(flights: str, output: str) -> Figures:
        began = perf_counter()
        script(flights, output)
        return {"seconds": perf_counter() - began}

    return run


def script_by_line(flights: str, output: str) -> None:
    """Do the same as the pipeline, line by line, with the same functions."""
    loads, dumps, newline = orjson.loads, orjson.dumps, orjson.OPT_APPEND_NEWLINE
    with Path(flights).open("rb") as source, Path(output).open("wb") as sink:
        for line in source:
            flight = keep_delayed(loads(line))
            if flight is not None:
                sink.write(dumps(add_airport(flight), option=newline))
        sink.flush()
        os.fsync(sink.fileno())


def script_by_block(flights: str, output: str) -> None:
    """Do the same with more effort: parse a block of lines as one array, and write it at once."""
    loads, dumps, newline = orjson.loads, orjson.dumps, orjson.OPT_APPEND_NEWLINE
    with Path(flights).open("rb") as source, Path(output).open("wb", buffering=0) as sink:
        while lines := source.readlines(_BLOCK):
            parsed = loads(b"[" + b",".join(lines) + b"]")
            kept = [flight for flight in parsed if keep_delayed(flight) is not None]
            sink.write(b"".join([dumps(add_airport(flight), option=newline) for flight in kept]))
        os.fsync(sink.fileno())


@contextlib.contextmanager
def flights_file(count: int) -> Iterator[tuple[Path, Path]]:
    """Provide a file of flights in a directory of its own, and the path of the output."""
    with tempfile.TemporaryDirectory(prefix="bspump-bench-") as directory:
        flights = Path(directory, "flights.jsonl")
        write_flights(flights, count)
        yield flights, Path(directory, "delayed.jsonl")


def measure_durable(module: str, side: str, flights: Path, output: Path) -> Figures:
    """Measure one side with nothing left on the way to the disk from before, and look whether its output is right."""
    output.unlink(missing_ok=True)
    for position in output.with_suffix(".positions").glob("*"):
        position.unlink()
    os.sync()
    figures = measure(module, side, flights, output)
    expected = output.with_name("expected.jsonl")
    if not expected.exists():
        script_by_line(str(flights), str(expected))
    if not filecmp.cmp(output, expected, shallow=False):
        raise RuntimeError(f"{module} {side}: the output is not what it has to be")
    return figures


def compare(plan: Plan) -> list[Row]:
    """Measure each side in processes of its own, which are short, so that there are more of them."""
    count = plan.choose(300_000, 50_000)
    with flights_file(count) as (flights, output):
        measured = alternate(
            ("pipeline", "by_line", "by_block"),
            3 * plan.runs,
            lambda side: measure_durable(__name__, side, flights, output),
        )
    ours, by_line, by_block = (measured.rates(side, count) for side in ("pipeline", "by_line", "by_block"))
    load = measured.other_load
    return [
        Row("json_lines", "JSON lines / script, line by line", "lines/s", ours, by_line, Goal(0.85), load),
        Row("json_lines", "JSON lines / script, block by block", "lines/s", ours, by_block, None, load),
    ]


if __name__ == "__main__":
    serve(pipeline=run_pipeline, by_line=_timed(script_by_line), by_block=_timed(script_by_block))
    sys.exit()
