"""The words of the matrices: cells, rows, names."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[Any]
"""The content of a matrix."""

Name = Any
"""The name of a row: any hashable object but None; in a persistent matrix a string or a number."""

UNUSED: Literal[0] = 0
ACTIVE: Literal[1] = 1
CLOSED: Literal[2] = 2

# What numpy 2 no longer knows; `float_` is the documented default of the matrices.
_FORMER_NAMES = {"float_": "float64", "complex_": "complex128", "string_": "S", "unicode_": "U"}


def resolve_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the type of the cells; ``float_`` and the like mean what they meant before numpy 2.

    Raises:
        TypeError: numpy does not know such a type.
    """
    if isinstance(dtype, str):
        dtype = _FORMER_NAMES.get(dtype, dtype)
    resolved: np.dtype[Any] = np.dtype(dtype)
    if not resolved.itemsize:
        raise TypeError(f"{dtype!r} has no size; give text a length, such as U20")
    return resolved
