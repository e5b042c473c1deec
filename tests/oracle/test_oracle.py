"""The oracle: an application is killed again and again, and in the end no number is missing and none was invented."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

_PUMP = Path(__file__).with_name("pump.py")
_LINES = 200_000
_KILLS = 30
# Seconds from the start of the process to its end: from before it has read a line to the midst of its work.
_SHORTEST_LIFE = 0.2
_LONGEST_LIFE = 1.0
_SEED = 20130101


@pytest.mark.oracle
@pytest.mark.timeout(600)
def test_no_number_is_missing_after_thirty_kills(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("".join(f"{number}\n" for number in range(1, _LINES + 1)))
    kills = _kill_again_and_again(tmp_path)

    final = subprocess.run([sys.executable, str(_PUMP), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert final.returncode == 0, final.stderr

    for name in ("a.txt", "c.txt"):
        counted = Counter((tmp_path / name).read_text().split())
        expected = {str(number) for number in range(1, _LINES + 1)}
        missing = sorted(expected - counted.keys(), key=int)
        invented = sorted(counted.keys() - expected)
        assert not missing, f"{name}: {len(missing)} missing, the first {missing[:5]}"
        assert not invented, f"{name}: invented {invented[:5]}"
        print(f"{name}: {_LINES} numbers, {counted.total() - _LINES} duplicates after {kills} kills")
    assert kills >= _KILLS
    assert not list(tmp_path.glob("*-locked"))


def _kill_again_and_again(folder: Path) -> int:
    """Start the pump and kill it at a random moment. Returns how often it was alive when it was killed."""
    moments = random.Random(_SEED)
    kills = 0
    for _ in range(_KILLS):
        process = subprocess.Popen(
            [sys.executable, str(_PUMP), str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(moments.uniform(_SHORTEST_LIFE, _LONGEST_LIFE))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    return kills
