"""Options of TLS, and the contexts that come of them."""

from __future__ import annotations

import ssl
from pathlib import Path

from bspump import ConfigurationError, option
from bspump._component import Component

_VERIFY_MODES = {
    "CERT_NONE": ssl.CERT_NONE,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL,
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
}


class TLSOptions(Component):
    """The options of TLS that servers and clients have in common."""

    cert = option.text(
        help="A file in PEM format: the certificate to show, and those between it and the authority's, if any."
    )
    key = option.text(help="A file in PEM format: the key of the certificate, if it is not in the same file.")
    key_password = option.secret(help="The password of the key.")
    cafile = option.text(help="A file in PEM format: the certificates of the authorities to trust.")
    capath = option.text(help="A folder with such certificates, under the names that OpenSSL gives them.")
    cadata = option.text(help="Such certificates themselves.")
    verify_mode = option.text(
        help="``CERT_NONE``, ``CERT_OPTIONAL`` or ``CERT_REQUIRED``: whether the other side has to show a certificate "
        "that can be trusted, if that is not to follow from the other options. With ``CERT_NONE`` anybody may be there."
    )
    ciphers = option.text(help="The ciphers of TLS 1.2, as OpenSSL writes them.")

    def _server_context(self) -> ssl.SSLContext | None:
        """Return the context of a server, or None if it has no certificate and so does without TLS.

        Raises:
            ConfigurationError: an option of TLS cannot be used.
        """
        problems = _Problems(self)
        if not self.cert:
            problems.refuse_all("needs the server's certificate in the option cert")
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_RENEGOTIATION
        if self._has_authorities():
            context.verify_mode = ssl.CERT_REQUIRED
        _configure(context, self, problems)
        return context

    def _client_context(self, *, is_enabled: bool, check_hostname: bool) -> ssl.SSLContext:
        """Return the context of a client.

        Raises:
            ConfigurationError: an option of TLS cannot be used.
        """
        problems = _Problems(self)
        if not is_enabled:
            problems.refuse_all("is of no use without tls = yes")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.check_hostname = check_hostname and self.verify_mode.upper() != "CERT_NONE"
        if is_enabled and not self._has_authorities():
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        _configure(context, self, problems)
        return context

    def _has_authorities(self) -> bool:
        return bool(self.cafile or self.capath or self.cadata)


class _Problems:
    """Collects what is wrong with options of TLS, in sentences."""

    def __init__(self, component: TLSOptions) -> None:
        self._component = component
        self._found: list[str] = []

    def add(self, key: str, what: str) -> None:
        is_secret = option.own_options(TLSOptions)[key].secret
        value = "***" if is_secret else self._component.Config[key]
        self._found.append(f"[{self._component.section}] {key}: {value!r} {what}")

    def refuse_all(self, what: str) -> None:
        for key in option.own_options(TLSOptions):
            if self._component.Config[key]:
                self.add(key, what)
        self.raise_them()

    def raise_them(self) -> None:
        if self._found:
            raise ConfigurationError(*self._found)


def _configure(context: ssl.SSLContext, tls: TLSOptions, problems: _Problems) -> None:
    mode = tls.verify_mode.upper()
    if mode in _VERIFY_MODES:
        context.verify_mode = _VERIFY_MODES[mode]
    elif mode:
        problems.add("verify_mode", f"is none of {', '.join(_VERIFY_MODES)}")
    _load_certificate(context, tls, problems)
    _load_authorities(context, tls, problems)
    if tls.ciphers:
        try:
            context.set_ciphers(tls.ciphers)
        except ssl.SSLError:
            problems.add("ciphers", "names no cipher that OpenSSL knows")
    problems.raise_them()


def _load_certificate(context: ssl.SSLContext, tls: TLSOptions, problems: _Problems) -> None:
    if not tls.cert:
        if tls.key:
            problems.add("key", "is of no use without a certificate in the option cert")
        return
    for key, path in (("cert", tls.cert), ("key", tls.key)):
        if path:
            try:
                Path(path).read_bytes()
            except OSError as error:
                problems.add(key, f"cannot be read: {error.strerror}")
    try:
        # Without a function OpenSSL would ask on the terminal.
        context.load_cert_chain(tls.cert, tls.key or None, password=lambda: tls.key_password)
    except ssl.SSLError as error:
        problems.add("cert", f"and its key cannot be used: {_tls_reason(error)}")
    except OSError:
        pass  # said above


def _load_authorities(context: ssl.SSLContext, tls: TLSOptions, problems: _Problems) -> None:
    for key, value in (("cafile", tls.cafile), ("capath", tls.capath), ("cadata", tls.cadata)):
        if not value:
            continue
        try:
            if key == "capath" and not Path(value).is_dir():
                problems.add(key, "is no folder")
            context.load_verify_locations(**{key: value})
        except ssl.SSLError as error:
            problems.add(key, f"has no certificate that can be used: {_tls_reason(error)}")
        except OSError as error:
            problems.add(key, f"cannot be read: {error.strerror}")


def _tls_reason(error: ssl.SSLError) -> str:
    return (
        (error.reason or "the file is not in PEM format, or the password of its key is wrong").replace("_", " ").lower()
    )
