"""What went wrong with a request, in words that an operator can act on, and without anything secret."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import http
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp

from bspump import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Mapping

# However long a server asks to wait, it is asked again after this many seconds.
_LONGEST_RETRY_AFTER = 3600.0

NETWORK_ERRORS = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""What aiohttp raises when a request, or the reading of a response, does not succeed."""


class RequestFailedError(ConnectionLostError):
    """A request did not get the answer that it needs. The message is a sentence for the operator.

    Attributes:
        status: the status of the answer, if there was one.
        retry_after: how many seconds the server asks to wait before the next attempt.
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def shown_status(status: int) -> str:
    """Return a status with its standard phrase."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def reason_of(error: BaseException) -> str:
    """Return in a few words why a request failed."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        message = getattr(error.certificate_error, "verify_message", "") or "it is not valid for this host"
        return f"the server's certificate is not trusted: {message}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _reason_of_connector(error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return "the server's certificate has not the expected fingerprint"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was cut in the middle of the response"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "it redirects too many times"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it answered {shown_status(error.status)} instead of opening a WebSocket"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is no valid HTTP"
    if isinstance(error, aiohttp.InvalidURL) or type(error).__name__ == "NonHttpUrlClientError":  # since aiohttp 3.10
        return "it is no valid http or https URL"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return type(error).__name__


def _reason_of_connector(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, socket.gaierror):
        return f"the name '{error.host}' cannot be resolved"
    if isinstance(error.os_error, ssl.SSLError):
        return f"TLS cannot be established: {error.os_error.reason or error.os_error}".replace("_", " ").lower()
    if isinstance(error.os_error, ConnectionRefusedError):
        return "connection refused"
    return f"no connection: {error.os_error.strerror or error.os_error}".lower()


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds ``Retry-After`` asks to wait, given as seconds or as a date; 0 if it does not."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    seconds = (date - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
