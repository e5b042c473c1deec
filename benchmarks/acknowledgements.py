"""The pipeline of `json_lines` with acknowledgements on, against the same one with them off."""

from __future__ import annotations

import functools
import sys

import bspump

from ._harness import Goal, Plan, Row, alternate, serve
from .json_lines import TimedSource, flights_file, measure_durable, run_pipeline


class WithoutCommits(TimedSource):
    """The same source as one that cannot be acknowledged: no checkpoints, no commits, no position file."""

    commit = bspump.Source.commit


run_without_commits = functools.partial(run_pipeline, source_class=WithoutCommits)
run_with_many_commits = functools.partial(run_pipeline, commit_interval="0.1")


def compare(plan: Plan) -> list[Row]:
    """Measure long enough for several commits at the default interval of one second."""
    count = plan.choose(1_000_000, 100_000)
    with flights_file(count) as (flights, output):
        measured = alternate(
            ("on", "off", "often"), plan.runs, lambda side: measure_durable(__name__, side, flights, output)
        )
    on, off, often = (measured.rates(side, count) for side in ("on", "off", "often"))
    load = measured.other_load
    return [
        Row("acknowledgements", "acknowledgements on / off", "lines/s", on, off, Goal(0.95), load),
        Row("acknowledgements", "ten commits a second / off", "lines/s", often, off, None, load),
    ]


if __name__ == "__main__":
    serve(on=run_pipeline, off=run_without_commits, often=run_with_many_commits)
    sys.exit()
