"""Lookups are loaded before the pipelines start, and say what is wrong."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bspump
from bspump._urls import hide_secrets, shown_url
from bspump.abc.lookup import AsyncLookupMixin, MappingLookup
from bspump.abc.lookupprovider import LookupBatchProviderABC
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


class Shelf(LookupBatchProviderABC):
    """Provides what the test has put there."""

    def __init__(self, lookup: bspump.Lookup, *contents: bytes | bool | Exception | None) -> None:
        super().__init__(lookup, "shelf://one")
        self.contents = list(contents)
        self.version = "v1"

    async def load(self) -> bytes | bool | None:
        await asyncio.sleep(0)
        content = self.contents.pop(0) if self.contents else False
        if isinstance(content, Exception):
            raise content
        self.ETag = self.version
        return content


class Listener:
    def __init__(self, lookup: bspump.Lookup) -> None:
        self.count = 0
        lookup.PubSub.subscribe("bspump.Lookup.changed!", self.hear)

    def hear(self, message_type: str) -> None:
        self.count += 1


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and record.name == "bspump.abc.lookup"
    ]


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


@pytest.mark.parametrize(
    "content", [b"[1]", b"{", b"\xff", OSError(2, "No such file or directory"), RuntimeError("a bug")]
)
def test_what_cannot_be_loaded_again_leaves_the_old_in_place(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    lookup = dictionary(pump, b'{"a": 1}', content, content, False, content)
    listener = Listener(lookup)

    async def scenario() -> None:
        assert [await lookup.load() for _ in range(3)] == [True, False, False]
        assert (lookup.Dictionary, listener.count) == ({"a": 1}, 1)
        [warning] = warnings(caplog)
        assert warning.startswith("[lookup:L] source_url: 'shelf://one' ")
        assert warning.endswith("; what it had before stays in use")
        assert lookup.rest_get()["Error"] == lookup.problem
        assert await lookup.load() is False
        assert "[lookup:L] can be loaded again" in caplog.text
        assert (lookup.problem, "Error" in lookup.rest_get()) == (None, False)
        # The next outage is said again.
        await lookup.load()
        assert len(warnings(caplog)) == 2
        assert "Traceback" not in caplog.text

    pump.run(scenario)


def test_content_that_was_not_understood_is_not_taken_for_what_is_there(pump: PumpRunner) -> None:
    lookup = dictionary(pump, b'{"a": 1}', b"[]")

    async def scenario() -> None:
        await lookup.load()
        shelf = lookup.Provider
        assert isinstance(shelf, Shelf)
        assert shelf.ETag == "v1"
        shelf.version = "v2"
        await lookup.load()
        # Otherwise the master would answer that nothing is new.
        assert shelf.ETag == "v1"

    pump.run(scenario)


@pytest.mark.parametrize("content", [b"[]", OSError(2, "No such file or directory"), TimeoutError()])
def test_without_anything_from_before_the_caller_is_told(pump: PumpRunner, content: Any) -> None:
    lookup = dictionary(pump, content, lazy=True)

    async def scenario() -> None:
        with pytest.raises(bspump.ConfigurationError, match=r"\[lookup:L\] source_url: 'shelf://one' .*\w$"):
            await lookup.load()

    pump.run(scenario)


def test_a_mistake_in_the_middle_of_the_content_leaves_the_old_in_place(pump: PumpRunner) -> None:
    class Rooms(bspump.DictionaryLookup):
        def deserialize(self, data: bytes) -> None:
            self.Dictionary.clear()
            for row in data.split():
                key, value = row.split(b"=")
                self.Dictionary[key] = value

    lookup = Rooms(pump.app)
    lookup.Provider = Shelf(lookup, b"a=1 b=2", b"c=3 d")

    async def scenario() -> None:
        await lookup.load()
        assert await lookup.load() is False
        assert dict(lookup) == {b"a": b"1", b"b": b"2"}
        assert "does not fit a Rooms" in str(lookup.problem)

    pump.run(scenario)


def test_a_subscriber_that_loads_is_no_reason_for_a_traceback(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Fresh(bspump.DictionaryLookup):
        def __init__(self, app: bspump.BSPumpApplication) -> None:
            super().__init__(app)
            self.loaded = asyncio.Event()
            app.PubSub.subscribe("Application.tick/60!", self.on_tick)

        async def on_tick(self, message_type: str) -> None:
            await self.load()
            self.loaded.set()

    lookup = Fresh(pump.app)
    lookup.Provider = Shelf(lookup, b'{"a": 1}', OSError(111, "Connection refused"))
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        pump.app.PubSub.publish("Application.tick/60!")
        await lookup.loaded.wait()
        assert [record.exc_info for record in caplog.records if record.levelname in ("WARNING", "ERROR")][-1] is None
        assert "cannot be loaded: Connection refused; what it had before stays in use" in caplog.text
        assert "Traceback" not in caplog.text

    pump.run(scenario)


def test_an_update_in_the_background_warns_also_the_first_time(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    lookup = dictionary(pump, *[OSError(111, "Connection refused")] * 2, b"{}", lazy=True)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert [await lookup.ensure_future_update(loop) for _ in range(3)] == [False, False, True]
        assert warnings(caplog) == ["[lookup:L] source_url: 'shelf://one' cannot be loaded: Connection refused"]
        assert "[lookup:L] can be loaded again" in caplog.text

    pump.run(scenario)


def test_a_lookup_is_refreshed_while_the_application_runs(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    refused = OSError(111, "Connection refused")
    pump.configure("lookup:L", refresh_period="1ms")
    lookup = dictionary(pump, b'{"n": 1}', refused, refused, b'{"n": 2}')
    shelf = lookup.Provider
    assert isinstance(shelf, Shelf)
    listener = Listener(lookup)
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        # The pump may be initialised again by a service of the user.
        await pump.service.initialize(pump.app)
        await until(lambda: lookup["n"] == 2 and not shelf.contents)
        assert listener.count == 2
        assert len(warnings(caplog)) == 1
        assert "[lookup:L] can be loaded again" in caplog.text
        assert len([task for task in asyncio.all_tasks() if "refresh lookup" in task.get_name()]) == 1

    async def after_the_end() -> None:
        assert not [task for task in asyncio.all_tasks() if "refresh lookup" in task.get_name()]

    pump.run(scenario)
    pump.app.Loop.run_until_complete(after_the_end())


def test_a_load_of_ones_own_that_fails_is_said_in_a_sentence_when_it_is_refreshed(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Counted(bspump.DictionaryLookup):
        loads = 0

        async def load(self) -> bool:
            self.loads += 1
            if self.loads in (2, 3):
                raise KeyError("no such table")
            if self.loads == 4:
                raise asyncio.CancelledError  # out of something that it awaits
            return True

    lookup = Counted(pump.app, "L", config={"refresh_period": 0.001})
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        await until(lambda: lookup.loads > 5)
        assert warnings(caplog) == ["[lookup:L] cannot be loaded: KeyError: 'no such table'"]
        assert lookup.problem is None
        assert "Traceback" not in caplog.text

    pump.run(scenario)


@pytest.mark.parametrize("calls_base", [False, True])
def test_what_a_load_of_ones_own_brings_is_announced_once(pump: PumpRunner, calls_base: bool) -> None:
    class Own(bspump.DictionaryLookup):
        async def load(self) -> bool:
            if calls_base:
                return await super().load()
            self.Dictionary = {"a": 1}
            return True

    lookup = Own(pump.app, "L")
    lookup.Provider = Shelf(lookup, b'{"a": 1}', b'{"a": 2}')
    listener = Listener(lookup)
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        assert (lookup["a"], listener.count) == (1, 1)
        await lookup.ensure_future_update(asyncio.get_running_loop())
        assert listener.count == 2

    pump.run(scenario)


def test_a_cancellation_from_within_does_not_end_the_refresh(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Cut(Shelf):
        loads = 0

        async def load(self) -> bytes | bool | None:
            self.loads += 1
            if self.loads == 2:
                raise asyncio.CancelledError
            return await super().load()

    lookup = bspump.DictionaryLookup(pump.app, "L", config={"refresh_period": 0.001})
    lookup.Provider = shelf = Cut(lookup, b'{"n": 1}', b'{"n": 2}')
    pump.service.add_lookup(lookup)

    async def scenario() -> None:
        await until(lambda: lookup["n"] == 2 and shelf.loads > 3)
        [warning] = warnings(caplog)
        assert "cannot be loaded: something that it awaited was cancelled; what it had before stays" in warning

    pump.run(scenario)


def test_a_load_that_is_given_up_is_made_up_for(pump: PumpRunner) -> None:
    class Slow(Shelf):
        is_slow = False

        async def load(self) -> bytes | bool | None:
            if self.ETag == self.version:
                return False
            content = await super().load()
            if self.is_slow:
                await asyncio.Event().wait()
            return content

    lookup = dictionary(pump)
    lookup.Provider = shelf = Slow(lookup, b'{"a": 1}', b'{"a": 2}', b'{"a": 2}')

    async def scenario() -> None:
        await lookup.load()
        shelf.version, shelf.is_slow = "v2", True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookup.load(), 0.01)
        shelf.is_slow = False
        assert await lookup.load() is True
        assert lookup["a"] == 2

    pump.run(scenario)


def test_a_refresh_that_is_under_way_does_not_delay_the_stop(pump: PumpRunner) -> None:
    class Slow(Shelf):
        asked = asyncio.Event()

        async def load(self) -> bytes | bool | None:
            if not self.contents:
                self.asked.set()
                await asyncio.Event().wait()
            return await super().load()

    lookup = bspump.DictionaryLookup(pump.app, config={"refresh_period": 0.001})
    lookup.Provider = Slow(lookup, b"{}")
    pump.service.add_lookup(lookup)
    pump.run(Slow.asked.wait)
    assert pump.app.ExitCode == 0


@pytest.mark.parametrize("period", ["-1", "often"])
def test_a_period_that_is_none_is_refused(pump: PumpRunner, period: str) -> None:
    bspump.DictionaryLookup(pump.app, "L", config={"refresh_period": period})
    [problem] = pump.service.configuration_problems
    assert problem.startswith(f"[lookup:L] refresh_period: '{period}' is ")


def test_a_lazy_lookup_has_no_period(pump: PumpRunner) -> None:
    bspump.DictionaryLookup(pump.app, "L", config={"refresh_period": "5m"}, lazy=True)
    [problem] = pump.service.configuration_problems
    assert problem == "[lookup:L] refresh_period: '5m' cannot be used by a lazy lookup, which nobody loads but its user"


def test_a_stop_does_not_wait_for_a_lookup_that_is_still_loaded_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            """
            import asyncio
            import bspump
            from bspump.testing import MemorySink, MemorySource

            class Endless(bspump.DictionaryLookup):
                async def load(self):
                    print("loading", flush=True)
                    await asyncio.Event().wait()

            app = bspump.BSPumpApplication(args=[])
            app.PumpService.add_lookup(Endless(app, "L"))
            pipeline = bspump.Pipeline(app, "P")
            sink = MemorySink(app, pipeline)
            pipeline.build(MemorySource(app, pipeline, [1]), sink)
            app.PumpService.add_pipeline(pipeline)
            code = app.run()
            assert sink.events == []
            raise SystemExit(code)
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while "loading" not in process.stdout.readline():
            assert process.poll() is None
        process.terminate()
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "The application ends before its lookups are loaded: 'L'" in said
    assert "Traceback" not in said


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
    assert "[lookup:C] source_url: 'shelf://one' cannot be loaded: RuntimeError: a bug" in caplog.text
    assert "does not start: 3 configuration problem(s)" in caplog.text
    assert pump.app.ExitCode == 1


