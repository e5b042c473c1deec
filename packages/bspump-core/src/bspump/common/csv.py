"""The options of the CSV format, which sources and sinks of files, of responses and of others share."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

from .. import option
from .._component import Component

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

# A line that is a row of its own in every dialect, quoting or not, unless a quoted field is open.
PROBE = "0\n"

Dialect = dict[str, Any]
"""Keyword arguments for `csv.reader` and `csv.writer`."""


class CSVFormat(Component):
    """The options that say what CSV looks like. Derive from it, in front of the source or sink.

    They are named as in module ``csv``, and mean the same.

    If ``dialect`` is not ``excel``, an option that has its default takes what the dialect says.
    """

    dialect = option.text(
        "excel", help="The name of a dialect of module ``csv``: ``excel``, ``excel-tab``, ``unix`` or a registered one."
    )
    delimiter = option.text(",", help=r"The character between two fields; ``\t`` or ``tab`` stands for a tabulator.")
    doublequote = option.boolean(
        True, help="Whether a quote in a field is doubled; else ``escapechar`` stands in front of it."
    )
    escapechar = option.text(help="The character that takes the special meaning from the next one; empty for none.")
    lineterminator = option.text(
        os.linesep,
        help="What a sink ends rows with: the characters, or ``lf``, ``crlf``, ``cr``. Sources take any newline.",
    )
    quotechar = option.text('"', help="The character around fields that have special characters in them.")
    quoting = option.text(
        csv.QUOTE_MINIMAL,
        help="Which fields are quoted, as a number or a name: ``minimal``, ``all``, ``nonnumeric``, ``none``, "
        "``strings``, ``notnull``; ``QUOTE_ALL`` is understood too.",
    )
    skipinitialspace = option.boolean(False, help="Whether spaces behind a delimiter are left out.")
    strict = option.boolean(False, help="Whether a row that is no good CSV is refused where it could be guessed at.")

    def _read_dialect(self) -> Dialect:
        """Return the format; what is wrong with the options is a problem of the configuration."""
        with self.options() as options:
            dialect: Dialect = {
                "dialect": options.choice("dialect", csv.list_dialects()),
                "delimiter": _characters(self.delimiter) or None,
                "escapechar": _characters(self.escapechar) or None,
                "quotechar": _characters(self.quotechar) or '"',
                "lineterminator": _characters(self.lineterminator) or os.linesep,
                "doublequote": self.doublequote,
                "skipinitialspace": self.skipinitialspace,
                "strict": self.strict,
                "quoting": _quoting(options),
            }
            if dialect["dialect"] != "excel":
                for key, default in CSVFormat.ConfigDefaults.items():
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
