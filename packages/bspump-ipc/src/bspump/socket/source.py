"""Sources that are configured with a host and a port."""

from __future__ import annotations

import socket as sockets
from typing import Any

from bspump import Context, option
from bspump._component import Component
from bspump.ipc.datagram import DatagramSource
from bspump.ipc.stream_server_source import StreamServerSource


class HostAndPort(Component):
    """The options of sources that are configured with a host and a port."""

    host = option.text("127.0.0.1", help="The address, or a name of it; ``*`` for every address of this machine.")
    port = option.integer(8888, minimum=0, help="The port; 0 for any free one.")
    address: str

    def _address_text(self) -> str:
        """Return the option ``address`` if there is one, otherwise what host and port make."""
        return self.address if self.address.strip() else f"{self.host.strip() or '127.0.0.1'} {self.port}"


class TCPSource(HostAndPort, StreamServerSource):
    """Listens on a TCP port and makes an event of each line, as `StreamServerSource` does, whose options it has.

    Events are bytes, unless ``decode`` names an encoding. The context has the key ``peer``, the address of the other
    side, besides those of `StreamServerSource`.

    Further options: those of `HostAndPort` (host, port). If there is an ``address``, it takes the place of the two, and
    may have several lines.
    """

    ConfigDefaults = {"address": "", "decode": "bytes"}

    def _context_of(self, client: sockets.socket) -> Context:
        context = super()._context_of(client)
        context["peer"] = context["stream_peer"]
        return context


class TCPStreamSource(TCPSource):
    """Another name of `TCPSource`, with its options and those of `StreamServerSource`."""


class UDPSource(HostAndPort, DatagramSource):
    """Receives UDP datagrams, as `DatagramSource` does, whose options it has.

    The context has the key ``peer``, the address of the other side, besides that of `DatagramSource`.

    Further options: those of `HostAndPort` (host, port). If there is an ``address``, it takes the place of the two, and
    may have several lines.
    """

    ConfigDefaults = {"address": ""}

    def _context_of(self, peer: Any) -> Context:
        return {**super()._context_of(peer), "peer": peer}
