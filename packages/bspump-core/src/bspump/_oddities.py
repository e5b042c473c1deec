"""What looks like a mistake at the start, but may be meant so: it is said, and the application goes on."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import asab

from ._component import Component, merged_defaults
from .abc.source import TriggerSource

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .service import BSPumpService

_OWN_SECTIONS = ("pipeline:", "connection:", "lookup:", "matrix:")
# How alike two names are that one is taken for a misspelling of the other.
_LIKENESS = 0.8


def find_oddities(service: BSPumpService, pipelines: list[Pipeline]) -> list[str]:
    """Return a sentence for each thing in new pipelines, and in the configuration, that is odd."""
    return [*_of_pipelines(pipelines), *_of_sections(service), *_of_options(service, pipelines)]


def _of_pipelines(pipelines: list[Pipeline]) -> Iterator[str]:
    for pipeline in pipelines:
        if not pipeline.Sources or not any(pipeline.Processors):
            yield f"Pipeline '{pipeline.Id}' has no {'source' if not pipeline.Sources else 'sink'}; was build() called?"
        for source in pipeline.Sources:
            if isinstance(source, TriggerSource) and source.needs_trigger and not source.Triggers:
                yield f"{source!r} has no trigger, so it will not do anything; add one with on()"


def _of_sections(service: BSPumpService) -> Iterator[str]:
    pipelines = list(service.Pipelines.values())
    components: list[Component] = [*pipelines, *service.Connections.values(), *service.Lookups.values()]
    for pipeline in pipelines:
        components.extend([*pipeline.Sources, *pipeline.iter_processors()])
    owned = [component.section for component in components]
    owned += [f"matrix:{matrix_id}" for matrix_id in service.Matrixes]
    for section in asab.Config.sections():
        if section.startswith(_OWN_SECTIONS) and section not in owned:
            yield f"[{section}] belongs to no component{_did_you_mean(section, owned)}"


def _of_options(service: BSPumpService, pipelines: list[Pipeline]) -> Iterator[str]:
    for shared in (*service.Connections.values(), *service.Lookups.values()):
        yield from _of_options_of(shared, merged_defaults(type(shared)))
    for pipeline in pipelines:
        # The sources of a pipeline read their options in its section too.
        of_sources = [key for source in pipeline.Sources for key in merged_defaults(type(source))]
        yield from _of_options_of(pipeline, [*merged_defaults(type(pipeline)), *of_sources])
        for component in (*pipeline.Sources, *pipeline.iter_processors()):
            yield from _of_options_of(component, merged_defaults(type(component)))


def _of_options_of(component: Component, declared: Collection[str]) -> Iterator[str]:
    if not asab.Config.has_section(component.section):
        return
    for key in asab.Config.options(component.section):
        hint = _did_you_mean(key, declared)
        if key not in declared and hint:
            yield f"[{component.section}] {key}: there is no such option{hint}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=_LIKENESS)
    return f"; did you mean '{close[0]}'?" if close else ""
