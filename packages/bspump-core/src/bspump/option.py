"""Options that a component declares: one line for each, from which all the rest follows.

::

    class AcmeSink(bspump.BufferedSink):
        url = option.text("http://localhost:7000", help="Where Acme listens.")
        token = option.secret(help="What Acme knows us by.")
        level = option.choice("warning", ("info", "warning"), help="What Acme is told.")
        timeout = option.seconds(30.0, help="How long an answer may take.")

In an instance, ``self.timeout`` is the value, of the type that the declaration names: read from the component's
section of the configuration, from what was handed to it as ``config``, or else the default. A value that cannot be
read is a problem of the configuration: all of them are told together, and the application does not start. The default
is an item of ``ConfigDefaults``, so that a derived class changes it there. ``bspump describe`` and the documentation
show the options with their types, defaults and explanations.

To a type checker, a declaration is the value.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, cast

if TYPE_CHECKING:
    from ._options import Options

T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class Option(Generic[T]):
    """One declared option.

    Attributes:
        read: returns the value, given the options of an instance and the key.
        default: the value if nothing else is configured, as it may stand in a configuration file.
        help: what it is for, in a sentence or two.
        values: what its values are, in words.
        schema: the same as a JSON Schema.
        key: the key in the configuration; that of the attribute if not given.
        aliases: further keys that it is known by.
        required: whether an empty value is a mistake.
        secret: whether the value must never be shown.
        deprecated: since when, and what to use instead: "0.3, use url"; None if it is not.
    """

    read: Callable[[Options, str], T]
    default: Any
    help: str
    values: str
    schema: dict[str, Any]
    key: str = ""
    aliases: tuple[str, ...] = ()
    required: bool = False
    secret: bool = False
    deprecated: str | None = None
    attribute: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.key = self.key or name

    @property
    def shown_default(self) -> str:
        """The default as it is shown in help and documentation."""
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        text = str(self.default)
        return text if text.isprintable() else repr(text)


class Further(TypedDict, total=False):
    """What may be said of any option: see the attributes of `Option`."""

    key: str
    aliases: tuple[str, ...]
    required: bool
    deprecated: str
    secret: bool


def _declare(
    read: Callable[[Options, str], T], default: Any, values: str, schema: dict[str, Any], help: str, further: Further
) -> T:
    return cast("T", Option(read, default, help, values, schema, **further))


def custom(
    read: Callable[[Options, str], T],
    default: Any,
    *,
    values: str,
    schema: dict[str, Any],
    help: str,
    **further: Unpack[Further],
) -> T:
    """Declare a value that `read` makes of what is configured (`Options.raw`), refusing what it cannot be made of."""
    return _declare(read, default, values, schema, help, further)


def text(default: str | int = "", *, help: str, **further: Unpack[Further]) -> str:
    """Declare a text. What else may be said of it, as of all the others: see `Further`."""
    schema = {"type": "string" if isinstance(default, str) else ["string", "integer"]}
    return _declare(lambda options, key: options.text(key), default, "text", schema, help, further)


def secret(*, help: str, **further: Unpack[Further]) -> str:
    """Declare a text that is never shown: a password, a token."""
    further["secret"] = True
    return _declare(lambda options, key: options.text(key), "", "text", {"type": "string"}, help, further)


def boolean(default: bool | str, *, help: str, **further: Unpack[Further]) -> bool:
    """Declare a truth value: yes/no, true/false, on/off, 1/0."""
    return _declare(lambda options, key: options.boolean(key), default, "yes or no", {"type": "boolean"}, help, further)


def integer(default: int, *, minimum: int | None = None, help: str, **further: Unpack[Further]) -> int:
    """Declare a whole number, not below `minimum`."""
    schema: dict[str, Any] = {"type": "integer"} | ({} if minimum is None else {"minimum": minimum})
    kind = "whole number" if minimum is None else f"whole number, {minimum} or more"
    return _declare(lambda options, key: options.integer(key, minimum=minimum), default, kind, schema, help, further)


def number(
    default: float, *, minimum: float | None = None, maximum: float | None = None, help: str, **further: Unpack[Further]
) -> float:
    """Declare a number between the limits, the limits included."""
    schema: dict[str, Any] = {"type": "number"}
    schema |= {} if minimum is None else {"minimum": minimum}
    schema |= {} if maximum is None else {"maximum": maximum}
    limits = [f"{minimum:g} or more"] if minimum is not None else []
    limits += [f"at most {maximum:g}"] if maximum is not None else []
    return _declare(
        lambda options, key: options.number(key, minimum, maximum),
        default,
        ", ".join(["number", *limits]),
        schema,
        help,
        further,
    )


def seconds(default: float, *, minimum: float = 0.0, help: str, **further: Unpack[Further]) -> float:
    """Declare a duration in seconds; ``5``, ``1.5s``, ``2m``, ``1h``, ``1D`` are accepted."""
    return _declare(
        lambda options, key: options.seconds(key, minimum),
        default,
        "duration (5, 1.5s, 2m, 1h)",
        {"type": ["number", "string"]},
        help,
        further,
    )


def size(default: int | str, *, help: str, **further: Unpack[Further]) -> int:
    """Declare a number of bytes; ``100``, ``64k``, ``16MB``, ``1G`` are accepted (powers of 1024)."""
    return _declare(
        lambda options, key: options.size(key),
        default,
        "size in bytes (100, 64k, 16MB)",
        {"type": ["integer", "string"]},
        help,
        further,
    )


def choice(default: str, choices: Iterable[str], *, help: str, **further: Unpack[Further]) -> str:
    """Declare one of several words."""
    words = tuple(choices)
    return _declare(
        lambda options, key: options.choice(key, words),
        default,
        " | ".join(words),
        {"enum": list(words)},
        help,
        further,
    )


def encoding(default: str, *, empty: str | None = None, help: str, **further: Unpack[Further]) -> str:
    """Declare the name of a text encoding; it may be empty if the default is, or if `empty` says what that means."""

    def read(options: Options, key: str) -> str:
        may_be_empty = empty is not None or not default
        return empty or "" if may_be_empty and not options.text(key).strip() else options.text_encoding(key)

    return _declare(read, default, "text encoding", {"type": "string"}, help, further)


def mapping(*, help: str, **further: Unpack[Further]) -> dict[str, str]:
    """Declare names with values: one on each line, ``name: value``, or a mapping from Python."""
    schema = {"type": ["object", "string"], "additionalProperties": {"type": "string"}}
    return _declare(lambda options, key: options.mapping(key), "", "lines, each name: value", schema, help, further)


def own_options(component: type) -> dict[str, Option[Any]]:
    """Return the options that a class declares itself, by their keys."""
    found: dict[str, Option[Any]] = vars(component).get("_own_options", {})
    return found


def take_declarations(component: type) -> dict[str, Option[Any]]:
    """Take the declarations out of a class, so that the values in its instances are found as quickly as any attribute.

    CPython looks for an attribute of an instance twice where the class has one of the same name.
    """
    own = {value.key: value for value in vars(component).values() if isinstance(value, Option)}
    for one in own.values():
        delattr(component, one.attribute)
    return own


def declared_options(component: type) -> dict[str, Option[Any]]:
    """Return the options that a class and its bases declare, by their keys, those of the bases first.

    A class that declares an attribute of a base under another key has that key instead of the base's.
    """
    found: dict[str, Option[Any]] = {}
    for base in reversed(component.__mro__):
        own = own_options(base)
        attributes = {one.attribute for one in own.values()}
        found = {key: one for key, one in found.items() if key in own or one.attribute not in attributes} | own
    return found


def replaced_keys(component: type) -> set[str]:
    """Return the keys of the bases' options that a class has under other keys."""
    keys = {key for base in component.__mro__ for key in own_options(base)}
    return keys - declared_options(component).keys()


def with_options(docstring: str | None, options: Iterable[Option[Any]]) -> str:
    """Return a docstring with a section on options at its end."""
    lines = [inspect.cleandoc(docstring or ""), "", "Options:"]
    for one in options:
        notes = [one.values]
        notes += ["secret"] if one.secret else []
        notes += ["required"] if one.required else [f"default: {one.shown_default}"] if one.shown_default else []
        notes += [f"deprecated since {one.deprecated}"] if one.deprecated else []
        text = f"{one.key}: {one.help.rstrip('.')} ({'; '.join(notes)})."
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="        ")
    return "\n".join(lines).lstrip("\n")
