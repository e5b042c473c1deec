"""Building a pump from a definition: a dictionary, or a file in JSON or YAML."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asab

from ._definition import (
    CONNECTION,
    LOOKUP,
    PROCESSOR,
    SOURCE,
    TRIGGER,
    Definition,
    DefinitionError,
    Kind,
    Mistake,
    find_class,
    mistakes_of_part,
    mistakes_of_pipeline,
    mistakes_of_pump,
)
from ._definition_file import read_definition
from .abc.connection import Connection
from .abc.lookup import Lookup
from .abc.processor import ProcessorBase
from .abc.source import Source, TriggerSource
from .errors import BSPumpError, ConfigurationError
from .pipeline import Pipeline
from .service import BSPumpService
from .trigger import Trigger

L = logging.getLogger(__name__)

T = TypeVar("T")

# What constructors raise if they do not like their arguments. Anything else is a bug in one of them.
_EXPECTED = (BSPumpError, KeyError, TypeError, ValueError, OSError, RuntimeError)


class PumpBuilder:
    """Builds connections, lookups and pipelines from a definition, and registers them.

    The definition is an object with the lists ``connections``, ``lookups`` and ``pipelines``, each of which may be
    missing. A connection, lookup, source, processor or sink is an object with the name of its ``module`` and of its
    ``class``, and, as far as they are needed, its ``id``, its options (``config``) and the further arguments of its
    class (``args``); a source may have a ``trigger``, with ``module``, ``class``, ``id`` and ``args``. The class method
    ``construct`` of the class makes the object. A pipeline has an ``id``, ``sources``, ``processors``, a ``sink``, and
    options (``config``). Keys that begin with ``_`` or ``x-`` are left alone.

    Args:
        definition: the definition, or the path of its file: YAML if its name ends in ``.yaml`` or ``.yml``, else JSON.

    Raises:
        ConfigurationError: the file cannot be read.
    """

    def __init__(self, definition: str | Path | Mapping[str, Any]) -> None:
        self._origin = "" if isinstance(definition, Mapping) else str(definition)
        self.Definition: Any = definition if isinstance(definition, Mapping) else read_definition(Path(definition))

    def construct_pump(self, app: asab.Application, svc: BSPumpService) -> None:
        """Build and register everything in the definition.

        Raises:
            ConfigurationError: something in the definition is wrong. All mistakes are in it, each with its place.
        """
        try:
            mistakes = list(mistakes_of_pump(self.Definition, svc))
            if mistakes:
                raise DefinitionError(mistakes)
            self.construct_connections(app, svc, self.Definition.get("connections") or [])
            self.construct_lookups(app, svc, self.Definition.get("lookups") or [])
            self.construct_pipelines(app, svc, self.Definition.get("pipelines") or [])
        except DefinitionError as error:
            if not self._origin:
                raise
            raise ConfigurationError(*(f"{self._origin}: {problem}" for problem in error.problems)) from error

    def construct_connections(
        self, app: asab.Application, svc: BSPumpService, connections: Sequence[Definition]
    ) -> list[Connection]:
        """Build and register connections."""
        return _build_all(connections, "connections", lambda part: self.construct_connection(app, svc, part))

    def construct_connection(self, app: asab.Application, svc: BSPumpService, connection: Definition) -> Connection:
        """Build and register a connection."""
        built: Connection = _construct(CONNECTION, connection, app)
        return svc.add_connection(built)

    def construct_lookups(
        self, app: asab.Application, svc: BSPumpService, lookups: Sequence[Definition]
    ) -> list[Lookup]:
        """Build and register lookups."""
        return _build_all(lookups, "lookups", lambda part: self.construct_lookup(app, svc, part))

    def construct_lookup(self, app: asab.Application, svc: BSPumpService, lookup: Definition) -> Lookup:
        """Build and register a lookup."""
        built: Lookup = _construct(LOOKUP, lookup, app)
        return svc.add_lookup(built)

    def construct_pipelines(
        self, app: asab.Application, svc: BSPumpService, pipelines: Sequence[Definition]
    ) -> list[Pipeline]:
        """Build and register pipelines."""
        return _build_all(pipelines, "pipelines", lambda part: self.construct_pipeline(app, svc, part))

    def construct_pipeline(self, app: asab.Application, svc: BSPumpService, pipeline: Definition) -> Pipeline:
        """Build a pipeline, and register it if it is whole."""
        mistakes = list(mistakes_of_pipeline(pipeline))
        if mistakes:
            raise DefinitionError(mistakes)
        built = Pipeline(app, pipeline["id"], config=pipeline.get("config"))
        _build_each(
            lambda: self.construct_sources(app, svc, built, pipeline["sources"]),
            lambda: self.construct_processors(app, svc, built, pipeline.get("processors") or []),
            lambda: _build("sink", lambda: self.construct_processor(app, svc, built, pipeline["sink"])),
        )
        svc.add_pipeline(built)
        return built

    def construct_sources(
        self, app: asab.Application, svc: BSPumpService, pipeline: Pipeline, sources: Sequence[Definition]
    ) -> list[Source]:
        """Build the sources of a pipeline and add them to it."""
        return _build_all(sources, "sources", lambda part: self.construct_source(app, svc, pipeline, part))

    def construct_source(
        self, app: asab.Application, svc: BSPumpService, pipeline: Pipeline, source: Definition
    ) -> Source:
        """Build a source, with its trigger if it has one, and add it to a pipeline."""
        built: Source = _construct(SOURCE, source, app, pipeline)
        if source.get("trigger") is not None and isinstance(built, TriggerSource):
            built.on(_build("trigger", lambda: self.construct_trigger(app, svc, source["trigger"])))
        pipeline.set_source(built)
        return built

    def construct_trigger(self, app: asab.Application, svc: BSPumpService, trigger: Definition) -> Trigger:
        """Build a trigger."""
        built: Trigger = _construct(TRIGGER, trigger, app)
        return built

    def construct_processors(
        self, app: asab.Application, svc: BSPumpService, pipeline: Pipeline, processors: Sequence[Definition]
    ) -> list[ProcessorBase]:
        """Build the processors of a pipeline and append them to it."""
        return _build_all(processors, "processors", lambda part: self.construct_processor(app, svc, pipeline, part))

    def construct_processor(
        self, app: asab.Application, svc: BSPumpService, pipeline: Pipeline, processor: Definition
    ) -> ProcessorBase:
        """Build a processor, or the sink, and append it to a pipeline."""
        built: ProcessorBase = _construct(PROCESSOR, processor, app, pipeline)
        pipeline.append_processor(built)
        return built


def _construct(kind: Kind, definition: Definition, app: asab.Application, *pipeline: Pipeline) -> Any:
    mistakes = list(mistakes_of_part(definition, kind))
    if mistakes:
        raise DefinitionError(mistakes)
    component: Any = find_class(definition, kind)
    # A key without a value is one that was left out.
    return component.construct(app, *pipeline, {key: value for key, value in definition.items() if value is not None})


def _build_all(parts: Sequence[Definition], place: str, build: Callable[[Definition], T]) -> list[T]:
    """Build the members of a list, also if some cannot be built, so that every mistake is found."""
    builds = [functools.partial(build, part) for part in parts]
    return _build_each(*(functools.partial(_build, f"{place}[{index}]", one) for index, one in enumerate(builds)))


def _build_each(*builds: Callable[[], T]) -> list[T]:
    built: list[T] = []
    mistakes: list[Mistake] = []
    for build in builds:
        try:
            built.append(build())
        except DefinitionError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise DefinitionError(mistakes)
    return built


def _build(place: str, build: Callable[[], T]) -> T:
    """Build what is at a place, and name the place if that fails."""
    try:
        return build()
    except DefinitionError as error:
        raise DefinitionError([mistake.within(place) for mistake in error.mistakes]) from error
    except _EXPECTED as error:
        L.debug("%s cannot be built", place, exc_info=True)
        raise DefinitionError([Mistake(place, f"cannot be built: {reason}") for reason in _reasons(error)]) from error
    except Exception as error:
        error.add_note(f"This happened while {place} of the definition was built.")
        raise


def _reasons(error: Exception) -> Iterator[str]:
    if isinstance(error, ConfigurationError):
        yield from error.problems
    elif isinstance(error, KeyError):
        text = str(error.args[0]) if error.args else ""
        # A sentence of ours, or the bare key that somebody else has missed
        yield text if " " in text else f"the key {text!r} is missing"
    elif isinstance(error, BSPumpError):
        yield str(error)
    else:
        yield f"{type(error).__name__}: {error}"
