"""The options of the CSV format. They are those of the file sources and sinks."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bspump._options import Options

_QUOTING = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "nonnumeric": csv.QUOTE_NONNUMERIC,
    "none": csv.QUOTE_NONE,
    "strings": 4,
    "notnull": 5,
}
_ESCAPES = {
    "\\t": "\t",
    "tab": "\t",
    "\\n": "\n",
    "\\r": "\r",
    "\\r\\n": "\r\n",
    "lf": "\n",
    "crlf": "\r\n",
    "cr": "\r",
}

DEFAULTS: dict[str, Any] = {
    "dialect": "excel",
    "delimiter": ",",
    "doublequote": True,
    "escapechar": "",
    "lineterminator": os.linesep,
    "quotechar": '"',
    "quoting": csv.QUOTE_MINIMAL,
    "skipinitialspace": False,
    "strict": False,
}

# A line that is a row of its own in every dialect, quoting or not, unless a quoted field is open.
PROBE = "0\n"

Dialect = dict[str, Any]
"""Keyword arguments for `csv.reader` and `csv.writer`."""


def read_dialect(options: Options, config: Mapping[str, Any]) -> Dialect:
    """Read the options of `DEFAULTS`.

    An option that has its default takes what the dialect says, unless the dialect is ``excel``.
    """
    dialect: Dialect = {"dialect": options.choice("dialect", csv.list_dialects())}
    for key in ("delimiter", "escapechar", "quotechar", "lineterminator"):
        dialect[key] = _characters(options.text(key)) or None
    for key in ("doublequote", "skipinitialspace", "strict"):
        dialect[key] = options.boolean(key)
    dialect["quoting"] = _quoting(options)
    dialect["quotechar"] = dialect["quotechar"] or '"'
    dialect["lineterminator"] = dialect["lineterminator"] or os.linesep
    if dialect["dialect"] != "excel":
        for key, default in DEFAULTS.items():
            if key != "dialect" and (dialect[key] or None) == (default or None):
                del dialect[key]
    try:
        csv.writer(io.StringIO(), **dialect)
    except (TypeError, ValueError, csv.Error) as error:
        options.refuse("dialect", f"together with the other options of the CSV format is refused: {error}")
        return {"dialect": "excel"}
    return dialect


def _characters(value: str) -> str:
    return _ESCAPES.get(value, value)


def _quoting(options: Options) -> int:
    name = options.text("quoting").strip().lower().removeprefix("csv.").removeprefix("quote_")
    if name in _QUOTING:
        return _QUOTING[name]
    if name.isdecimal() and int(name) in _QUOTING.values():
        return int(name)
    options.refuse("quoting", f"is none of {', '.join(_QUOTING)}, nor the number of one of them")
    return csv.QUOTE_MINIMAL
