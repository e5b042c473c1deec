"""Finding the provider of a lookup by the scheme of its URL, among the plugins that are installed."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from ._urls import shown_url
from .errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from .abc.lookupprovider import LookupProviderABC


def find_provider(url: str) -> type[LookupProviderABC]:
    """Return the provider class for a URL; a path has the scheme "".

    Raises:
        ConfigurationError: nobody provides that scheme.
        PluginError: the distribution that does is not installed, or cannot be used.
    """
    from .plugins import Kind, get_registry

    try:
        scheme = urllib.parse.urlsplit(url).scheme
    except ValueError as error:
        raise ConfigurationError(f"{shown_url(url)!r} is no URL ({error})") from None
    registry = get_registry()
    try:
        provider: type[LookupProviderABC] = registry.find_class(Kind.LOOKUP_PROVIDER, scheme)
    except PluginError as error:
        known = [component.name for component, _ in registry.components(Kind.LOOKUP_PROVIDER)]
        if scheme in known or "pip install" in str(error):
            raise PluginError(f"{shown_url(url)!r}: {error}") from error.__cause__
        schemes = ", ".join(f"{name}://" for name in known if name)
        raise ConfigurationError(
            f"{shown_url(url)!r} is neither a path nor one of {schemes or 'the known schemes'}"
        ) from None
    return provider
