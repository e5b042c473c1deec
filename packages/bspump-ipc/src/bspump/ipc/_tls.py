"""Options of TLS, and the contexts that come of them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bspump import ConfigurationError

TLS_DEFAULTS: dict[str, Any] = {
    "cert": "",
    "key": "",
    "key_password": "",
    "cafile": "",
    "capath": "",
    "cadata": "",
    "verify_mode": "",
    "ciphers": "",
}

_VERIFY_MODES = {
    "CERT_NONE": ssl.CERT_NONE,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL,
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
}


def server_context(section: str, config: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Return the context of a server, or None if it has no certificate and so does without TLS.

    Raises:
        ConfigurationError: an option of TLS cannot be used.
    """
    problems = _Problems(section)
    if not config["cert"]:
        problems.refuse_all(config, "needs the server's certificate in the option cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if _has_authorities(config):
        context.verify_mode = ssl.CERT_REQUIRED
    _configure(context, config, problems)
    return context


def client_context(
    section: str, config: Mapping[str, Any], *, is_enabled: bool, check_hostname: bool
) -> ssl.SSLContext:
    """Return the context of a client.

    Raises:
        ConfigurationError: an option of TLS cannot be used.
    """
    problems = _Problems(section)
    if not is_enabled:
        problems.refuse_all(config, "is of no use without tls = yes")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.check_hostname = check_hostname and str(config["verify_mode"]).upper() != "CERT_NONE"
    if is_enabled and not _has_authorities(config):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _configure(context, config, problems)
    return context


def _has_authorities(config: Mapping[str, Any]) -> bool:
    return bool(config["cafile"] or config["capath"] or config["cadata"])


class _Problems:
    """Collects what is wrong, in sentences."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._found: list[str] = []

    def add(self, key: str, value: object, what: str) -> None:
        self._found.append(f"[{self._section}] {key}: {value!r} {what}")

    def refuse_all(self, config: Mapping[str, Any], what: str) -> None:
        for key in TLS_DEFAULTS:
            if config[key]:
                self.add(key, "***" if key == "key_password" else config[key], what)
        self.raise_them()

    def raise_them(self) -> None:
        if self._found:
            raise ConfigurationError(*self._found)


def _configure(context: ssl.SSLContext, config: Mapping[str, Any], problems: _Problems) -> None:
    mode = str(config["verify_mode"]).upper()
    if mode in _VERIFY_MODES:
        context.verify_mode = _VERIFY_MODES[mode]
    elif mode:
        problems.add("verify_mode", config["verify_mode"], f"is none of {', '.join(_VERIFY_MODES)}")
    _load_certificate(context, config, problems)
    _load_authorities(context, config, problems)
    if config["ciphers"]:
        try:
            context.set_ciphers(str(config["ciphers"]))
        except ssl.SSLError:
            problems.add("ciphers", config["ciphers"], "names no cipher that OpenSSL knows")
    problems.raise_them()


def _load_certificate(context: ssl.SSLContext, config: Mapping[str, Any], problems: _Problems) -> None:
    if not config["cert"]:
        if config["key"]:
            problems.add("key", config["key"], "is of no use without a certificate in the option cert")
        return
    for key in ("cert", "key"):
        if config[key]:
            try:
                Path(str(config[key])).read_bytes()
            except OSError as error:
                problems.add(key, config[key], f"cannot be read: {error.strerror}")
    password = str(config["key_password"])
    try:
        # Without a function OpenSSL would ask on the terminal.
        context.load_cert_chain(str(config["cert"]), str(config["key"]) or None, password=lambda: password)
    except ssl.SSLError as error:
        problems.add("cert", config["cert"], f"and its key cannot be used: {_tls_reason(error)}")
    except OSError:
        pass  # said above


def _load_authorities(context: ssl.SSLContext, config: Mapping[str, Any], problems: _Problems) -> None:
    for key in ("cafile", "capath", "cadata"):
        if not config[key]:
            continue
        try:
            if key == "capath" and not Path(str(config[key])).is_dir():
                problems.add(key, config[key], "is no folder")
            context.load_verify_locations(**{key: str(config[key])})
        except ssl.SSLError as error:
            problems.add(key, config[key], f"has no certificate that can be used: {_tls_reason(error)}")
        except OSError as error:
            problems.add(key, config[key], f"cannot be read: {error.strerror}")


def _tls_reason(error: ssl.SSLError) -> str:
    return (
        (error.reason or "the file is not in PEM format, or the password of its key is wrong").replace("_", " ").lower()
    )
