"""The routes under ``/bspump/v1/``, and the two that an orchestrator asks for the health of the process."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp.web
import asab
import asab.metrics
import asab.metrics.web_handler
import asab.web.rest

from .._asab import pump_service, service_of_module
from .._version import __build__, __version__
from ..abc.lookup import Lookup
from ..service import BSPumpService

# Lines KEY=VALUE that whoever built the container image has left
_MANIFEST = Path("/manifest")


def initialize_web(container: Any) -> None:
    """Add the routes of the pump, and asab's metrics, to a web container.

    Args:
        container: an ``asab.web.WebContainer``.
    """
    app: asab.Application = container.WebApp["app"]
    handler = _Handler(app)
    router = container.WebApp.router
    router.add_get("/bspump/v1/pipelines", handler.pipelines)
    router.add_get("/bspump/v1/pipelines/{pipeline_id}", handler.pipeline)
    router.add_get("/bspump/v1/lookup", handler.lookups)
    router.add_get("/bspump/v1/lookup/{lookup_id}", handler.lookup)
    router.add_get("/bspump/v1/lookup/{lookup_id}/meta", handler.lookup_meta)
    router.add_get("/bspump/v1/manifest", handler.manifest)
    router.add_get("/bspump/v1/metric", handler.metrics)
    router.add_get("/bspump/v1/metric/{metric_id}", handler.metric)
    router.add_get("/healthz", handler.healthz)
    router.add_get("/readyz", handler.readyz)
    metrics_service = service_of_module(app, asab.metrics.Module, "asab.MetricsService")
    asab.metrics.web_handler.MetricWebHandler(metrics_service, container.WebApp)


class _Handler:
    def __init__(self, app: asab.Application) -> None:
        self._app = app

    @property
    def _service(self) -> BSPumpService:
        return pump_service(self._app)

    async def pipelines(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """Every pipeline by its id."""
        return _json(request, {pipeline.Id: pipeline.rest_get() for pipeline in self._service.Pipelines.values()})

    async def pipeline(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """One pipeline."""
        pipeline = self._service.Pipelines.get(request.match_info["pipeline_id"])
        if pipeline is None:
            return _not_found(request, "pipeline", request.match_info["pipeline_id"])
        return _json(request, pipeline.rest_get())

    async def lookups(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The descriptions of the lookups."""
        lookups = self._service.Lookups.values()
        try:
            return _json(request, [lookup.rest_get() for lookup in lookups])
        except (TypeError, ValueError):
            return _json(request, [_presentable(lookup) for lookup in lookups])

    async def lookup(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The content of a lookup; 304 if it is what ``ETag`` or ``If-None-Match`` of the request says."""
        lookup = self._locate_lookup(request)
        if lookup is None:
            return _not_found(request, "lookup", request.match_info["lookup_id"])
        try:
            data = lookup.serialize()
        except NotImplementedError as error:
            return _not_implemented(request, str(error))
        except (TypeError, ValueError) as error:
            return _not_implemented(request, f"The content of lookup '{lookup.Id}' cannot be serialised: {error}")
        etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if _knows(request, etag):
            return aiohttp.web.Response(status=304, headers={"ETag": etag})
        return aiohttp.web.Response(body=data, headers={"ETag": etag}, content_type="application/octet-stream")

    async def lookup_meta(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The description of a lookup."""
        lookup = self._locate_lookup(request)
        if lookup is None:
            return _not_found(request, "lookup", request.match_info["lookup_id"])
        return _json(request, _presentable(lookup))

    def _locate_lookup(self, request: aiohttp.web.Request) -> Lookup | None:
        try:
            return self._service.locate_lookup(request.match_info["lookup_id"])
        except KeyError:
            return None

    async def manifest(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The versions, and when the application was launched."""
        description = {
            "ASAB_VERSION": asab.__version__,
            "BSPUMP_VERSION": __version__,
            "BSPUMP_BUILD": __build__,
            "PYTHON_VERSION": sys.version.split()[0],
            "LAUNCHED_AT": _iso(self._app.LaunchTime),
        }
        if "CONTAINER_HOST" in os.environ:
            description["CONTAINER_HOST"] = os.environ["CONTAINER_HOST"]
        description.update(_manifest_of_the_image())
        return _json(request, description)

    async def metrics(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The metrics of the application."""
        return _json(request, self._metrics())

    async def metric(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """The metrics of one name."""
        name = request.match_info["metric_id"]
        found = [metric for metric in self._metrics() if metric["name"] == name]
        return _json(request, found) if found else _not_found(request, "metric", name)

    def _metrics(self) -> list[dict[str, Any]]:
        metrics_service: Any = self._app.get_service("asab.MetricsService")
        return [
            {
                "name": metric["name"],
                "type": metric["type"],
                "fieldset": [{"tags": field["tags"], "values": field["values"]} for field in metric["fieldset"]],
            }
            for metric in metrics_service.Storage.Metrics
        ]

    async def healthz(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """200 as long as the process answers."""
        return _json(request, {"status": "alive"})

    async def readyz(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """200 if every pipeline runs without an error, 503 with the reasons otherwise."""
        reasons = {}
        for pipeline in self._service.Pipelines.values():
            error = pipeline._errors.error
            if error is not None:
                reasons[pipeline.Id] = error.message
            elif not pipeline._life_cycle.takes_events:
                reasons[pipeline.Id] = f"Pipeline '{pipeline.Id}' is not running"
        if reasons:
            return _json(request, {"status": "not ready", "reasons": reasons}, status=503)
        return _json(request, {"status": "ready"})


def _presentable(lookup: Lookup) -> dict[str, Any]:
    """Return the description of a lookup, or why JSON cannot have it (because of its keys, say)."""
    description = lookup.rest_get()
    try:
        json.dumps(description, default=str)
    except (TypeError, ValueError) as error:
        return {"Id": lookup.Id, "Error": f"The content cannot be shown as JSON: {error}"}
    return description


def _knows(request: aiohttp.web.Request, etag: str) -> bool:
    """Tell whether the client says that it has the version `etag`.

    Besides the standard header, pumps send ``ETag`` in requests to each other.
    """
    listed = f"{request.headers.get('ETag', '')},{request.headers.get('If-None-Match', '')}".split(",")
    known = {tag.strip().removeprefix("W/").strip('"') for tag in listed}
    return etag in known or "*" in known


def _manifest_of_the_image() -> dict[str, str]:
    if not _MANIFEST.is_file():
        return {}
    pairs = (line.partition("=") for line in _MANIFEST.read_text(encoding="utf-8").splitlines() if "=" in line)
    content = {key.strip(): value.strip() for key, _, value in pairs}
    return {"MANIFEST_MTIME": _iso(_MANIFEST.stat().st_mtime), **content}


def _iso(timestamp: float) -> str:
    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(request: aiohttp.web.Request, data: Any, status: int = 200) -> aiohttp.web.Response:
    response: aiohttp.web.Response = asab.web.rest.json_response(request, data, status=status)
    return response


def _not_implemented(request: aiohttp.web.Request, message: str) -> aiohttp.web.Response:
    return _json(request, {"result": "NOT-IMPLEMENTED", "message": message}, status=501)


def _not_found(request: aiohttp.web.Request, what: str, name: str) -> aiohttp.web.Response:
    return _json(request, {"result": "NOT-FOUND", "message": f"There is no {what} '{name}'"}, status=404)
