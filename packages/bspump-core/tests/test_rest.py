"""The REST interface, over a real socket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

import bspump
from bspump.common import InternalSource
from bspump.testing import MemorySink, MemorySource, PumpRunner, until


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    with PumpRunner(web_listen="127.0.0.1:0") as runner:
        yield runner


Get = Callable[..., Awaitable[tuple[int, Any, Any]]]


class Client:
    """Asks the application of a runner."""

    def __init__(self, pump: PumpRunner) -> None:
        self.pump = pump
        self.container = pump.app.WebContainer

    async def __aenter__(self) -> Client:
        # asab has left the start of the web server to its task service.
        await self.pump.app.TaskService.NewTasks.get_nowait()
        host, port = self.container.Addresses[0]
        self.session = aiohttp.ClientSession(f"http://{host}:{port}")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.session.close()
        await self.container._stop(self.pump.app)

    async def get(self, path: str, **headers: str) -> tuple[int, Any, Any]:
        """Return the status, the headers and the body: parsed if it is JSON."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(path, headers=names) as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return response.status, response.headers, json.loads(body) if is_json else body


def build(pump: PumpRunner, id: str = "P", events: Any = ()) -> bspump.Pipeline:
    pipeline = bspump.Pipeline(pump.app, id)
    pipeline.build(
        [MemorySource(pump.app, pipeline, events), InternalSource(pump.app, pipeline)], MemorySink(pump.app, pipeline)
    )
    return pipeline


def test_pipelines_are_described(pump: PumpRunner) -> None:
    first, second = build(pump, "P", [1, 2, 3]), build(pump, "Q")

    async def scenario() -> None:
        second.throttle("a test")
        second.L.warning("so it goes")
        async with Client(pump) as client:
            status, _, body = await client.get("/bspump/v1/pipelines")
            assert status == 200
            assert list(body) == ["P", "Q"]
            assert body["P"]["Ready"] is True
            assert body["P"]["Sources"][0] == {
                "Id": "MemorySource",
                "Class": "MemorySource",
                "Position": 3,
                "CommittedPosition": body["P"]["Sources"][0]["CommittedPosition"],
            }
            assert body["P"]["Processors"] == [[{"Id": "MemorySink", "Class": "MemorySink", "PipelineId": "P"}]]
            assert (body["Q"]["Ready"], body["Q"]["Throttles"]) == (False, ["a test"])
            [record] = body["Q"]["Log"]
            assert (record["message"], record["levelname"]) == ("so it goes", "WARNING")
            assert abs(record["timestamp"] - pump.app.time()) < 60
            assert {metric["name"] for metric in body["P"]["Metrics"]} >= {"bspump.pipeline", "bspump.pipeline.eps"}
            assert {field["tags"]["pipeline"] for metric in body["P"]["Metrics"] for field in metric["fieldset"]} == {
                "P"
            }
            _, _, single = await client.get("/bspump/v1/pipelines/Q?pretty=true")
            assert single["Id"] == "Q"
            status, _, body = await client.get("/bspump/v1/pipelines/R")
            assert (status, body["message"]) == (404, "There is no pipeline 'R'")

    pump.run(scenario, first, second)


def test_an_error_is_seen_in_the_description_and_in_the_readiness(pump: PumpRunner) -> None:
    pipeline = build(pump)

    async def scenario() -> None:
        async with Client(pump) as client:
            assert (await client.get("/healthz"))[0::2] == (200, {"status": "alive"})
            assert (await client.get("/readyz"))[0::2] == (200, {"status": "ready"})
            pipeline.set_error({"n": 1}, "an event", ValueError("out of order"))
            _, _, body = await client.get("/bspump/v1/pipelines/P")
            assert body["Error"] == "Pipeline 'P' stopped: ValueError: out of order, event 'an event'"
            assert abs(body["ErrorTimestamp"] - pump.app.time()) < 60
            status, _, body = await client.get("/readyz")
            assert (status, list(body["reasons"])) == (503, ["P"])
            assert "out of order" in body["reasons"]["P"]
            assert (await client.get("/healthz"))[0] == 200
            pipeline.set_error(None, None, None)
            assert (await client.get("/readyz"))[0] == 200
            await pipeline.stop()
            assert (await client.get("/readyz"))[0::2] == (
                503,
                {"status": "not ready", "reasons": {"P": "Pipeline 'P' is not running"}},
            )

    pump.run(scenario, pipeline)


def test_what_no_json_knows_does_not_break_the_description(pump: PumpRunner) -> None:
    pipeline = build(pump)

    class Holder:
        def __str__(self) -> str:
            return "the holder"

    async def scenario() -> None:
        pipeline.throttle(Holder())
        pipeline.throttle(("a", 1))
        pipeline.set_error(None, object(), ValueError(b"\xff"))
        async with Client(pump) as client:
            status, _, body = await client.get("/bspump/v1/pipelines/P")
            assert (status, body["Throttles"]) == (200, ["('a', 1)", "the holder"])

    pump.run(scenario, pipeline)


