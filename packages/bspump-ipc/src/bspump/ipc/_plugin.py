"""What bspump-ipc adds to BSPump."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SINK,
        "DatagramSink",
        "bspump.ipc.datagram:DatagramSink",
        "Sends each event, ``bytes`` or ``str``, as a datagram, over UDP or to a UNIX socket.",
    ),
    Component(
        Kind.SOURCE,
        "DatagramSource",
        "bspump.ipc.datagram:DatagramSource",
        "Receives datagrams, over UDP or a UNIX socket. An event is the content of one, as bytes.",
    ),
    Component(
        Kind.SINK,
        "StreamClientSink",
        "bspump.ipc.stream_client_sink:StreamClientSink",
        "Connects to a TCP or UNIX stream socket, with TLS if wanted, and sends its events, ``bytes`` or ``str``.",
    ),
    Component(
        Kind.SOURCE,
        "StreamServerSource",
        "bspump.ipc.stream_server_source:StreamServerSource",
        "Listens on TCP or UNIX stream sockets, with TLS if a certificate is given, and reads events from its clients.",
    ),
    Component(
        Kind.PROCESSOR,
        "SyslogParser",
        "bspump.ipc.syslog:SyslogParser",
        "Parses a syslog message, ``bytes`` or ``str``, into a dictionary.",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of `bspump.ipc`."""
    return COMPONENTS
