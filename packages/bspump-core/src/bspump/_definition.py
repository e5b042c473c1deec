"""Checking the definition of a pump, before anything is built from it."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._names import distribution_of
from .abc.connection import Connection
from .abc.lookup import Lookup
from .abc.processor import ProcessorBase
from .abc.sink import Sink
from .abc.source import Source, TriggerSource
from .errors import BSPumpError, ConfigurationError
from .trigger import Trigger

if TYPE_CHECKING:
    from .service import BSPumpService

Definition = Mapping[str, Any]

_PUMP_KEYS = ("connections", "lookups", "pipelines")
_PIPELINE_KEYS = ("id", "config", "sources", "processors", "sink")
# Keys that are left alone: notes in JSON, which has no comments, and anchors in YAML.
_FREE_KEYS = ("_", "x-")


@dataclass(frozen=True)
class Mistake:
    """Something wrong in a definition.

    Attributes:
        place: where, such as ``pipelines[0].sources[1].class``.
        sentence: what is wrong, and what is expected.
    """

    place: str
    sentence: str

    def within(self, place: str) -> Mistake:
        """Return the mistake as seen from further outside."""
        return Mistake(".".join(filter(None, [place, self.place])), self.sentence)

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.place, self.sentence]))


class DefinitionError(ConfigurationError):
    """A definition cannot be used; every mistake that was found in it is in here."""

    def __init__(self, mistakes: Collection[Mistake]) -> None:
        super().__init__(*map(str, mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True)
class Kind:
    """A kind of component, as definitions have them.

    Attributes:
        name: what it is called in a message.
        base: the class that all of that kind derive from.
        keys: the keys of a definition that the ``construct`` of the base class uses, and the builder.
        leading: how many positional arguments ``construct`` passes to the class.
    """

    name: str
    base: type
    keys: tuple[str, ...]
    leading: int

    def has_plain_construct(self, component: type) -> bool:
        """Tell whether a class has the ``construct`` of the base class, whose use of the definition is known."""
        return _function_of(component, "construct") is _function_of(self.base, "construct")


_KEYS = ("id", "module", "class", "config", "args")
CONNECTION = Kind("connection", Connection, ("id", "module", "class", "config"), 1)
LOOKUP = Kind("lookup", Lookup, _KEYS, 1)
SOURCE = Kind("source", Source, (*_KEYS, "trigger"), 2)
PROCESSOR = Kind("processor", ProcessorBase, _KEYS, 2)
SINK = Kind("sink", Sink, _KEYS, 2)
TRIGGER = Kind("trigger", Trigger, ("id", "module", "class", "args"), 1)


def mistakes_of_pump(pump: object, service: BSPumpService) -> Iterator[Mistake]:
    """Yield what is wrong in the definition of a pump that is to be built into a service."""
    if not isinstance(pump, Mapping):
        yield Mistake("", f"expected an object with the keys {_listed(_PUMP_KEYS)}, got {_type_of(pump)}")
        return
    yield from _unknown_keys(pump, _PUMP_KEYS)
    for key, kind, registered in (
        ("connections", CONNECTION, service.Connections),
        ("lookups", LOOKUP, service.Lookups),
    ):
        yield from _wrong_list(pump, key)
        for place, part in _parts(pump, key):
            yield from _within(place, mistakes_of_part(part, kind))
        yield from _ids_given_twice(pump, key, registered)
    yield from _wrong_list(pump, "pipelines")
    for place, pipeline in _parts(pump, "pipelines"):
        yield from _within(place, mistakes_of_pipeline(pipeline))
    yield from _ids_given_twice(pump, "pipelines", service.Pipelines)


def mistakes_of_pipeline(pipeline: object) -> Iterator[Mistake]:
    """Yield what is wrong in the definition of a pipeline."""
    if not isinstance(pipeline, Mapping):
        yield Mistake("", f"expected an object with the keys {_listed(_PIPELINE_KEYS)}, got {_type_of(pipeline)}")
        return
    yield from _unknown_keys(pipeline, _PIPELINE_KEYS)
    yield from _wrong_text(pipeline, "id", is_required=True)
    yield from _wrong_mapping(pipeline, "config")
    if pipeline.get("sources") in (None, []):
        yield Mistake("sources", "is missing; a pipeline needs one source at least")
    yield from _wrong_list(pipeline, "sources")
    for place, source in _parts(pipeline, "sources"):
        yield from _within(place, mistakes_of_part(source, SOURCE))
    yield from _wrong_list(pipeline, "processors")
    for place, processor in _parts(pipeline, "processors"):
        yield from _within(place, mistakes_of_part(processor, PROCESSOR, excluded=SINK))
    if pipeline.get("sink") is None:
        yield Mistake("sink", "is missing; a pipeline needs one")
    else:
        yield from _within("sink", mistakes_of_part(pipeline["sink"], SINK))


def mistakes_of_part(part: object, kind: Kind, excluded: Kind | None = None) -> Iterator[Mistake]:
    """Yield what is wrong in the definition of a component or a trigger, which must not be of the `excluded` kind."""
    if not isinstance(part, Mapping):
        yield Mistake("", f"expected an object with the keys {_listed(kind.keys)}, got {_type_of(part)}")
        return
    yield from _wrong_text(part, "id")
    for key in ("config", "args"):
        if key in kind.keys:
            yield from _wrong_mapping(part, key)
    names = [*_wrong_text(part, "module", is_required=True), *_wrong_text(part, "class", is_required=True)]
    if names:
        yield from names
        yield from _unknown_keys(part, kind.keys)
        return
    try:
        component = find_class(part, kind)
    except DefinitionError as error:
        yield from error.mistakes
        yield from _unknown_keys(part, kind.keys)
    else:
        if excluded is not None and issubclass(component, excluded.base):
            yield Mistake("class", f"{component.__name__!r} is a {excluded.name}, so its place is '{excluded.name}'")
        yield from _mistakes_of_use(part, kind, component)
    if kind is SOURCE and part.get("trigger") is not None:
        yield from _within("trigger", mistakes_of_part(part["trigger"], TRIGGER))


def _mistakes_of_use(part: Definition, kind: Kind, component: type) -> Iterator[Mistake]:
    if kind is SOURCE and part.get("trigger") is not None and not issubclass(component, TriggerSource):
        yield Mistake("trigger", f"{component.__name__!r} is no TriggerSource, it works without a trigger")
    if not kind.has_plain_construct(component):
        return
    yield from _unknown_keys(part, kind.keys)
    arguments = part.get("args") or {}
    if not isinstance(arguments, Mapping):
        return
    beside = {"id", "config"} & set(arguments)
    if beside:
        yield from (Mistake(f"args.{key}", f"is to stand beside 'args', as '{key}'") for key in sorted(beside))
        return
    yield from _mistakes_of_arguments(component, kind, arguments)


def _mistakes_of_arguments(component: type, kind: Kind, arguments: Mapping[Any, Any]) -> Iterator[Mistake]:
    signature = inspect.signature(component)
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.parameters.values())
    always_given = [key for key in ("id", "config") if key in kind.keys]
    for key in always_given:
        if key not in signature.parameters and not takes_any:
            yield Mistake(
                "class", f"{component.__name__!r} cannot be built from a definition: it has no argument {key!r}"
            )
            return
    names = {str(name): None for name in arguments}
    try:
        signature.bind(*[None] * kind.leading, **dict.fromkeys(always_given), **names)
    except TypeError as error:
        yield Mistake("args", f"do not fit {component.__name__}: {error}")


def find_class(part: Definition, kind: Kind) -> type:
    """Return the class that a definition names.

    Raises:
        DefinitionError: there is no such class, or it is of another kind.
    """
    module_name, class_name = part["module"], part["class"]
    try:
        module = importlib.import_module(module_name)
        component = getattr(module, class_name, None)
    except (ImportError, BSPumpError, ValueError, TypeError) as error:
        raise DefinitionError([Mistake("module", _why_not_imported(module_name, error))]) from error
    if component is None:
        close = difflib.get_close_matches(class_name, [name for name in dir(module) if name[0].isupper()], n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise DefinitionError([Mistake("class", f"{module_name!r} has no class {class_name!r}{hint}")])
    if not isinstance(component, type) or not issubclass(component, kind.base):
        raise DefinitionError([Mistake("class", f"{class_name!r} is no {kind.name}")])
    if inspect.isabstract(component):
        missing = _listed(sorted(getattr(component, "__abstractmethods__", ())))
        raise DefinitionError([Mistake("class", f"{class_name!r} is abstract: it does not define {missing}")])
    return component


def _why_not_imported(module_name: str, error: Exception) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module_name}.".startswith(f"{missing}."):
        return f"{module_name!r} cannot be imported: {error}"
    # Where the package is there, it is the name of the module that is wrong.
    distribution = distribution_of(missing) if missing.count(".") == 1 else None
    hint = f"; is the package installed (pip install {distribution})?" if distribution is not None else ""
    return f"there is no module {module_name!r}{hint}"


def _parts(whole: Definition, key: str) -> Iterator[tuple[str, object]]:
    """Yield the members of a list with their places."""
    parts = whole.get(key)
    if isinstance(parts, list | tuple):
        yield from ((f"{key}[{index}]", part) for index, part in enumerate(parts))


def _ids_given_twice(pump: Definition, key: str, registered: Collection[str]) -> Iterator[Mistake]:
    places: dict[object, str] = {}
    for place, part in _parts(pump, key):
        if not isinstance(part, Mapping):
            continue
        identifier = part.get("id") if part.get("id") is not None else part.get("class")
        if not isinstance(identifier, str):
            continue
        if identifier in registered:
            yield Mistake(f"{place}.id", f"{identifier!r} is registered already; give it another id")
        elif identifier in places:
            yield Mistake(f"{place}.id", f"{identifier!r} is the id of {places[identifier]} too; give it another id")
        places.setdefault(identifier, place)


def _unknown_keys(part: Definition, known: tuple[str, ...]) -> Iterator[Mistake]:
    for key in map(str, part):
        if key in known or key.startswith(_FREE_KEYS):
            continue
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"the keys are {_listed(known)}"
        yield Mistake(key, f"there is no such key; {hint}")


def _wrong_text(part: Definition, key: str, *, is_required: bool = False) -> Iterator[Mistake]:
    value = part.get(key)
    if value is None or value == "":
        if is_required:
            yield Mistake(key, "is missing")
    elif not isinstance(value, str):
        yield Mistake(key, f"expected a text, got {_type_of(value)}")


def _wrong_list(whole: Definition, key: str) -> Iterator[Mistake]:
    parts = whole.get(key)
    if parts is not None and not isinstance(parts, list | tuple):
        yield Mistake(key, f"expected a list, got {_type_of(parts)}")


def _wrong_mapping(part: Definition, key: str) -> Iterator[Mistake]:
    value = part.get(key)
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield Mistake(key, f"expected an object, got {_type_of(value)}")
        return
    for name, option in value.items():
        if not isinstance(name, str):
            yield Mistake(key, f"the name {name!r} is no text; put it in quotes")
        elif option is None and key == "config":
            yield Mistake(f"{key}.{name}", "has no value; leave it out to get the default")


def _within(place: str, mistakes: Iterator[Mistake]) -> Iterator[Mistake]:
    return (mistake.within(place) for mistake in mistakes)


def _function_of(component: type, name: str) -> object:
    return getattr(getattr(component, name, None), "__func__", None)


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


def _type_of(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "a text" if isinstance(value, str) else type(value).__name__
