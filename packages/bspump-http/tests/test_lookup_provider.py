"""Lookups over HTTP: from another pump, from any server, and from the disk when neither answers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp.web
import asab
import pytest

import bspump
import bspump.http
from bspump.testing import PumpRunner
from bspump.web import initialize_web

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import Certificates, Server, text_handler
else:
    from .conftest import Certificates, Server, text_handler

Serve = Callable[..., Server]


def lookup_from(pump: PumpRunner, url: str, id: str = "Capitals", **config: Any) -> bspump.DictionaryLookup:
    return bspump.DictionaryLookup(pump.app, id, config={"source_url": url, **config})


def cache_file(id: str = "Capitals") -> Path:
    return Path(asab.Config["general"]["var_dir"]) / f"lookup_{id}.cache"


def run(pump: PumpRunner, *lookups: bspump.Lookup, limit: float = 10.0) -> None:
    """Load lookups as the application does at its start."""
    pump.service.add_lookups(*lookups)

    async def scenario() -> None:
        pass

    pump.run(scenario, limit=limit)
    for lookup in lookups:
        del pump.service.Lookups[lookup.Id]


class Master:
    """The REST interface of the pump, at a port of its own."""

    def __init__(self, pump: PumpRunner) -> None:
        self.WebApp = aiohttp.web.Application()
        self.WebApp["app"] = pump.app
        initialize_web(self)
        self.runner = aiohttp.web.AppRunner(self.WebApp, access_log=None)
        self.loop: asyncio.AbstractEventLoop = pump.app.Loop
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        await self.runner.setup()
        await aiohttp.web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def stop(self) -> None:
        self.loop.run_until_complete(self.runner.cleanup())


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
def test_a_lookup_is_copied_from_another_pump(pump: PumpRunner) -> None:
    capitals = bspump.DictionaryLookup(pump.app, "Capitals")
    capitals.set({"Česko": "Praha"})
    pump.service.add_lookup(capitals)
    master = Master(pump)
    copy = bspump.DictionaryLookup(pump.app, "Copy", {"master_url": master.url, "master_lookup_id": "Capitals"})
    assert not copy.is_master()

    async def scenario() -> None:
        assert await copy.load() is True
        assert dict(copy) == {"Česko": "Praha"}
        # Nothing has changed.
        assert await copy.load() is False
        capitals.set({"Česko": "Praha", "Slovensko": "Bratislava"})
        assert await copy.load() is True
        assert len(copy) == 2

    pump.run(scenario)
    master.stop()
    assert copy.rest_get()["ETag"]

    # Another start, and the master is not there.
    again = bspump.DictionaryLookup(pump.app, "Copy", {"master_url": master.url, "master_lookup_id": "Capitals"})
    run(pump, again)
    assert dict(again) == {"Česko": "Praha", "Slovensko": "Bratislava"}


def test_the_known_version_is_named_in_both_ways(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"{}", 304, headers={"ETag": '"v1"'}))
    lookup = lookup_from(pump, server.url())

    async def scenario() -> None:
        assert await lookup.load() is True
        assert await lookup.load() is False

    pump.run(scenario)
    first, second = (headers for _, _, headers, _ in server.requests)
    assert "ETag" not in first
    assert "If-None-Match" not in first
    assert (second["ETag"], second["If-None-Match"]) == ('"v1"', '"v1"')


def test_a_version_without_quotes_gets_them_in_the_standard_header(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"{}", 304, headers={"ETag": "abc"}))
    lookup = lookup_from(pump, server.url())

    async def scenario() -> None:
        await lookup.load()
        await lookup.load()

    pump.run(scenario)
    headers = server.requests[1][2]
    assert (headers["ETag"], headers["If-None-Match"]) == ("abc", '"abc"')


def test_the_content_is_kept_on_disk(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b'{"a": 1}', headers={"ETag": "žž"}))
    run(pump, lookup_from(pump, server.url()))
    etag = cache_file().read_bytes()
    (length,) = struct.unpack_from("<L", etag)
    assert etag[4 + length :] == b'\n{"a": 1}'
    assert [path.name for path in cache_file().parent.iterdir()] == ["lookup_Capitals.cache"]


def test_what_is_on_disk_is_not_sent_again(pump: PumpRunner, serve: Serve) -> None:
    cache_file().write_bytes(struct.pack("<L", 4) + b'"v1"\n{"a": 1}')
    server = serve(text_handler(304))
    lookup = lookup_from(pump, server.url())
    run(pump, lookup)
    assert dict(lookup) == {"a": 1}
    assert server.requests[0][2]["If-None-Match"] == '"v1"'


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_of_the_server_makes_the_lookup_begin_with_what_is_on_disk(
    pump: PumpRunner, serve: Serve, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache_file().write_bytes(struct.pack("<L", 0) + b'\n{"a": 1}')
    lookup = lookup_from(pump, serve(text_handler(status)).url("/x?key=s3cret"))
    run(pump, lookup)
    assert dict(lookup) == {"a": 1}
    assert "Lookup 'Capitals' begins with what is kept in" in caplog.text
    assert f"/x?key=… answered {status} " in caplog.text


def test_a_lookup_keeps_its_content_when_the_server_fails_later(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    lookup = lookup_from(pump, serve(text_handler(b'{"a": 1}', 503, 503, b'{"a": 2}')).url(), use_cache="no")

    async def scenario() -> None:
        assert await lookup.load() is True
        assert await lookup.load() is False
        assert await lookup.load() is False
        assert dict(lookup) == {"a": 1}
        assert await lookup.load() is True

    pump.run(scenario)
    # Once, however long it lasts
    assert caplog.text.count("answered 503 Service Unavailable, expected 200; what it had before stays in use") == 1
    assert caplog.text.count("can be loaded again") == 1
    assert not cache_file().exists()


def test_without_server_and_disk_the_application_does_not_start(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    server.close()
    run(pump, lookup_from(pump, server.url("/x", user="u:s3cret")))
    (problem,) = pump.service.configuration_problems
    assert problem.startswith(f"[lookup:Capitals] source_url: '{server.url('/x')}' cannot be loaded: ")
    assert problem.endswith("failed: connection refused")


def test_a_master_that_cannot_give_its_content_away(
    pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    lookup = lookup_from(pump, serve(text_handler(501)).url())
    run(pump, lookup)
    assert dict(lookup) == {}
    assert "says that its lookup cannot be copied" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xff\xff\xff\xff", b"\x02\x00\x00\x00abc", b"\x01\x00\x00\x00\xff\n"]
)
def test_a_damaged_file_is_not_used(
    pump: PumpRunner, serve: Serve, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache_file().write_bytes(content)
    server = serve(text_handler(b'{"a": 1}'))
    lookup = lookup_from(pump, server.url())
    run(pump, lookup)
    assert dict(lookup) == {"a": 1}
    assert "is damaged and not used" in caplog.text


def test_two_lookups_do_not_share_a_file(pump: PumpRunner, serve: Serve, tmp_path: Path) -> None:
    first = lookup_from(pump, serve(text_handler(b'{"a": 1}')).url(), "A", cache_dir=str(tmp_path / "new"))
    second = lookup_from(pump, serve(text_handler(b'{"b": 2}')).url(), "B", cache_dir=str(tmp_path / "new"))
    run(pump, first, second)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["lookup_A.cache", "lookup_B.cache"]


def test_a_slow_server_is_given_up(pump: PumpRunner, serve: Serve) -> None:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        await asyncio.sleep(30)
        return aiohttp.web.Response()

    pump.configure("lookupprovider:HTTPBatchLookupProvider", master_timeout="0.05")
    run(pump, lookup_from(pump, serve(handle).url()))
    assert "failed: the server did not answer in time" in pump.service.configuration_problems[0]


def test_tls_and_authentication(pump: PumpRunner, serve: Serve, certificates: Certificates) -> None:
    server = serve(text_handler(b'{"a": 1}'), certificates.server)
    pump.configure("lookupprovider:HTTPBatchLookupProvider", cafile=certificates.cafile, bearer_token="t")
    lookup = lookup_from(pump, server.url())
    run(pump, lookup)
    assert dict(lookup) == {"a": 1}
    assert server.requests[0][2]["Authorization"] == "Bearer t"
    assert isinstance(lookup.Provider, bspump.http.HTTPBatchLookupProvider)
    assert not hasattr(lookup.Provider, "save")
