"""Reading options.

Values from a ``.conf`` file are strings, values from Python keep their type; components see one type. A problem does
not stop at the first option: it is collected, the component gets the default for the time being, and the application
refuses to start with the whole list (see `BSPumpService.initialize`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import asab.utils

from .errors import ConfigurationError

_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "f", "n"})
_SIZE_UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}


class Options:
    """The typed view on the ``Config`` of one component.

    Args:
        section: the configuration section of the component; it begins every message.
        config: the merged configuration (``self.Config``).
        defaults: what is used in place of a value that cannot be read, so that the remaining options are checked too.
        secrets: the keys whose values must not be shown.
    """

    def __init__(
        self, section: str, config: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Collection[str] = ()
    ) -> None:
        self._section = section
        self._config = config
        self._defaults = defaults
        self._secrets = secrets
        self.problems: list[str] = []

    def raw(self, key: str) -> Any:
        """Return the value as it is: text from a file, anything from Python."""
        return self._config[key]

    def text(self, key: str) -> str:
        """Return the value as a string; nothing, as YAML has it for a key without a value, is an empty one."""
        value = self._config[key]
        return "" if value is None else str(value)

    def boolean(self, key: str) -> bool:
        """Return the value as a truth value: yes/no, true/false, on/off, 1/0."""
        value = self._config[key]
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        return self._in_place_of(key, "is not yes or no (true/false, on/off, 1/0)").boolean(key)

    def integer(self, key: str, minimum: int | None = None) -> int:
        """Return the value as a whole number, not below `minimum`."""
        try:
            number = int(str(self._config[key]).strip())
        except ValueError:
            return self._in_place_of(key, "is not a whole number").integer(key)
        if minimum is not None and number < minimum:
            return self._in_place_of(key, f"is below {minimum}").integer(key)
        return number

    def number(self, key: str, minimum: float | None = None, maximum: float | None = None) -> float:
        """Return the value as a number between the limits, the limits included."""
        try:
            number = float(self._config[key])
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            return self._in_place_of(key, "is not a number").number(key)
        if minimum is not None and number < minimum:
            return self._in_place_of(key, f"is below {minimum:g}").number(key)
        if maximum is not None and number > maximum:
            return self._in_place_of(key, f"is above {maximum:g}").number(key)
        return number

    def seconds(self, key: str, minimum: float = 0.0) -> float:
        """Return a duration in seconds; ``5``, ``1.5s``, ``2m``, ``1h``, ``1D`` are accepted."""
        value = self._config[key]
        try:
            duration = float(asab.utils.convert_to_seconds(str(value).strip()))
        except (TypeError, ValueError):
            duration = math.nan
        if math.isnan(duration):
            return self._in_place_of(key, "is not a duration in seconds (such as 5, 1.5s, 2m, 1h)").seconds(key)
        if duration < minimum:
            return self._in_place_of(key, f"is below {minimum:g} seconds").seconds(key)
        return duration

    def size(self, key: str) -> int:
        """Return a number of bytes; ``100``, ``64k``, ``16MB``, ``1G`` are accepted (powers of 1024)."""
        text = str(self._config[key]).strip().lower()
        digits = text.rstrip("kmgb").strip()
        unit = text[len(digits) :].strip()
        try:
            size = int(float(digits) * _SIZE_UNITS[unit])
        except (KeyError, ValueError, OverflowError):
            size = -1
        if size < 0:
            return self._in_place_of(key, "is not a size in bytes (such as 100, 64k, 16MB, 1G)").size(key)
        return size

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """Return the value if it is one of `choices`."""
        value = str(self._config[key]).strip()
        allowed = list(choices)
        if value in allowed:
            return value
        return self._in_place_of(key, f"is none of {', '.join(allowed)}").text(key)

    def text_encoding(self, key: str) -> str:
        """Return the value if it is the name of a text encoding."""
        name = str(self._config[key]).strip()
        try:
            "".encode(name)
        except LookupError:
            return self._in_place_of(key, "is no known text encoding (such as utf-8)").text(key)
        return name

    def mapping(self, key: str) -> dict[str, str]:
        """Return names with their values: a mapping, or a text with ``name: value`` on each line."""
        value = self._config[key]
        if isinstance(value, Mapping):
            return {str(name): str(content) for name, content in value.items()}
        found: dict[str, str] = {}
        lines = [line for line in map(str.strip, str(value).splitlines()) if line]
        for number, line in enumerate(lines, 1):
            name, colon, content = line.partition(":")
            if not name.strip() or not colon:
                # The line itself may be a secret.
                self.problems.append(
                    f"[{self._section}] {key}: number {number} is not of the form 'Name: value', on a line of its own"
                )
                return {}
            found[name.strip()] = content.strip()
        return found

    def refuse(self, key: str, expectation: str) -> None:
        """Record that the value of `key` cannot be used, `expectation` completing "<value> ..."."""
        value = "the value" if key in self._secrets else repr(self._config[key])
        self.problems.append(f"[{self._section}] {key}: {value} {expectation}")

    def _in_place_of(self, key: str, expectation: str) -> Options:
        """Record a problem. Returns the options to read from instead: the defaults."""
        self.refuse(key, expectation)
        default = self._defaults.get(key, "0")
        is_default = default == self._config[key]
        return Options(self._section, {key: "0" if is_default else default}, {})

    def raise_problems(self) -> None:
        """Raise `ConfigurationError` with every problem that was found."""
        if self.problems:
            raise ConfigurationError(*self.problems)
