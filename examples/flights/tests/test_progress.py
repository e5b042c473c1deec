from __future__ import annotations

import io

import pytest
import rich.console
from flightpump import progress


@pytest.mark.parametrize(
    ("done", "before", "total", "seconds", "text"),
    [
        (1000, 0, 4000, 2.0, "1,000 of 4,000 events (25%), 500 events/s, 6 s left"),
        (3000, 2000, 4000, 2.0, "3,000 of 4,000 events (75%), 500 events/s, 2 s left"),
        (2000, 2000, 4000, 2.0, "2,000 of 4,000 events (50%), 0 events/s, time left unknown"),
        (0, 0, 0, 2.0, "0 of 0 events (100%), 0 events/s, time left unknown"),
    ],
)
def test_a_line_of_progress(done: int, before: int, total: int, seconds: float, text: str) -> None:
    assert progress.describe(done, before, total, seconds) == text


def test_where_there_is_no_terminal_a_line_is_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("flightpump.progress.time.monotonic", lambda: now)
    output = io.StringIO()
    console = rich.console.Console(file=output, width=120)
    with progress.create_progress(console, 1000, 0) as shown:
        for step in range(1, 81):
            now = 100.0 + step * 0.1
            shown.show(step * 10)
    assert output.getvalue().splitlines() == [
        "300 of 1,000 events (30%), 100 events/s, 7 s left",
        "600 of 1,000 events (60%), 100 events/s, 4 s left",
    ]
