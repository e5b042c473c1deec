"""Private ports: of this checkout, below the range from which the system takes ports for outgoing connections."""

import socket
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from services._errors import ServiceError

FIRST, LAST = 20_000, 29_999


def is_free(port: int) -> bool:
    """Tell whether a server could listen on 127.0.0.1 with this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int, timeout: float = 1) -> bool:
    """Tell whether something on 127.0.0.1 accepts a connection to this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout).close()
    except OSError:
        return False
    return True


def choose(folder: Path, names: Iterable[str], kept: Mapping[str, int], taken: Iterable[int] = ()) -> dict[str, int]:
    """Return a free port for each name: the one that it had before, or else one that depends on the folder.

    Args:
        folder: where the server keeps its files; two checkouts get different ports.
        names: what the ports are for.
        kept: the ports that they had before.
        taken: ports that others have been given, whether they listen or not.

    Raises:
        ServiceError: there are not enough free ports.
    """
    chosen: dict[str, int] = {}
    used = set(taken)
    count = LAST - FIRST + 1
    start = zlib.crc32(str(folder).encode()) % count
    candidates = (FIRST + (start + step) % count for step in range(count))
    for name in names:
        before = kept.get(name)
        port = before if before is not None and is_free(before) else None
        while port is None:
            candidate = next(candidates, None)
            if candidate is None:
                raise ServiceError(f"There is no free port between {FIRST} and {LAST} for {name}.")
            if candidate not in used and is_free(candidate):
                port = candidate
        used.add(port)
        chosen[name] = port
    return chosen
