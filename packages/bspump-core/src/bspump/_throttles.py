"""Who holds a pipeline back at the moment."""

from __future__ import annotations

from collections.abc import Hashable


class Throttles:
    """A set of holders, each of which may hold the pipeline itself or through pipelines that are linked to it.

    The same holder may come by several ways; the pipeline is free of it when all of them have let go.
    """

    def __init__(self) -> None:
        self._ways: dict[Hashable, set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self._ways)

    def holders(self) -> set[Hashable]:
        """Return who holds the pipeline."""
        return set(self._ways)

    def are_only(self, holder: Hashable) -> bool:
        """Tell whether nobody but `holder` holds the pipeline."""
        return not self._ways or (len(self._ways) == 1 and holder in self._ways)

    def add(self, holder: Hashable, way: Hashable) -> bool:
        """Add a holder. Returns whether it is a new one."""
        ways = self._ways.setdefault(holder, set())
        ways.add(way)
        return len(ways) == 1

    def discard(self, holder: Hashable, way: Hashable) -> bool:
        """Remove a holder that came by `way`; an absent one is fine. Returns whether it is gone for good."""
        ways = self._ways.get(holder)
        if ways is None or way not in ways:
            return False
        ways.discard(way)
        if ways:
            return False
        del self._ways[holder]
        return True

    def discard_way(self, way: Hashable) -> None:
        """Remove everything that came by `way`."""
        for holder in list(self._ways):
            self.discard(holder, way)
