"""The matrix of an analyzer: one that is there already, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bspump import Analyzer
from bspump._asab import find_pump_service
from bspump._component import merged_defaults
from bspump.errors import ConfigurationError
from bspump.matrix.matrix import Matrix, locate_matrix

M = TypeVar("M", bound=Matrix)


def matrix_of(
    analyzer: Analyzer,
    matrix_id: str | Matrix | None,
    kind: type[M],
    make: Callable[[str, Mapping[str, Any]], M],
    config: Mapping[str, Any] | None,
) -> M:
    """Return the matrix that an analyzer works with.

    Args:
        analyzer: the analyzer.
        matrix_id: the id of a registered matrix, or the matrix itself. If None, one is made and registered.
        kind: what it has to be.
        make: makes one of its own, given its id and its options.
        config: the options of the analyzer. Those that are options of the matrix are passed on.

    Raises:
        ConfigurationError: there is no matrix with that id, or it is of another kind.
    """
    if matrix_id is not None:
        try:
            found = locate_matrix(analyzer.App, matrix_id, kind)
        except ConfigurationError as error:
            raise ConfigurationError(f"[{analyzer.section}] {error}") from None
        assert isinstance(found, kind)
        return found
    options = {key: value for key, value in (config or {}).items() if key in merged_defaults(kind)}
    matrix = make(f"{analyzer.Id}Matrix", options)
    service = find_pump_service(analyzer.App)
    if service is not None:
        service.add_matrix(matrix)
    return matrix
