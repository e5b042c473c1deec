"""Caches forget what is too old or used least, and are dictionaries otherwise."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

import bspump
from bspump.cache import CacheDict, LRUCacheDict
from bspump.testing import PumpRunner, until


class Clocked(LRUCacheDict[Any, Any]):
    """A cache whose time the test sets."""

    def __init__(self, app: Any, max_size: int = 1000, max_duration: float | None = None) -> None:
        super().__init__(app, max_size, max_duration)
        self.now = 0.0
        self._clock = lambda: self.now


def filled(pump: PumpRunner, **limits: Any) -> Clocked:
    """Return a cache with a, b and c, set at the times 1, 2 and 3."""
    cache = Clocked(pump.app, **limits)
    for time, key in enumerate("abc", start=1):
        cache.now = time
        cache[key] = key.upper()
    return cache


def test_the_plain_cache_is_a_dictionary() -> None:
    cache: CacheDict[str, int] = CacheDict()
    cache["a"] = 1
    assert cache == {"a": 1}
    assert isinstance(cache, dict)


def test_what_was_used_least_recently_is_forgotten_first(pump: PumpRunner) -> None:
    cache = filled(pump, max_size=3)
    assert cache["a"] == "A"
    cache["b"] = "B2"
    cache["d"] = "D"
    assert cache == {"a": "A", "b": "B2", "d": "D"}
    assert cache.get("a") == "A"
    cache["e"] = "E"
    assert dict(cache) == {"a": "A", "d": "D", "e": "E"}


def test_looking_whether_a_key_is_there_or_going_over_all_is_no_use(pump: PumpRunner) -> None:
    cache = filled(pump, max_size=3)
    assert "a" in cache
    assert next(iter(cache.items())) == ("a", "A")
    assert next(iter(cache.values())) == "A"
    assert "A" in cache.values()
    assert "D" not in cache.values()
    assert ("a", "A") in cache.items()
    assert ("a", "B") not in cache.items()
    cache["d"] = "D"
    assert list(cache) == ["b", "c", "d"]


def test_a_value_is_kept_for_its_time_however_often_it_is_read(pump: PumpRunner) -> None:
    cache = filled(pump, max_duration=10)
    cache.now = 10.9
    assert cache["a"] == "A"
    cache.now = 11
    with pytest.raises(KeyError):
        cache["a"]
    assert (cache.get("a"), "a" in cache, len(cache), list(cache)) == (None, False, 2, ["b", "c"])
    cache["b"] = "B2"
    cache.now = 13
    assert cache == {"b": "B2"}
    cache.now = 20.9
    assert cache["b"] == "B2"
    cache.now = 21
    assert not cache


def test_nothing_of_what_is_too_old_is_seen_by_any_way(pump: PumpRunner) -> None:
    cache = filled(pump, max_duration=1)
    assert len(cache) == 1
    assert (list(cache), list(reversed(cache))) == (["c"], ["c"])
    assert (list(cache.keys()), list(cache.values()), list(cache.items())) == (["c"], ["C"], [("c", "C")])
    assert cache.copy() == dict(cache) == {**cache} == cache | {} == {} | cache == {"c": "C"}
    assert json.loads(json.dumps(cache)) == {"c": "C"}
    assert repr(cache) == "Clocked({'c': 'C'})"
    assert cache == {"c": "C"}
    assert cache != {"a": "A", "b": "B", "c": "C"}
    assert cache.setdefault("b", "new") == "new"
    assert cache.pop("a", "gone") == "gone"
    with pytest.raises(KeyError):
        del cache["a"]


def test_the_limits_hold_whatever_way_keys_come_in(pump: PumpRunner) -> None:
    cache = filled(pump, max_size=2)
    cache.update({"d": 1}, e=2)
    assert cache == {"d": 1, "e": 2}
    cache |= {"f": 3}
    assert cache == {"e": 2, "f": 3}
    cache.setdefault("g", 4)
    cache.update([("h", 5)])
    assert cache == {"g": 4, "h": 5}


def test_a_cache_may_be_read_and_changed_while_it_is_gone_over(pump: PumpRunner) -> None:
    cache = filled(pump, max_size=6, max_duration=10)
    seen = []
    for key in cache:
        seen.append((key, cache[key]))
        cache[f"{key}{key}"] = 0
    assert seen[0] == ("a", "A")
    assert [key for key, _ in seen] == ["a", "b", "c"]
    for key, value in cache.items():
        assert cache.pop(key) == value
    assert not cache


def test_keys_are_taken_out(pump: PumpRunner) -> None:
    cache = filled(pump, max_size=3)
    assert cache.popitem() == ("c", "C")
    assert cache.pop("a") == "A"
    with pytest.raises(KeyError):
        cache.pop("a")
    del cache["b"]
    with pytest.raises(KeyError):
        cache.popitem()
    cache.update(a=1, b=2)
    cache.clear()
    cache.update(c=3, d=4, e=5)
    assert cache == {"c": 3, "d": 4, "e": 5}


def test_each_cache_keeps_its_own(pump: PumpRunner) -> None:
    one, two = filled(pump), filled(pump)
    assert one == two
    del two["a"]
    assert one != two
    assert one["a"] == "A"


def test_the_time_is_that_of_the_loop_and_there_is_no_thread(pump: PumpRunner) -> None:
    threads = threading.active_count()
    cache: LRUCacheDict[str, int] = LRUCacheDict(pump.app, max_size=10, max_duration=0.05)

    async def scenario() -> None:
        cache["a"] = 1
        assert cache["a"] == 1
        await until(lambda: "a" not in cache)

    pump.run(scenario)
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"max_size": 0}, "LRUCacheDict max_size: 0 is below 1"),
        ({"max_duration": 0}, "LRUCacheDict max_duration: 0 is not above 0 seconds"),
        ({"max_duration": float("nan")}, "LRUCacheDict max_duration: nan is not above 0 seconds"),
    ],
)
def test_limits_that_make_no_sense_are_refused(pump: PumpRunner, limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(bspump.ConfigurationError, match=sentence):
        LRUCacheDict(pump.app, **limits)
