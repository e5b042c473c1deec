"""The registry of an application: its pipelines, connections, lookups and matrices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import asab

from ._asab import stop_application
from ._oddities import find_oddities
from .abc.connection import Connection
from .abc.lookup import Lookup
from .errors import ConfigurationError
from .pipeline import Pipeline
from .plugins import get_registry

if TYPE_CHECKING:
    from .abc.processor import ProcessorBase
    from .abc.source import Source, TriggerSource

L = logging.getLogger(__name__)


class Matrix(Protocol):
    """What the service needs to know of a matrix."""

    Id: str


class LookupFactory(Protocol):
    """Provides lookups by their id."""

    def locate_lookup(self, lookup_id: str, context: Any = None) -> Lookup | None:
        """Return the lookup, or None."""
        ...


class BSPumpService(asab.Service):
    """Registers the components of an application, starts its pipelines and stops them in the right order.

    It is found by ``app.get_service("bspump.PumpService")``.
    """

    def __init__(self, app: asab.Application, service_name: str = "bspump.PumpService") -> None:
        super().__init__(app, service_name)
        self.Pipelines: dict[str, Pipeline] = {}
        self.Connections: dict[str, Connection] = {}
        self.Lookups: dict[str, Lookup] = {}
        self.Matrixes: dict[str, Matrix] = {}
        self.LookupFactories: list[LookupFactory] = []
        self.configuration_problems: list[str] = []
        self.unfinished_jobs: set[TriggerSource] = set()
        """The sources with a `RunOnceTrigger` that have not finished their cycle."""
        self._told_problems: set[str] = set()
        self._loading = asyncio.Lock()
        self._loaded_lookups: set[Lookup] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._stop_asked = asyncio.Event()
        app.PubSub.subscribe("Application.stop!", self._on_stop)

    # Pipelines

    def locate(self, address: str) -> Pipeline | ProcessorBase | Source | None:
        """Return what is at an address, or None.

        ``P`` is a pipeline, ``P.X`` its processor or sink X, ``P.*X`` its source X.
        """
        if address in self.Pipelines:
            return self.Pipelines[address]
        parts = address.split(".")
        for number in range(1, len(parts)):  # ids may have dots in them
            pipeline = self.Pipelines.get(".".join(parts[:number]))
            component_id = ".".join(parts[number:])
            if pipeline is None:
                continue
            if component_id.startswith("*"):
                return pipeline.locate_source(component_id[1:])
            return pipeline.locate_processor(component_id)
        return None

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Register a pipeline. It is started with the application, or by the next `initialize`.

        Raises:
            RuntimeError: there is a pipeline with this id.
        """
        if pipeline.Id in self.Pipelines:
            raise RuntimeError(f"Pipeline '{pipeline.Id}' is registered already; give the second one another id")
        self.Pipelines[pipeline.Id] = pipeline
        get_registry().call("bspump_pipeline_added", pipeline=pipeline)

    def add_pipelines(self, *pipelines: Pipeline) -> None:
        """Register several pipelines."""
        for pipeline in pipelines:
            self.add_pipeline(pipeline)

    def del_pipeline(self, pipeline: Pipeline | str) -> None:
        """Unregister a pipeline, given itself or its id; if it runs, it is stopped gracefully in the background.

        What feeds it is free of it then, and finds another pipeline that is added with this id.

        Raises:
            KeyError: it is not registered.
        """
        pipeline_id = pipeline if isinstance(pipeline, str) else pipeline.Id
        if pipeline_id not in self.Pipelines:
            raise KeyError(f"Pipeline '{pipeline_id}' is not registered")
        removed = self.Pipelines.pop(pipeline_id)
        removed._metrics.remove()
        if removed._life_cycle.is_running:
            stopping = self.App.Loop.create_task(_stop_for_good(removed), name=f"bspump stop {removed.Id}")
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
        else:
            _let_go_of(removed)

    # Connections

    def add_connection(self, connection: Connection) -> Connection:
        """Register a connection and return it.

        Raises:
            RuntimeError: there is a connection with this id.
        """
        if connection.Id in self.Connections:
            raise RuntimeError(f"Connection '{connection.Id}' is registered already; give the second one another id")
        self.Connections[connection.Id] = connection
        return connection

    def add_connections(self, *connections: Connection) -> None:
        """Register several connections."""
        for connection in connections:
            self.add_connection(connection)

    def locate_connection(self, connection_id: str | Connection) -> Connection:
        """Return the connection with the given id; a connection is returned as it is.

        Raises:
            KeyError: there is none.
        """
        if isinstance(connection_id, Connection):
            return connection_id
        try:
            return self.Connections[connection_id]
        except KeyError:
            raise KeyError(_not_found("connection", connection_id, self.Connections)) from None

    # Lookups

    def add_lookup(self, lookup: Lookup) -> Lookup:
        """Register a lookup and return it. Unless it is lazy, it is loaded before the pipelines start.

        Raises:
            RuntimeError: there is a lookup with this id.
        """
        if lookup.Id in self.Lookups:
            raise RuntimeError(f"Lookup '{lookup.Id}' is registered already; give the second one another id")
        self.Lookups[lookup.Id] = lookup
        return lookup

    def add_lookups(self, *lookups: Lookup) -> None:
        """Register several lookups."""
        for lookup in lookups:
            self.add_lookup(lookup)

    def locate_lookup(self, lookup_id: str | Lookup, context: Any = None) -> Lookup:
        """Return the lookup with the given id, asking the factories first; a lookup is returned as it is.

        Raises:
            KeyError: there is none.
        """
        if isinstance(lookup_id, Lookup):
            return lookup_id
        for factory in self.LookupFactories:
            lookup = factory.locate_lookup(lookup_id, context)
            if lookup is not None:
                return lookup
        try:
            return self.Lookups[lookup_id]
        except KeyError:
            raise KeyError(_not_found("lookup", lookup_id, self.Lookups)) from None

    def add_lookup_factory(self, lookup_factory: LookupFactory) -> None:
        """Add a provider of lookups, which is asked before the registered ones."""
        self.LookupFactories.append(lookup_factory)

    # Matrices

    def add_matrix(self, matrix: Matrix) -> Matrix:
        """Register a matrix and return it.

        Raises:
            RuntimeError: there is a matrix with this id.
        """
        if matrix.Id in self.Matrixes:
            raise RuntimeError(f"Matrix '{matrix.Id}' is registered already; give the second one another id")
        self.Matrixes[matrix.Id] = matrix
        return matrix

    def add_matrixes(self, *matrixes: Matrix) -> None:
        """Register several matrices."""
        for matrix in matrixes:
            self.add_matrix(matrix)

    def locate_matrix(self, matrix_id: str | Matrix) -> Matrix:
        """Return the matrix with the given id; a matrix is returned as it is.

        Raises:
            KeyError: there is none.
        """
        if not isinstance(matrix_id, str):
            return matrix_id
        try:
            return self.Matrixes[matrix_id]
        except KeyError:
            raise KeyError(_not_found("matrix", matrix_id, self.Matrixes)) from None

    # Life

    async def initialize(self, app: asab.Application) -> None:
        """Load the lookups that are not lazy, start the pipelines, and refresh the lookups from then on.

        May be called any number of times: what is loaded or started already stays as it is.
        If there is a problem with the configuration, nothing is started; every problem is printed, and the application
        ends with exit code 1. Neither is anything started if the application is stopped while a lookup is still loaded.
        """
        async with self._loading:
            if not await self._load_lookups():
                return
            pipelines = [pipeline for pipeline in self.Pipelines.values() if not pipeline._life_cycle.is_running]
            problems = list(self.configuration_problems)
            for pipeline in pipelines:
                problems.extend(pipeline._life_cycle.prepare())
            if problems:
                self._refuse(problems)
                return
            for oddity in find_oddities(self, pipelines):
                L.warning("%s", oddity)
            for pipeline in pipelines:
                try:
                    pipeline.start()
                except Exception as error:
                    pipeline.set_error(None, None, error)
            for lookup in self._loaded_lookups:
                lookup._refresher.start()

    def _on_stop(self, message_type: str, counter: int = 1) -> None:
        self._stop_asked.set()

    async def _load_lookups(self) -> bool:
        """Load what is new. False: the application was stopped before that was through."""
        new = [lookup for lookup in self.Lookups.values() if not lookup.Lazy and lookup not in self._loaded_lookups]
        if not new:
            return True
        self._loaded_lookups.update(new)
        loads = [asyncio.ensure_future(lookup._load_and_announce()) for lookup in new]
        try:
            await self._wait_unless_stopped(loads)
        finally:
            unfinished = [lookup.Id for lookup, load in zip(new, loads, strict=True) if load.cancel()]
        if unfinished:
            L.warning("The application ends before its lookups are loaded: '%s'", "', '".join(unfinished))
            await asyncio.wait(loads)
            return False
        results = await asyncio.gather(*loads, return_exceptions=True)
        for lookup, result in zip(new, results, strict=True):
            if isinstance(result, ConfigurationError):
                self.configuration_problems.extend(result.problems)
            elif isinstance(result, Exception):
                self.configuration_problems.append(
                    f"[lookup:{lookup.Id}] cannot be loaded: {type(result).__name__}: {result}"
                )
            elif isinstance(result, BaseException):
                raise result
        return True

    async def _wait_unless_stopped(self, tasks: list[asyncio.Task[bool]]) -> None:
        stop_asked = asyncio.ensure_future(self._stop_asked.wait())
        all_done = asyncio.ensure_future(asyncio.wait(tasks))
        waiting: set[asyncio.Future[Any]] = {stop_asked, all_done}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    def _refuse(self, problems: list[str]) -> None:
        new = [problem for problem in dict.fromkeys(problems) if problem not in self._told_problems]
        self._told_problems.update(new)
        for problem in new:
            L.error("%s", problem)
        if new:
            L.error("The application does not start: %d configuration problem(s), see above", len(set(problems)))
        stop_application(self.App, exit_code=1)

    def pipeline_failed(self, pipeline: Pipeline) -> None:
        """Take note that a pipeline stopped at a hard error: the jobs that are left cannot be finished."""
        if self.unfinished_jobs:
            # Not at once: somebody may clear the error right away.
            self.App.Loop.call_soon(self._end_failed_jobs, pipeline)

    def _end_failed_jobs(self, pipeline: Pipeline) -> None:
        if pipeline.is_error() and self.unfinished_jobs:
            L.error("The application ends, since its job cannot be finished: pipeline '%s' is stopped", pipeline.Id)
            stop_application(self.App, exit_code=1)

    async def finalize(self, app: asab.Application) -> None:
        """Stop the pipelines: the intake first, then each pipeline after those that feed it, connections last.

        The exit code of the application is 1 if a pipeline was stopped by an error, or not all could be made durable.
        """
        pipelines = [pipeline for pipeline in self.Pipelines.values() if pipeline._life_cycle.is_running]
        await asyncio.gather(*(pipeline._life_cycle.stop_intake() for pipeline in pipelines))
        for pipeline in _feeders_first(pipelines):
            await pipeline._life_cycle.drain_and_close()
            if pipeline.is_error() or not pipeline._life_cycle.is_durable:
                app.set_exit_code(1)
        await asyncio.gather(*self._stopping)
        await asyncio.gather(*(lookup._refresher.stop() for lookup in self._loaded_lookups))
        for connection in self.Connections.values():
            try:
                await connection.close()
            except Exception:
                L.exception("Connection '%s' could not be closed", connection.Id)


async def _stop_for_good(pipeline: Pipeline) -> None:
    try:
        await pipeline.stop()
    finally:
        _let_go_of(pipeline)


def _let_go_of(pipeline: Pipeline) -> None:
    pipeline._feeders.close_routes()
    for ancestor in list(pipeline._ancestors):
        pipeline.unlink(ancestor)
    for source in pipeline.Sources:
        for trigger in list(getattr(source, "Triggers", ())):
            trigger.remove(source)


def _feeders_first(pipelines: list[Pipeline]) -> Iterator[Pipeline]:
    """Yield pipelines so that each comes after those that feed it, as far as they do not go in circles."""
    remaining = list(pipelines)
    while remaining:
        for pipeline in remaining:
            if not any(feeder in remaining for feeder in pipeline._feeders if feeder is not pipeline):
                break
        else:
            pipeline = remaining[0]
        remaining.remove(pipeline)
        yield pipeline


def _not_found(what: str, id: str, known: dict[str, Any]) -> str:
    names = ", ".join(f"'{name}'" for name in sorted(known)) or "none"
    return f"Cannot find {what} '{id}'; registered: {names}"
