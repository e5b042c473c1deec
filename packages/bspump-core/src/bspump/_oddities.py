"""What looks like a mistake at the start, but may be meant so: it is said, and the application goes on."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import asab

from ._component import Component, merged_defaults
from .abc.generator import Generator
from .abc.sink import Sink
from .abc.source import TriggerSource
from .option import declared_options

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .service import BSPumpService

_OWN_PREFIXES = ("pipeline", "connection", "lookup", "lookupprovider", "matrix", "model")
# How alike two names are that one is taken for a misspelling of the other; short ones have not much to be alike in.
_LIKENESS = 0.8
_LIKENESS_OF_SHORT = 0.66
_SHORT = 5


def find_oddities(service: BSPumpService, pipelines: list[Pipeline]) -> list[str]:
    """Return a sentence for each thing in new pipelines, and in the configuration, that is odd."""
    return [*_of_pipelines(pipelines), *_of_sections(service), *_of_options(service, pipelines)]


def _of_pipelines(pipelines: list[Pipeline]) -> Iterator[str]:
    for pipeline in pipelines:
        processors = list(pipeline.iter_processors())
        if not pipeline.Sources or not processors:
            yield f"Pipeline '{pipeline.Id}' has no {'source' if not pipeline.Sources else 'sink'}; was build() called?"
        elif not isinstance(processors[-1], (Sink, Generator)):
            yield f"Pipeline '{pipeline.Id}' ends with {processors[-1]!r}, which is no sink"
        for source in pipeline.Sources:
            if isinstance(source, TriggerSource) and source.needs_trigger and not source.Triggers:
                yield f"{source!r} has no trigger, so it will not do anything; add one with on()"


def _of_sections(service: BSPumpService) -> Iterator[str]:
    pipelines = list(service.Pipelines.values())
    components: list[Component] = [*pipelines, *service.Connections.values(), *service.Lookups.values()]
    components += [lookup.Provider for lookup in service.Lookups.values() if lookup.Provider is not None]
    for pipeline in pipelines:
        components.extend([*pipeline.Sources, *pipeline.iter_processors()])
    owned = [component.section for component in components]
    owned += [f"matrix:{matrix_id}" for matrix_id in service.Matrixes]
    for section in asab.Config.sections():
        prefix, colon, name = section.partition(":")
        if not colon or section in owned:
            continue
        if prefix in _OWN_PREFIXES and prefix != "model":
            yield f"[{section}] belongs to no component{_did_you_mean(section, owned)}"
        elif prefix not in _OWN_PREFIXES and (closest := _closest(prefix.lower(), _OWN_PREFIXES)):
            yield f"[{section}] belongs to no component; did you mean '{closest}:{name}'?"


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
    keys = set(component._given_keys)
    if asab.Config.has_section(component.section):
        keys.update(asab.Config.options(component.section))
    aliases = {alias for one in declared_options(type(component)).values() for alias in one.aliases}
    for key in sorted(keys - aliases - set(declared)):
        hint = _did_you_mean(key, declared)
        # A class of the user's may read any option that it likes.
        is_ours = type(component).__module__.startswith("bspump.") and not component.takes_further_options
        if hint or is_ours:
            yield f"[{component.section}] {key}: there is no such option{hint}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion as the end of a sentence; empty if nothing known is like the name."""
    closest = _closest(name, known)
    return f"; did you mean '{closest}'?" if closest else ""


def _closest(name: str, known: Iterable[str]) -> str | None:
    names = list(known)
    with_the_same_letters = [other for other in names if sorted(other) == sorted(name)]
    cutoff = _LIKENESS if len(name) > _SHORT else _LIKENESS_OF_SHORT
    return next(iter(with_the_same_letters or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)
