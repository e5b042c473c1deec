"""Anomalies: what an analyzer has found, from its beginning to its end."""

from __future__ import annotations

from typing import Any


class Anomaly(dict[str, Any]):
    """Something out of the ordinary that lasts for a while. Derive from it, set `TYPE` and override `on_tick`.

    It is a dictionary, so that it can be sent down a pipeline as it is.

    Keys:
        ts_end: when it ended, in seconds since the epoch; only when it is closed.
        D: how long it lasted, in seconds; only when it is closed and has a ``ts_start``.
        status: ``closed`` once it is.
    """

    TYPE: str | None = None
    """The name of this kind of anomaly."""

    def is_closed(self) -> bool:
        """Tell whether it has ended."""
        return self.get("status") == "closed"

    def close(self, t: float | None = None, *, current_time: float | None = None) -> None:
        """End it. Once closed it stays as it is.

        Args:
            t: the time of the end, in seconds since the epoch.
            current_time: the same by its other name.
        """
        end = t if t is not None else current_time
        if end is None:
            raise TypeError(f"{type(self).__name__}.close() needs the time of the end")
        if self.is_closed():
            return
        self["ts_end"] = end
        if "ts_start" in self:
            self["D"] = end - self["ts_start"]
        self["status"] = "closed"

    async def on_tick(self, t: float) -> None:
        """Look whether it goes on, or call `close`. Called regularly while it is open.

        Args:
            t: the present time, in seconds since the epoch.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override on_tick()")
