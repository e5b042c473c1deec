"""Addresses: how they are written, what they mean, and sockets that are bound to them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import re
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bspump import ConnectionLostError

from ._failures import reason_of

if TYPE_CHECKING:
    from bspump._options import Options

_LARGEST_PORT = 65535
_ANY = "*"
_HINT = "such as '127.0.0.1 8888', 'localhost:8888', '[::1]:8888', '*:8888', '8888' or '/run/pump.sock'"
# Addresses of a name, or of any host, that a machine without IPv6 (or IPv4) does not have
_MISSING_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

SocketAddress = tuple[str, int] | tuple[str, int, int, int] | str | bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, or the path of a UNIX socket."""

    host: str = ""
    """``*`` for every address of this machine, empty for the loopback addresses."""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"{self.host or 'localhost'} port {self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """What the functions of the socket module take."""

    family: socket.AddressFamily
    sockaddr: SocketAddress

    def __str__(self) -> str:
        return name_of(self.sockaddr)


def name_of(sockaddr: object) -> str:
    """Return the address of a socket as it is named in messages."""
    if isinstance(sockaddr, tuple):
        return f"{sockaddr[0]} port {sockaddr[1]}"
    if isinstance(sockaddr, bytes):
        return "@" + sockaddr[1:].decode(errors="replace")
    return str(sockaddr) or "a UNIX socket without a name"


def read_addresses(options: Options, key: str, text: str, *, is_destination: bool = False) -> list[Address]:
    """Return the addresses of an option, one in each line."""
    addresses = []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        try:
            address = parse_address(line)
        except ValueError as error:
            options.refuse(key, str(error))
            continue
        if is_destination and address.host == _ANY:
            options.refuse(key, "says '*', which is no destination; expected a host")
        addresses.append(address)
    if not lines:
        options.refuse(key, f"has no address; expected one, or several lines, {_HINT}")
    return addresses


def parse_address(text: str) -> Address:
    """Parse one address.

    Raises:
        ValueError: it is none; the message completes "<value> ...".
    """
    if "/" in text or text.startswith("@"):
        return Address(path=text)
    if text.isdecimal():
        return Address(port=_port(text))
    parts = re.fullmatch(r"(\S+)\s+(\S+)", text) or re.fullmatch(r"\[([^\]\s]+)\]:(\S+)", text)
    if parts is None:
        parts = re.fullmatch(r"([^\s:]*):([^\s:]*)", text)
    if parts is None and text.count(":") > 1:
        raise ValueError(f"is ambiguous: write IPv6 addresses as '::1 8888' or '[::1]:8888'; {text!r} is neither")
    if parts is None:
        raise ValueError(f"is no address: expected one {_HINT}, not {text!r}")
    return Address(host=parts[1].strip("[]"), port=_port(parts[2]))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _LARGEST_PORT:
        raise ValueError(f"has the port {text!r}, which is no number from 0 to {_LARGEST_PORT}")
    return int(text)


async def resolve(address: Address, kind: socket.SocketKind, *, is_passive: bool = False) -> list[Endpoint]:
    """Return the endpoints of an address, in the order in which they are to be tried.

    Raises:
        socket.gaierror: its name cannot be resolved.
    """
    if address.path:
        path = b"\0" + address.path[1:].encode() if address.path.startswith("@") else address.path
        return [Endpoint(socket.AF_UNIX, path)]
    port = address.port
    if address.host == _ANY:
        return [Endpoint(socket.AF_INET, ("0.0.0.0", port)), Endpoint(socket.AF_INET6, ("::", port, 0, 0))]
    if not address.host:
        return [Endpoint(socket.AF_INET, ("127.0.0.1", port)), Endpoint(socket.AF_INET6, ("::1", port, 0, 0))]
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, port, type=kind, flags=socket.AI_PASSIVE if is_passive else 0
    )
    return list(
        dict.fromkeys(Endpoint(family, (str(sockaddr[0]), *sockaddr[1:])) for family, _, _, _, sockaddr in found)
    )


class BoundSocket:
    """A socket that is bound to an address; closing it removes the file of a UNIX socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.name: SocketAddress = sock.getsockname()
        self._inode = _inode(self.name) if sock.family == socket.AF_UNIX else None

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
        if self._inode is not None and isinstance(self.name, str) and _inode(self.name) == self._inode:
            with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
                Path(self.name).unlink()


def _inode(path: object) -> int | None:
    try:
        return Path(path).lstat().st_ino if isinstance(path, str) and path else None
    except OSError:
        return None


async def bind_all(
    component: object, addresses: Sequence[Address], kind: socket.SocketKind, *, reuse_port: bool = False
) -> list[BoundSocket]:
    """Return a socket for each endpoint of the addresses.

    Raises:
        ConnectionLostError: one of them cannot be had; then none is.
    """
    bound: list[BoundSocket] = []
    try:
        for address in addresses:
            bound.extend(await _bind_one(component, address, kind, reuse_port=reuse_port))
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


async def _bind_one(
    component: object, address: Address, kind: socket.SocketKind, *, reuse_port: bool
) -> Iterator[BoundSocket]:
    bound: list[BoundSocket] = []
    try:
        endpoints = await resolve(address, kind, is_passive=True)
    except (OSError, UnicodeError) as error:
        raise ConnectionLostError(f"{component!r} cannot listen on {address}: {reason_of(error)}") from None
    missing: OSError | None = None
    for endpoint in endpoints:
        try:
            bound.append(_bind(endpoint, kind, reuse_port=reuse_port))
        except OSError as error:
            if error.errno in _MISSING_FAMILY and len(endpoints) > 1:
                missing = error
                continue
            for one in bound:
                one.close()
            hint = _hint(error, address)
            raise ConnectionLostError(f"{component!r} cannot listen on {endpoint}: {reason_of(error)}{hint}") from None
    if not bound and missing is not None:
        raise ConnectionLostError(f"{component!r} cannot listen on {address}: {reason_of(missing)}") from None
    return iter(bound)


def _hint(error: OSError, address: Address) -> str:
    if error.errno == errno.EACCES and not address.path and 0 < address.port < 1024:
        return " (ports below 1024 need a privilege)"
    return ""


def _bind(endpoint: Endpoint, kind: socket.SocketKind, *, reuse_port: bool) -> BoundSocket:
    sock = socket.socket(endpoint.family, kind)
    try:
        sock.setblocking(False)
        if endpoint.family == socket.AF_UNIX:
            _remove_left_behind(endpoint.sockaddr, kind)
        elif kind == socket.SOCK_STREAM and os.name == "posix":
            # Not for datagrams: there it would let a second program take them away.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port and endpoint.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(endpoint.sockaddr)
        return BoundSocket(sock)
    except BaseException:
        sock.close()
        raise


def _remove_left_behind(path: SocketAddress, kind: socket.SocketKind) -> None:
    """Remove a UNIX socket that a program left behind which was killed. One that somebody listens on stays."""
    if not isinstance(path, str):
        return
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except BlockingIOError:
            return  # somebody listens, and is busy
