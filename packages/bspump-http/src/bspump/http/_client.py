"""What all that makes HTTP requests has in common: the URL, headers, authentication, TLS and time limits."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp
import yarl

from bspump import option
from bspump._component import Component
from bspump._urls import shown_url

from ._failures import RequestFailedError, reason_of

if TYPE_CHECKING:
    from bspump._options import Options

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


class HTTPClient(Component):
    """The options of all that makes HTTP requests.

    Attributes:
        URL: the URL, without credentials.
        Headers: the headers of each request; they contain the authentication.
        SSL: what aiohttp takes as ``ssl``; None to go by the options.
    """

    URL: str
    Headers = option.mapping(key="headers", help="Further headers, one on each line: ``Name: value``.")
    SSL: ssl.SSLContext | bool | None = None
    username = option.text(help="The user name for basic authentication.")
    password = option.secret(help="The password for basic authentication.")
    bearer_token = option.secret(help="The token for authentication by a token.")
    cafile = option.text(help="A file in PEM format: the certificates to trust, instead of the system's.")
    cert = option.text(help="A file in PEM format: a client certificate.")
    key = option.text(help="A file in PEM format: the key of the client certificate, if it is not in the file itself.")
    key_password = option.secret(help="The password of the key.")
    verify_mode = option.choice(
        "CERT_REQUIRED", ("CERT_REQUIRED", "CERT_NONE"), help="``CERT_NONE`` trusts any server."
    )
    connect_timeout = option.seconds(10.0, help="How long to wait for a connection; 0 for no limit.")
    read_timeout = option.seconds(60.0, help="How long to wait for the next bytes of the answer; 0 for no limit.")

    _tls: ssl.SSLContext | bool

    def _prepare_requests(
        self, url: str, headers: Mapping[str, str] | None = None, schemes: tuple[str, ...] = ("http", "https")
    ) -> None:
        """Check the options, and set `URL` and `Headers`.

        Args:
            url: the URL as it is configured.
            headers: headers from Python, overriding the option ``headers``.
            schemes: what the URL may begin with.
        """
        with self.options() as options:
            full_url = self._checked_url(options, url, schemes)
            self.URL = str(full_url.with_user(None)) if full_url.user or full_url.password else str(full_url)
            self.Headers = {**self._checked_headers(options), **(headers or {})}
            if not any(name.lower() == "authorization" for name in self.Headers):
                self._authorize(options, full_url)
            self._tls = self._make_tls(options)

    def _new_session(self, total: float | None = None) -> aiohttp.ClientSession:
        """Return a new session; the headers are those of the requests, not of the session."""
        timeout = aiohttp.ClientTimeout(
            total=total, connect=self.connect_timeout or None, sock_read=self.read_timeout or None
        )
        connector = aiohttp.TCPConnector(ssl=self._tls if self.SSL is None else self.SSL)
        return aiohttp.ClientSession(connector=connector, timeout=timeout)

    def _checked_url(self, options: Options, text: str, schemes: tuple[str, ...]) -> yarl.URL:
        try:
            url = yarl.URL(text.strip())
            host = url.host
        except ValueError:
            url, host = yarl.URL(), None
        if url.scheme not in schemes or not host:
            # Not `options.refuse`, which would show the password that may be in it.
            expected = " or ".join(f"{scheme}://" for scheme in schemes)
            shown = shown_url(text) if "//" in text else shown_url(f"//{text}").removeprefix("//")
            options.problems.append(f"[{self.section}] url: {shown!r} is no URL that begins with {expected}")
            return yarl.URL(f"{schemes[0]}://localhost/")
        return url

    def _checked_headers(self, options: Options) -> dict[str, str]:
        for number, (name, content) in enumerate(self.Headers.items(), 1):
            if not _TOKEN.fullmatch(name) or "\n" in content or "\r" in content or not content:
                options.problems.append(
                    f"[{self.section}] headers: number {number} is not of the form 'Name: value', on a line of its own"
                )
                return {}
        return self.Headers

    def _authorize(self, options: Options, url: yarl.URL) -> None:
        if self.bearer_token and self.username:
            options.problems.append(
                f"[{self.section}] bearer_token: is set, and username too; expected one way of authentication"
            )
        if self.bearer_token:
            self.Headers["Authorization"] = f"Bearer {self.bearer_token}"
        elif self.username:
            self.Headers["Authorization"] = _basic(self.username, self.password)
        elif url.user or url.password:
            self.Headers["Authorization"] = _basic(url.user or "", url.password or "")

    def _make_tls(self, options: Options) -> ssl.SSLContext | bool:
        if self.verify_mode == "CERT_REQUIRED" and not self.cafile and not self.cert:
            return True
        context = ssl.create_default_context()
        if self.verify_mode == "CERT_NONE":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if self.cafile:
                context.load_verify_locations(self.cafile)
        except OSError as error:  # ssl.SSLError is one
            options.refuse("cafile", f"cannot be read as certificates in PEM format: {_reason(error)}")
        try:
            if self.cert:
                # Without a password, OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.cert, self.key or None, lambda: self.key_password)
        except OSError as error:
            options.refuse("cert", f"cannot be read with its key, both in PEM format: {_reason(error)}")
        return context


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _reason(error: OSError) -> str:
    return str(error.strerror or getattr(error, "reason", None) or error).replace("_", " ").lower()


class Statuses:
    """The statuses that the option ``response_code`` accepts: ``200``, ``200, 204``, ``200-299``."""

    def __init__(self, options: Options) -> None:
        key = "response_code"
        self._ranges: list[tuple[int, int]] = []
        self.text = " ".join(options.text(key).replace(",", " ").replace(";", " ").split())
        for word in self.text.split():
            match = _STATUS_RANGE.fullmatch(word)
            if match is None:
                options.refuse(key, "is no list of statuses (such as 200, 204, or 200-299)")
                return
            self._ranges.append((int(match[1]), int(match[2] or match[1])))
        if not self._ranges:
            options.refuse(key, "is empty; expected the statuses that are accepted (such as 200, 204, or 200-299)")

    def __contains__(self, status: int) -> bool:
        return any(first <= status <= last for first, last in self._ranges)


def request_failed(who: object, method: str, url: str, error: BaseException) -> RequestFailedError:
    """Return the error of a request that got no answer, or only a part of it."""
    if isinstance(error, RequestFailedError):
        return error
    return RequestFailedError(f"{who!r}: {method} {shown_url(url)} failed: {reason_of(error)}")
