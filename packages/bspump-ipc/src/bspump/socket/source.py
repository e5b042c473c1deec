"""Sources that are configured with a host and a port."""

from __future__ import annotations

from typing import Any

from bspump._options import Options
from bspump.ipc.datagram import DatagramSource
from bspump.ipc.stream_server_source import StreamServerSource

_HOST_AND_PORT: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 8888,
    "address": "",
}


def _address(options: Options) -> str:
    """Return the option ``address`` if there is one, otherwise what host and port make."""
    address = options.text("address")
    if address.strip():
        return address
    return f"{options.text('host').strip() or '127.0.0.1'} {options.integer('port', minimum=0)}"


class TCPSource(StreamServerSource):
    """Listens on a TCP port and makes an event of each line, as `StreamServerSource` does, whose options it has.

    Events are bytes, unless ``decode`` names an encoding.

    Options:
        host: the address, or a name of it; ``*`` for every address of this machine.
        port: the port.
        address: takes the place of the two, and may have several lines.
    """

    ConfigDefaults = {**_HOST_AND_PORT, "decode": "bytes"}

    def _address_text(self, options: Options) -> str:
        return _address(options)


class TCPStreamSource(TCPSource):
    """Another name of `TCPSource`, with its options and those of `StreamServerSource`."""


class UDPSource(DatagramSource):
    """Receives UDP datagrams, as `DatagramSource` does, whose options it has.

    Options:
        host: the address, or a name of it; ``*`` for every address of this machine.
        port: the port.
        address: takes the place of the two, and may have several lines.
    """

    ConfigDefaults = _HOST_AND_PORT

    def _address_text(self, options: Options) -> str:
        return _address(options)
