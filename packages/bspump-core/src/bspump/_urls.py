"""URLs that people get to see."""

from __future__ import annotations

import urllib.parse


def shown_url(url: str) -> str:
    """Return a URL without user name, password, fragment and the values of its query: each may be a secret."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2].partition("?")[0]
    if not parts.netloc and not parts.scheme:
        return url  # a path, in which a question mark is a character like any other
    query = "&".join(_shown_parameter(parameter) for parameter in parts.query.split("&"))
    # Without its slashes, user:password@host/path has a scheme and a path.
    path = parts.path if parts.path.startswith("/") else parts.path.rpartition("@")[2]
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=path, query=query, fragment="")
    return urllib.parse.urlunsplit(shown)


def _shown_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    # Without a name, the whole of it may be the secret.
    return f"{name}=…" if equals else "…" if name else ""


def hide_secrets(text: str, url: str) -> str:
    """Return a text in which a URL, or the credentials of it, may be quoted, without its secrets."""
    text = text.replace(url, shown_url(url))
    try:
        credentials = urllib.parse.urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return text
    return text.replace(f"{credentials}@", "") if credentials else text