def test_a_lookup_without_a_source_is_its_own_master(pump: PumpRunner) -> None:
    lookup = bspump.DictionaryLookup(pump.app)

    async def scenario() -> None:
        assert await lookup.load() is False

    pump.run(scenario)
    assert lookup.is_master()
    assert lookup.rest_get() == {"Id": "DictionaryLookup", "Dictionary": {}}


class Copy(bspump.DictionaryLookup):
    """A lookup whose content the test brings, whatever its URL is."""

    def create_provider(self, url: str) -> Shelf:
        shelf = Shelf(self)
        shelf.URL = url
        return shelf


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"master_lookup_id": "Capitals"}, "http://localhost:8080/bspump/v1/lookup/Capitals"),
        ({"master_url": "http://main:8080"}, "http://main:8080/bspump/v1/lookup/L"),
        ({"master_url": "http://localhost:8080"}, "http://localhost:8080/bspump/v1/lookup/L"),
        ({"master_url": "main:8080"}, "http://main:8080/bspump/v1/lookup/L"),
        (
            {"master_url": "https://main/pumps/", "master_lookup_id": "C", "master_url_endpoint": "/v2/lookup"},
            "https://main/pumps/v2/lookup/C",
        ),
        ({"master_lookup_id": "two words/é"}, "http://localhost:8080/bspump/v1/lookup/two%20words%2F%C3%A9"),
    ],
)
@pytest.mark.parametrize("comes_from", ["file", "argument"])
def test_a_lookup_may_copy_that_of_another_pump(
    pump: PumpRunner, options: dict[str, str], url: str, comes_from: str
) -> None:
    if comes_from == "file":
        pump.configure("lookup:L", **options)
    lookup = Copy(pump.app, "L", config=options if comes_from == "argument" else None)
    assert not lookup.is_master()
    assert lookup.Provider is not None
    assert (lookup.MasterURL, lookup.Provider.URL) == (url, url)
    assert lookup.rest_get()["MasterURL"] == url


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"master_url": ""},
        {"master_url": "", "master_lookup_id": "C"},
        {"master_url": "http://main", "source_url": "shelf://one"},
    ],
)
def test_a_lookup_with_no_master_or_a_source_of_its_own_is_a_master(pump: PumpRunner, options: dict[str, str]) -> None:
    lookup = Copy(pump.app, "L", config=options)
    assert lookup.is_master()
    assert "MasterURL" not in lookup.rest_get()


