"""What goes wrong with sockets, in words."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Callable

_REASONS = {
    errno.EADDRINUSE: "the address is in use already",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
    errno.EAFNOSUPPORT: "this machine does not support addresses of that kind",
    errno.ECONNREFUSED: "the connection was refused, since nobody listens there",
    errno.ECONNRESET: "the other side broke the connection off",
    errno.EPIPE: "the other side broke the connection off",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ETIMEDOUT: "the other side does not answer",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such file or folder",
    errno.EPROTOTYPE: "there is a socket of another kind",
    errno.EMFILE: "this process has too many files and sockets open (see ulimit -n)",
    errno.ENFILE: "this machine has too many files and sockets open",
}

# What the other side says about our certificate, in the words of OpenSSL
_ALERTS_ABOUT_US = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "CERTIFICATE_EXPIRED", "ACCESS_DENIED")


def reason_of(error: BaseException) -> str:
    """Return why something failed, as the end of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _reason_of_tls(error)
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "the other side does not answer in time"
    if isinstance(error, OSError) and error.errno is not None:
        return _REASONS.get(error.errno) or str(error.strerror or error)
    return str(error) or type(error).__name__


def _reason_of_tls(error: ssl.SSLError) -> str:
    name = error.reason or ""
    if name.endswith(_ALERTS_ABOUT_US):
        return f"the other side does not accept our certificate, or misses one (TLS: {_in_plain_words(name)})"
    if name == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it shows no certificate, which is required here"
    if name in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "the other side does not speak TLS"
    return f"TLS failed: {_in_plain_words(name) or error}"


def _in_plain_words(name: str) -> str:
    return name.replace("_", " ").lower()


class SparseLog:
    """Reports what happens again and again: the first time, the second, the fourth, the eighth and so on.

    Args:
        report: takes a level and a message, as ``pipeline.L.report`` does.
    """

    def __init__(self, report: Callable[[int, str], None]) -> None:
        self._report = report
        self.counts: dict[str, int] = {}
        """How often each kind of thing has happened."""

    def say(self, kind: str, message: str, level: int = logging.WARNING) -> bool:
        """Count something of a kind, and report it if it is its turn. Returns whether it was."""
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        is_its_turn = count & (count - 1) == 0
        if is_its_turn:
            self._report(level, message if count == 1 else f"{message} (number {count} of its kind)")
        return is_its_turn

    def forget(self, kind: str) -> None:
        """Begin anew with a kind of thing."""
        self.counts.pop(kind, None)
