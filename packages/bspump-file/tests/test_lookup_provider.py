"""Lookups are loaded from files, and saved to them."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from pathlib import Path

import pytest

import bspump
from bspump.file import FileBatchLookupProvider
from bspump.testing import PumpRunner


class Names(bspump.DictionaryLookup):
    pass


def provider_of(lookup: bspump.Lookup) -> FileBatchLookupProvider:
    assert isinstance(lookup.Provider, FileBatchLookupProvider)
    return lookup.Provider


@pytest.mark.parametrize("form", ["{}", "file://{}"])
@pytest.mark.parametrize("name", ["names.json", "names.json.gz", "na mes.json"])
def test_a_lookup_is_loaded_when_it_has_changed(pump: PumpRunner, tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / name
    lookup = Names(pump.app, config={"source_url": form.format(path)})
    changes: list[str] = []

    def note(message: str) -> None:
        changes.append(message)

    lookup.PubSub.subscribe("bspump.Lookup.changed!", note)

    def write(content: dict[str, int]) -> None:
        data = json.dumps(content).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    async def scenario() -> None:
        write({"one": 1})
        assert await lookup.load() is True
        assert dict(lookup) == {"one": 1}
        assert await lookup.load() is False
        write({"two": 22})
        assert await lookup.load() is True
        assert dict(lookup) == {"two": 22}

    pump.run(scenario)
    assert len(changes) == 2


@pytest.mark.parametrize("name", ["names.json", "names.json.zst"])
def test_what_was_saved_is_loaded(pump: PumpRunner, tmp_path: Path, name: str) -> None:
    first, second = (Names(pump.app, id, config={"source_url": str(tmp_path / name)}) for id in ("first", "second"))

    async def scenario() -> None:
        await provider_of(first).save(b'{"a": 1}')
        assert await first.load() is False
        assert await second.load() is True

    pump.run(scenario)
    assert second["a"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("missing.json", None, "No such file"), ("a.json.gz", b"no archive", "broken gzip data")],
)
def test_what_cannot_be_loaded_is_said(
    pump: PumpRunner, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    lookup = Names(pump.app, config={"source_url": str(tmp_path / name)})

    async def scenario() -> None:
        with pytest.raises(bspump.ConfigurationError, match=f"source_url.*{name}.*{reason}"):
            await lookup.load()

    pump.run(scenario)


def test_a_load_that_is_cancelled_does_not_hide_the_content_from_the_next_one(
    pump: PumpRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lookup.json"
    path.write_text('{"a": 1}')
    lookup = bspump.DictionaryLookup(pump.app, "L", config={"source_url": str(path)})
    provider = provider_of(lookup)
    may_go_on = threading.Event()
    really_read = provider._read

    def read() -> tuple[bytes, str] | None:
        may_go_on.wait()
        return really_read()

    async def scenario() -> None:
        monkeypatch.setattr(provider, "_read", read)
        loading = asyncio.ensure_future(lookup.load())
        await asyncio.sleep(0)
        loading.cancel()
        await asyncio.wait({loading})
        may_go_on.set()
        monkeypatch.undo()
        assert await lookup.load()
        assert dict(lookup) == {"a": 1}

    pump.run(scenario)
