"""How a WebSocket client asks whether what it has sent is durable: by a ping, whose pong says yes.

RFC 6455 lets a ping carry up to 125 bytes, which the pong repeats. A server that knows nothing of this answers as soon
as it has read what came before, which is the most that one can learn from it.
"""

from __future__ import annotations

_PREFIX = b"bspump:"


def confirmation(number: int) -> bytes:
    """Return the data of a ping that asks for a confirmation."""
    return _PREFIX + str(number).encode("ascii")


def is_confirmation(data: bytes) -> bool:
    """Tell whether a ping asks for a confirmation."""
    return data.startswith(_PREFIX)