def test_metrics(pump: PumpRunner) -> None:
    pipeline = build(pump, events=range(10))

    async def scenario() -> None:
        await until(lambda: pipeline._counts.entered == 10)
        await pipeline.MetricsService.flush()
        async with Client(pump) as client:
            status, _, body = await client.get("/bspump/v1/metric/bspump.pipeline")
            assert status == 200
            [values] = [field["values"] for field in body[0]["fieldset"] if field["tags"]["pipeline"] == "P"]
            assert (values["event.in"], values["event.out"]) == (10, 10)
            _, _, everything = await client.get("/bspump/v1/metric")
            assert "bspump.pipeline" in [metric["name"] for metric in everything]
            assert (await client.get("/bspump/v1/metric/none"))[0] == 404
            status, _, body = await client.get("/asab/v1/metrics")
            assert status == 200
            assert b"bspump" in body

    pump.run(scenario, pipeline)


def test_lookups(pump: PumpRunner) -> None:
    lookup = bspump.DictionaryLookup(pump.app, "Capitals")
    lookup.set({"Česko": "Praha"})

    class Opaque(bspump.Lookup):
        pass

    pump.service.add_lookups(lookup, Opaque(pump.app, "Opaque"))
    data = lookup.serialize()
    etag = hashlib.sha1(data).hexdigest()

    async def scenario() -> None:
        async with Client(pump) as client:
            _, _, body = await client.get("/bspump/v1/lookup")
            assert body == [{"Id": "Capitals", "Dictionary": {"Česko": "Praha"}}, {"Id": "Opaque"}]
            status, headers, body = await client.get("/bspump/v1/lookup/Capitals")
            assert (status, headers["ETag"], headers["Content-Type"]) == (200, etag, "application/octet-stream")
            assert json.loads(body) == {"Česko": "Praha"}
            for known in (etag, f'"{etag}"', f'W/"{etag}"', f'"old", "{etag}"', "*"):
                for header in ("ETag", "If_None_Match"):
                    status, headers, body = await client.get("/bspump/v1/lookup/Capitals", **{header: known})
                    assert (status, headers["ETag"], body) == (304, etag, b"")
            for unknown in ("old", '"old"', f'"{etag}x"', ""):
                status, _, body = await client.get("/bspump/v1/lookup/Capitals", ETag=unknown, If_None_Match=unknown)
                assert (status, body) == (200, data)
            lookup.set({"Česko": "Brno"})
            status, headers, body = await client.get("/bspump/v1/lookup/Capitals", ETag=etag)
            assert (status, json.loads(body)) == (200, {"Česko": "Brno"})
            assert headers["ETag"] == hashlib.sha1(body).hexdigest() != etag
            assert (await client.get("/bspump/v1/lookup/Capitals/meta"))[2]["Id"] == "Capitals"
            for path in ("/bspump/v1/lookup/None", "/bspump/v1/lookup/None/meta"):
                assert (await client.get(path))[0] == 404
            status, _, body = await client.get("/bspump/v1/lookup/Opaque")
            assert (status, body["message"]) == (501, "Opaque cannot be serialised")

    pump.run(scenario)


def test_a_lookup_whose_content_is_no_json_does_not_hide_the_others(pump: PumpRunner) -> None:
    odd, good = bspump.DictionaryLookup(pump.app, "Odd"), bspump.DictionaryLookup(pump.app, "Good")
    odd.set({("a", "tuple"): 1})
    good.set({"a": 1})
    pump.service.add_lookups(odd, good)

    async def scenario() -> None:
        async with Client(pump) as client:
            _, _, body = await client.get("/bspump/v1/lookup")
            assert [description["Id"] for description in body] == ["Odd", "Good"]
            assert body[0]["Error"].startswith("The content cannot be shown as JSON: ")
            assert body[1]["Dictionary"] == {"a": 1}
            assert (await client.get("/bspump/v1/lookup/Odd/meta"))[2] == body[0]
            status, _, body = await client.get("/bspump/v1/lookup/Odd")
            assert status == 501
            assert body["message"].startswith("The content of lookup 'Odd' cannot be serialised: ")

    pump.run(scenario)


def test_the_manifest(pump: PumpRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    manifest = tmp_path / "manifest"
    manifest.write_text("COMMIT = abc\nnothing\nNAME=a=b\n")
    monkeypatch.setattr("bspump.web.rest._MANIFEST", manifest)
    monkeypatch.setenv("CONTAINER_HOST", "harbour")

    async def scenario() -> None:
        async with Client(pump) as client:
            _, _, body = await client.get("/bspump/v1/manifest")
        assert body["BSPUMP_VERSION"] == bspump.__version__
        assert body["LAUNCHED_AT"].endswith("Z")
        assert (body["CONTAINER_HOST"], body["COMMIT"], body["NAME"]) == ("harbour", "abc", "a=b")
        assert "MANIFEST_MTIME" in body

    pump.run(scenario)


def test_further_routes_may_be_added(pump: PumpRunner) -> None:
    async def hello(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"hello": "world"})

    pump.app.WebContainer.WebApp.router.add_get("/hello", hello)

    async def scenario() -> None:
        async with Client(pump) as client:
            assert (await client.get("/hello"))[2] == {"hello": "world"}

    pump.run(scenario)
