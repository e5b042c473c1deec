"""A matrix of sessions: each row collects the fields of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import asab
import numpy as np
import numpy.typing as npt

from bspump import option
from bspump.errors import ProcessingError

from ._types import Name
from .matrix import plain_values
from .namedmatrix import NamedMatrix


class SessionMatrix(NamedMatrix):
    """A `NamedMatrix` of sessions, whose cells have fields: ``dtype=[("user", "U20"), ("bytes", "i8")]``.

    Text that is longer than its field is cut off, as numpy does it.

    Args:
        app: the application.
        dtype: the fields.
        persistent: whether the matrix is kept in files.
        id: the name of the matrix.
        config: options.
        primary_name: overrides the option.

    Attributes:
        PrimaryName: the option ``primary_name``.
    """

    PrimaryName = option.text("id", key="primary_name", help="The key of an event that has the name of the session.")

    _kind = "SessionMatrix"

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        persistent: bool = False,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        primary_name: str | None = None,
    ) -> None:
        super().__init__(app, dtype, persistent, id=id, config=config)
        if primary_name is not None:
            self.PrimaryName = primary_name

    def store(self, row_name: Name, event: Any) -> int:
        """Put a whole row in the place of the one with that name, which is opened if it is not there.

        Args:
            row_name: the name of the session.
            event: a mapping of all the fields, or what numpy takes for a row: a tuple, or an array with one element.

        Returns:
            the number of the row.

        Raises:
            ProcessingError: a mapping lacks a field.
        """
        if isinstance(event, Mapping):
            fields = self._fields_of_rows()
            missing = [field for field in fields if field not in event]
            if missing:
                raise ProcessingError(
                    f"Matrix '{self.Id}' got a session without {', '.join(missing)}, but stores all of "
                    f"{', '.join(fields)}; use store_event() for a part of them"
                )
            event = tuple(event[field] for field in fields)
        content = np.zeros(1, dtype=self.DType)
        content[0] = event[0] if isinstance(event, np.ndarray) and event.ndim else event
        row = self.add_row(row_name)
        self.Array[row] = content[0]
        return row

    def store_event(self, row_index: int, event: Mapping[str, Any], keys: Iterable[str] | None = None) -> None:
        """Put what the event says into a row. Keys that are no fields, or that the event does not have, are left out.

        Args:
            row_index: the number of the row.
            event: the event.
            keys: which keys; all of the event if None.
        """
        fields = self._fields_of_rows()
        for key in event if keys is None else keys:
            if key in fields and key in event:
                self.Array[key][row_index] = event[key]

    def decode_row(self, row_index: int, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Return a row as an event: plain values by their fields, and the name of the session under `PrimaryName`.

        Args:
            row_index: the number of the row.
            keys: which fields; all if None.
        """
        values = plain_values(self.Array[row_index])
        if keys is not None:
            values = {key: values[key] for key in keys if key in values}
        return {self.PrimaryName: self.get_row_name(row_index), **values}

    def _fields_of_rows(self) -> tuple[str, ...]:
        fields = self.DType.names
        if fields is None:
            raise TypeError(
                f"Matrix '{self.Id}' has no fields to store events in, since its dtype is {self.DType}; "
                f"give it a list of fields, such as [('bytes', 'i8')]"
            )
        return fields

    def _row_label(self, row: int) -> dict[str, Any]:
        return {self.PrimaryName: self.get_row_name(row)}


class PersistentSessionMatrix(SessionMatrix):
    """A `SessionMatrix` that is there again when the program is started again, see `PersistentMatrix`."""

    def __init__(
        self,
        app: asab.Application,
        dtype: npt.DTypeLike = "float_",
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        primary_name: str | None = None,
    ) -> None:
        super().__init__(app, dtype, persistent=True, id=id, config=config, primary_name=primary_name)