def test_what_is_said_of_a_master_has_no_password_in_it(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    lookup = Copy(pump.app, "L", config={"master_url": "http://anna:secret@main"})
    assert isinstance(lookup.Provider, Shelf)
    assert lookup.MasterURL == "http://anna:secret@main/bspump/v1/lookup/L"
    lookup.Provider.contents = [OSError(f"no answer from {lookup.MasterURL}")]

    async def scenario() -> None:
        await lookup.load_or_warn()
        public = "http://main/bspump/v1/lookup/L"
        assert warnings(caplog) == [f"[lookup:L] master_url: '{public}' cannot be loaded: no answer from {public}"]
        assert "secret" not in str(lookup.rest_get())

    pump.run(scenario)


def test_what_is_said_of_a_url_has_no_value_of_its_query_in_it(
    pump: PumpRunner, caplog: pytest.LogCaptureFixture
) -> None:
    lookup = Copy(pump.app, "L", config={"source_url": "shelf://one/x?region=eu&token=secret"})
    assert isinstance(lookup.Provider, Shelf)
    lookup.Provider.URL = str(lookup.Config["source_url"])
    lookup.Provider.contents = [OSError(f"no answer from {lookup.Provider.URL}")]

    async def scenario() -> None:
        await lookup.load_or_warn()
        public = "shelf://one/x?region=…&token=…"
        assert warnings(caplog) == [f"[lookup:L] source_url: '{public}' cannot be loaded: no answer from {public}"]

    pump.run(scenario)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:secret@host:1/a?b=1&c", "https://host:1/a?b=…&…"),
        ("https://host/a", "https://host/a"),
        ("https://host/a#token=secret", "https://host/a"),
        ("data/what?.json", "data/what?.json"),
        ("file:///data/a@b", "file:///data/a@b"),
        ("acme:/x?token=secret", "acme:/x?token=…"),
        ("ann:secret@host/a", "ann:host/a"),
        ("http://ann:secret@[::1?token=secret", "[::1"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert hide_secrets(f"GET {url} failed", url) == f"GET {shown} failed"


def test_what_is_set_in_a_copy_is_warned_of(pump: PumpRunner, caplog: pytest.LogCaptureFixture) -> None:
    lookup = Copy(pump.app, "L", config={"master_url": "http://main"})
    lookup.set({"a": 1})
    [warning] = warnings(caplog)
    assert warning == "Lookup 'L' is a copy of another pump's; what is set here lasts until the next load"
    assert dict(lookup) == {"a": 1}


def test_an_unknown_scheme_is_a_configuration_error(pump: PumpRunner) -> None:
    bspump.DictionaryLookup(pump.app, config={"source_url": "gopher://user:secret@x"})
    [problem] = pump.service.configuration_problems
    assert problem.startswith("[lookup:DictionaryLookup] source_url: 'gopher://x' ")


def test_the_option_that_has_the_wrong_url_is_named(pump: PumpRunner) -> None:
    bspump.DictionaryLookup(pump.app, "A", config={"master_url": "gopher://main"})
    bspump.DictionaryLookup(pump.app, "B", config={"source_url": "http://ann:secret@[::1/x"})
    first, second = pump.service.configuration_problems
    assert first.startswith("[lookup:A] master_url: 'gopher://main/bspump/v1/lookup/A' is neither ")
    assert second == "[lookup:B] source_url: '[::1/x' is no URL (Invalid IPv6 URL)"


def test_a_lookup_that_asks_for_each_value_is_awaited(pump: PumpRunner) -> None:
    class Squares(MappingLookup, AsyncLookupMixin):
        async def get(self, key: Any) -> Any:  # type: ignore[override]
            await asyncio.sleep(0)
            return key * key

        def __getitem__(self, key: Any) -> Any:
            return key * key

        def __iter__(self) -> Iterator[Any]:
            return iter(())

        def __len__(self) -> int:
            return 0

    squares = pump.service.add_lookup(Squares(pump.app))

    async def scenario() -> None:
        assert await squares.load() is False
        assert isinstance(squares, AsyncLookupMixin)
        assert await squares.get(3) == 9

    pump.run(scenario)


def test_lookups_compare_by_identity(pump: PumpRunner) -> None:
    one, two = bspump.DictionaryLookup(pump.app, "A"), bspump.DictionaryLookup(pump.app, "B")
    assert one != two
    assert len({one, two, one}) == 2


def test_lookups_are_constructed_from_definitions(pump: PumpRunner) -> None:
    lookup = bspump.DictionaryLookup.construct(
        pump.app, {"id": "L", "config": {"use_cache": "no"}, "args": {"lazy": True}}
    )
    assert (lookup.Id, lookup.Lazy, lookup.Config["use_cache"]) == ("L", True, "no")
