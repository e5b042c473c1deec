"""Lookups are loaded before the pipelines start, and say what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bspump
from bspump.abc.lookupprovider import LookupBatchProviderABC
from bspump.testing import MemorySink, MemorySource, PumpRunner


class Shelf(LookupBatchProviderABC):
    """Provides what the test has put there."""

    def __init__(self, lookup: bspump.Lookup, *contents: bytes | bool | Exception | None) -> None:
        super().__init__(lookup, "shelf://one")
        self.contents = list(contents)

    async def load(self) -> bytes | bool | None:
        await asyncio.sleep(0)
        content = self.contents.pop(0)
        if isinstance(content, Exception):
            raise content
        self.ETag = "v1"
        return content


class Listener:
    def __init__(self, lookup: bspump.Lookup) -> None:
        self.count = 0
        lookup.PubSub.subscribe("bspump.Lookup.changed!", self.hear)

    def hear(self, message_type: str) -> None:
        self.count += 1


def dictionary(pump: PumpRunner, *contents: Any, id: str = "L", lazy: bool = False) -> bspump.DictionaryLookup:
    lookup = bspump.DictionaryLookup(pump.app, id, lazy=lazy)
    lookup.Provider = Shelf(lookup, *contents)
    return lookup


def test_lookups_are_loaded_before_the_pipelines_start(pump: PumpRunner) -> None:
    class Translate(bspump.Processor):
        def process(self, context: bspump.Context, event: str) -> Any:
            return pump.service.locate_lookup("L")[event]  # type: ignore[index]

    lookup = pump.service.add_lookup(dictionary(pump, b'{"one": 1, "two": 2}'))
    assert lookup is pump.service.Lookups["L"]
    pipeline = bspump.Pipeline(pump.app, "P")
    source, sink = MemorySource(pump.app, pipeline, ["one", "two"]), MemorySink(pump.app, pipeline)
    pipeline.build(source, Translate(pump.app, pipeline), sink)
    pump.run(source.finished.wait, pipeline)
    assert sink.events == [1, 2]


def test_a_lazy_lookup_is_loaded_when_it_is_asked_to(pump: PumpRunner) -> None:
    lookup = dictionary(pump, b'{"a": 1}', lazy=True)
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        assert len(lookup) == 0
        assert await lookup.ensure_future_update(asyncio.get_running_loop()) is True
        assert dict(lookup) == {"a": 1}

    pump.run(scenario)


def test_new_content_replaces_the_old_and_is_announced(pump: PumpRunner) -> None:
    lookup = dictionary(pump, b'{"a": 1, "b": 2}', b'{"a": 3}', False, None)
    listener = Listener(lookup)

    async def scenario() -> None:
        assert [await lookup.load() for _ in range(4)] == [True, True, False, False]
        assert lookup.Dictionary == {"a": 3}
        assert listener.count == 2
        lookup.set({"c": 4})
        assert (lookup["c"], lookup.get("a"), "c" in lookup, listener.count) == (4, None, True, 3)
        assert lookup.rest_get() == {"Id": "L", "ETag": "v1", "Dictionary": {"c": 4}}
        lookup.deserialize(lookup.serialize())
        assert lookup.Dictionary == {"c": 4}

    pump.run(scenario)


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", OSError(2, "No such file or directory")])
def test_bad_content_leaves_the_old_in_place(pump: PumpRunner, content: Any) -> None:
    lookup = dictionary(pump, b'{"a": 1}', content)
    listener = Listener(lookup)

    async def scenario() -> None:
        await lookup.load()
        with pytest.raises(bspump.ConfigurationError, match=r"\[lookup:L\] source_url: 'shelf://one'"):
            await lookup.load()
        assert lookup.Dictionary == {"a": 1}
        assert listener.count == 1

    pump.run(scenario)


def test_every_lookup_that_cannot_be_loaded_is_named_and_nothing_starts(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    pump.service.add_lookups(
        dictionary(pump, OSError(13, "Permission denied"), id="A"),
        dictionary(pump, b"[]", id="B"),
        dictionary(pump, RuntimeError("a bug"), id="C"),
        dictionary(pump, b"{}", id="D"),
    )
    pipeline = bspump.Pipeline(pump.app, "P")
    pipeline.build(MemorySource(pump.app, pipeline), MemorySink(pump.app, pipeline))

    async def scenario() -> None:
        assert not pipeline.is_ready()

    pump.run(scenario, pipeline)
    assert "[lookup:A] source_url: 'shelf://one' cannot be loaded: Permission denied" in caplog.text
    assert "[lookup:B] source_url: 'shelf://one' does not fit a DictionaryLookup" in caplog.text
    assert "[lookup:C] cannot be loaded: RuntimeError: a bug" in caplog.text
    assert "does not start: 3 configuration problem(s)" in caplog.text
    assert pump.app.ExitCode == 1


def test_a_lookup_without_a_source_is_its_own_master(pump: PumpRunner) -> None:
    lookup = bspump.DictionaryLookup(pump.app)

    async def scenario() -> None:
        assert await lookup.load() is False

    pump.run(scenario)
    assert lookup.is_master()
    assert lookup.rest_get() == {"Id": "DictionaryLookup", "Dictionary": {}}


def test_a_lookup_may_copy_that_of_another_pump(pump: PumpRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bspump.abc.lookup.find_provider", lambda url: Shelf)
    pump.configure("lookup:L", master_url="https://main:8443/", master_lookup_id="Capitals")
    lookup = bspump.DictionaryLookup(pump.app, "L")
    assert not lookup.is_master()
    assert lookup.MasterURL == "https://main:8443/bspump/v1/lookup/Capitals"
    assert lookup.rest_get()["MasterURL"] == lookup.MasterURL


def test_an_unknown_scheme_is_a_configuration_error(pump: PumpRunner) -> None:
    bspump.DictionaryLookup(pump.app, config={"source_url": "gopher://user:secret@x"})
    [problem] = pump.service.configuration_problems
    assert problem.startswith("[lookup:DictionaryLookup] source_url: 'gopher://x' is neither a path nor one of file://")


def test_a_provider_of_a_distribution_that_is_not_installed_says_how_to_install_it(
    pump: PumpRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        bspump._providers._PROVIDERS,
        "moon",
        ("bspump.moon", "MoonProvider", "bspump-moon"),
    )
    bspump.DictionaryLookup(pump.app, config={"source_url": "moon://x"})
    [problem] = pump.service.configuration_problems
    assert "'moon://x' needs a package: pip install bspump-moon" in problem


def test_lookups_compare_by_identity(pump: PumpRunner) -> None:
    one, two = bspump.DictionaryLookup(pump.app, "A"), bspump.DictionaryLookup(pump.app, "B")
    assert one != two
    assert len({one, two, one}) == 2


def test_lookups_are_constructed_from_definitions(pump: PumpRunner) -> None:
    lookup = bspump.DictionaryLookup.construct(
        pump.app, {"id": "L", "config": {"use_cache": "no"}, "args": {"lazy": True}}
    )
    assert (lookup.Id, lookup.Lazy, lookup.Config["use_cache"]) == ("L", True, "no")
