"""A query language for dictionaries: the part of MongoDB's that needs no more than the dictionary itself.

===========================================  =========================================================================
Query                                        Matches when
===========================================  =========================================================================
``{"a": 1, "b.c": "x"}``                     every path has that value; a dot goes into a dictionary or a list
``{"a": {"$gt": 1, "$lte": 5}}``             the value passes each test
``$eq $ne $gt $gte $lt $lte``                comparisons; different types are never greater or less than each other
``$in $nin``                                 the value is, or is not, one of a list
``$exists``                                  the path is there (true) or not (false)
``$regex``                                   the regular expression is found in the text; ``$options``: i, m, s, x
``$not``                                     the tests do not pass
``{"$and": [...]}``, ``$or``, ``$nor``       all, one, none of the queries match
===========================================  =========================================================================

Where a value is a list, a test passes when it does for the list or for one of its items. ``None`` is equal to what is
not there. A query is checked when it is made; it never runs code of its own.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from ..errors import ConfigurationError

Values = list[Any]
Test = Callable[[Values], bool]
Match = Callable[[Mapping[Any, Any]], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_PLAIN = frozenset({str, int, float, bool, type(None), dict})
_JUNCTIONS = ("$and", "$or", "$nor")
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_TESTS = "$eq $ne $gt $gte $lt $lte $in $nin $exists $regex $options $not"


class Query:
    """A query, checked and ready.

    Args:
        query: a dictionary, as the module describes it.

    Raises:
        ConfigurationError: it is no query; names every problem of it.
    """

    def __init__(self, query: object) -> None:
        self.query = query
        self._problems: list[str] = []
        self._match = self._query(query, "the query")
        if self._problems:
            raise ConfigurationError(*self._problems)

    def match(self, document: Mapping[Any, Any]) -> bool:
        """Tell whether a dictionary matches."""
        return self._match(document)

    def __repr__(self) -> str:
        return f"Query({self.query!r})"

    # Making functions of a query

    def _query(self, query: object, place: str) -> Match:
        if not isinstance(query, Mapping):
            self._refuse(place, query, "a dictionary")
            return _never
        matches: list[Match] = []
        for key, condition in query.items():
            if not isinstance(key, str):
                self._refuse(place, key, "a path or an operator, as text")
            elif key in _JUNCTIONS:
                matches.append(self._junction(key, condition))
            elif key.startswith("$"):
                self._refuse(place, key, f"a path, or one of {' '.join(_JUNCTIONS)}")
            else:
                matches.append(_at(key, self._tests(condition, key)))
        return matches[0] if len(matches) == 1 else lambda document: all(match(document) for match in matches)

    def _junction(self, name: str, queries: object) -> Match:
        if not _is_list(queries) or not queries:
            self._refuse(name, queries, "a list of queries")
            return _never
        matches = [self._query(query, f"{name} {number}") for number, query in enumerate(queries, start=1)]
        if name == "$and":
            return lambda document: all(match(document) for match in matches)
        if name == "$or":
            return lambda document: any(match(document) for match in matches)
        return lambda document: not any(match(document) for match in matches)

    def _tests(self, condition: object, path: str) -> Test:
        if not isinstance(condition, Mapping) or not any(str(key).startswith("$") for key in condition):
            return _equals(condition)
        tests = [
            self._test(str(name), value, condition, path) for name, value in condition.items() if name != "$options"
        ]
        if "$options" in condition and "$regex" not in condition:
            self._refuse(f"{path} $options", condition["$options"], "a $regex beside it")
        return tests[0] if len(tests) == 1 else lambda values: all(test(values) for test in tests)

    def _test(self, name: str, value: object, condition: Mapping[Any, Any], path: str) -> Test:
        place = f"{path} {name}"
        if name == "$eq":
            return _equals(value)
        if name == "$ne":
            return _negated(_equals(value))
        if name in _COMPARISONS:
            return _compares(_COMPARISONS[name], value)
        if name in ("$in", "$nin"):
            return self._membership(name, value, place)
        if name == "$exists":
            return self._existence(value, place)
        if name == "$regex":
            return self._expression(value, condition.get("$options", ""), place)
        if name == "$not":
            return self._negation(value, place)
        self._refuse(path, name, f"one of {_TESTS}")
        return _never_passes

    def _membership(self, name: str, value: object, place: str) -> Test:
        if not _is_list(value):
            self._refuse(place, value, "a list")
            return _never_passes
        # A list may be long, so what can be looked up in a set is. There, True is not to be found as 1.
        scalars = frozenset(_with_kind(item) for item in value if _is_scalar(item))
        tests = [_equals(item) for item in value if not _is_scalar(item)]

        def is_one(values: Values) -> bool:
            return any(_is_among(item, scalars) for item in _with_items(values)) or any(test(values) for test in tests)

        return is_one if name == "$in" else _negated(is_one)

    def _existence(self, value: object, place: str) -> Test:
        if not isinstance(value, bool | int):
            self._refuse(place, value, "true or false")
        return bool if value else lambda values: not values

    def _negation(self, value: object, place: str) -> Test:
        if not isinstance(value, Mapping) or not all(str(key).startswith("$") for key in value):
            self._refuse(place, value, "tests")
            return _never_passes
        return _negated(self._tests(value, place))

    def _expression(self, pattern: object, options: object, place: str) -> Test:
        if not isinstance(options, str) or not set(options) <= set(_FLAGS):
            self._refuse(place, options, f"as $options some of {' '.join(_FLAGS)}")
            return _never_passes
        try:
            search = re.compile(pattern, sum(_FLAGS[letter] for letter in set(options))).search  # type: ignore[call-overload]
        except (TypeError, ValueError, re.error) as error:
            self._refuse(place, pattern, f"a regular expression ({error})")
            return _never_passes
        return lambda values: any(isinstance(value, str) and search(value) is not None for value in _with_items(values))

    def _refuse(self, place: str, value: object, expectation: str) -> None:
        self._problems.append(f"{place}: {value!r} is not what is expected there, {expectation}")


def _at(path: str, test: Test) -> Match:
    if "." not in path:
        return lambda document: test([document[path]] if path in document else [])
    parts = path.split(".")

    def match(document: Mapping[Any, Any]) -> bool:
        if path in document:  # as a flattened event has it
            return test([document[path]])
        return test(_values(document, parts))

    return match


def _values(value: Any, parts: list[str]) -> Values:
    """Return what a path leads to; that may be several values where it goes through lists."""
    found = [value]
    for part in parts:
        found = [inner for outer in found for inner in _step(outer, part)]
    return found


def _step(value: Any, part: str) -> Values:
    if isinstance(value, Mapping):
        return [value[part]] if part in value else []
    if not _is_list(value):
        return []
    if part.isdecimal():
        index = int(part)
        return [value[index]] if index < len(value) else []
    return [item[part] for item in value if isinstance(item, Mapping) and part in item]


def _with_items(values: Values) -> Values:
    if len(values) == 1 and type(values[0]) in _PLAIN:
        return values
    return [*values, *(item for value in values if _is_list(value) for item in value)]


def _equals(expected: Any) -> Test:
    if expected is None:
        return lambda values: not values or any(value is None for value in _with_items(values))
    is_truth = isinstance(expected, bool)

    def test(values: Values) -> bool:
        for value in values:
            if value == expected and isinstance(value, bool) is is_truth:
                return True
            if _is_list(value) and any(item == expected and isinstance(item, bool) is is_truth for item in value):
                return True
        return False

    return test


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and value == value  # NaN is not


def _with_kind(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _is_among(value: Any, scalars: frozenset[tuple[bool, Any]]) -> bool:
    try:
        return _with_kind(value) in scalars
    except TypeError:
        return False  # a list or a dictionary, which no scalar is equal to


def _compares(compare: Callable[[Any, Any], Any], limit: Any) -> Test:
    def passes(value: Any) -> bool:
        try:
            return isinstance(value, bool) is isinstance(limit, bool) and bool(compare(value, limit))
        except TypeError:
            return False  # different types

    return lambda values: any(passes(value) for value in _with_items(values))


def _negated(test: Test) -> Test:
    return lambda values: not test(values)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    # Asking for the abstract class takes long, and these are what values mostly are.
    if type(value) in _PLAIN:
        return False
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _never(_: Mapping[Any, Any]) -> bool:
    return False


def _never_passes(_: Values) -> bool:
    return False
