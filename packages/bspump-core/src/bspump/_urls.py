"""URLs that people get to see."""

from __future__ import annotations

import urllib.parse


def without_credentials(url: str) -> str:
    """Return a URL without the user name and the password that it may have."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
