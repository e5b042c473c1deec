"""What all that makes HTTP requests has in common: the URL, headers, authentication, TLS and time limits."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import yarl

from ._failures import RequestFailedError, reason_of, shown_url

if TYPE_CHECKING:
    from bspump._options import Options

CLIENT_DEFAULTS: dict[str, Any] = {
    "headers": "",
    "username": "",
    "password": "",
    "bearer_token": "",
    "cafile": "",
    "cert": "",
    "key": "",
    "key_password": "",
    "verify_mode": "CERT_REQUIRED",
    "connect_timeout": 10.0,
    "read_timeout": 60.0,
}

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


class HTTPClient:
    """How one component makes its requests.

    Args:
        options: the options of the component, being read.
        section: the name of its section, for messages.
        config: its configuration.
        headers: headers from Python, overriding the option ``headers``.
        url: the URL, instead of the option ``url``.
        schemes: what the URL may begin with.

    Attributes:
        url: the URL without credentials.
        headers: the headers of each request, with ``Authorization``.
        ssl: what aiohttp calls ssl: True, or a context.
    """

    def __init__(
        self,
        options: Options,
        section: str,
        config: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        url: str | None = None,
        schemes: tuple[str, ...] = ("http", "https"),
    ) -> None:
        self._section = section
        full_url = self._read_url(options, options.text("url") if url is None else url, schemes)
        self.url = str(full_url.with_user(None)) if full_url.user or full_url.password else str(full_url)
        self.headers: dict[str, str] = {**self._read_headers(options, config["headers"]), **(headers or {})}
        if not any(name.lower() == "authorization" for name in self.headers):
            self._authorize(options, full_url)
        self.ssl = self._read_tls(options)
        self.connect_timeout = options.seconds("connect_timeout")
        self.read_timeout = options.seconds("read_timeout")

    def session(
        self, ssl_override: ssl.SSLContext | bool | None = None, total: float | None = None
    ) -> aiohttp.ClientSession:
        """Return a new session; the headers are those of the requests, not of the session."""
        timeout = aiohttp.ClientTimeout(
            total=total, connect=self.connect_timeout or None, sock_read=self.read_timeout or None
        )
        connector = aiohttp.TCPConnector(ssl=self.ssl if ssl_override is None else ssl_override)
        return aiohttp.ClientSession(connector=connector, timeout=timeout)

    def _read_url(self, options: Options, text: str, schemes: tuple[str, ...]) -> yarl.URL:
        try:
            url = yarl.URL(text.strip())
            host = url.host
        except ValueError:
            url, host = yarl.URL(), None
        if url.scheme not in schemes or not host:
            # Not `options.refuse`, which would show the password that may be in it.
            expected = " or ".join(f"{scheme}://" for scheme in schemes)
            options.problems.append(f"[{self._section}] url: {shown_url(text)!r} is no URL that begins with {expected}")
            return yarl.URL(f"{schemes[0]}://localhost/")
        return url

    def _read_headers(self, options: Options, value: Any) -> dict[str, str]:
        if isinstance(value, Mapping):
            pairs = [(str(name), str(content)) for name, content in value.items()]
        else:
            lines = [line for line in map(str.strip, str(value).splitlines()) if line]
            pairs = [(name.strip(), content.strip()) for name, _, content in (line.partition(":") for line in lines)]
        for number, (name, content) in enumerate(pairs, 1):
            if not _TOKEN.fullmatch(name) or "\n" in content or "\r" in content or not content:
                options.problems.append(
                    f"[{self._section}] headers: number {number} is not of the form 'Name: value', on a line of its own"
                )
                return {}
        return dict(pairs)

    def _authorize(self, options: Options, url: yarl.URL) -> None:
        token, username = options.text("bearer_token"), options.text("username")
        if token and username:
            options.problems.append(
                f"[{self._section}] bearer_token: is set, and username too; expected one way of authentication"
            )
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        elif username:
            self.headers["Authorization"] = _basic(username, options.text("password"))
        elif url.user or url.password:
            self.headers["Authorization"] = _basic(url.user or "", url.password or "")

    def _read_tls(self, options: Options) -> ssl.SSLContext | bool:
        mode = options.choice("verify_mode", ("CERT_REQUIRED", "CERT_NONE"))
        cafile, cert, key = options.text("cafile"), options.text("cert"), options.text("key")
        if mode == "CERT_REQUIRED" and not cafile and not cert:
            return True
        context = ssl.create_default_context()
        if mode == "CERT_NONE":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if cafile:
                context.load_verify_locations(cafile)
        except OSError as error:  # ssl.SSLError is one
            options.refuse("cafile", f"cannot be read as certificates in PEM format: {_reason(error)}")
        try:
            if cert:
                password = options.text("key_password")
                # Without a password, OpenSSL would ask for one on the terminal.
                context.load_cert_chain(cert, key or None, lambda: password)
        except OSError as error:
            options.refuse("cert", f"cannot be read with its key, both in PEM format: {_reason(error)}")
        return context


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _reason(error: OSError) -> str:
    return str(error.strerror or getattr(error, "reason", None) or error).replace("_", " ").lower()


class Statuses:
    """The statuses that are accepted, as an option names them: ``200``, ``200, 204``, ``200-299``."""

    def __init__(self, options: Options, key: str = "response_code") -> None:
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


def request_failed(who: object, method: str, url: str | yarl.URL, error: BaseException) -> RequestFailedError:
    """Return the error of a request that got no answer, or only a part of it."""
    if isinstance(error, RequestFailedError):
        return error
    return RequestFailedError(f"{who!r}: {method} {shown_url(url)} failed: {reason_of(error)}")
