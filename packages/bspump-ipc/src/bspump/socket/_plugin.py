"""What bspump-ipc adds to BSPump under the names of `bspump.socket`."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SOURCE,
        "TCPSource",
        "bspump.socket.source:TCPSource",
        "Listens on a TCP port and makes an event of each line, as `StreamServerSource` does, whose options it has.",
    ),
    Component(
        Kind.SOURCE,
        "TCPStreamSource",
        "bspump.socket.source:TCPStreamSource",
        "Another name of `TCPSource`, with its options and those of `StreamServerSource`.",
    ),
    Component(
        Kind.SOURCE,
        "UDPSource",
        "bspump.socket.source:UDPSource",
        "Receives UDP datagrams, as `DatagramSource` does, whose options it has.",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of `bspump.socket`."""
    return COMPONENTS
