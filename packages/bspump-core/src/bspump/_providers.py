"""Finding the provider of a lookup by the scheme of its URL, among the plugins that are installed."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from ._urls import without_credentials
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

    scheme = urllib.parse.urlsplit(url).scheme
    registry = get_registry()
    try:
        provider: type[LookupProviderABC] = registry.find_class(Kind.LOOKUP_PROVIDER, scheme)
    except PluginError as error:
        known = [component.name for component, _ in registry.components(Kind.LOOKUP_PROVIDER)]
        if scheme in known or "pip install" in str(error):
            raise PluginError(f"source_url: {without_credentials(url)!r}: {error}") from error.__cause__
        schemes = ", ".join(f"{name}://" for name in known if name)
        raise ConfigurationError(
            f"source_url: {without_credentials(url)!r} is neither a path nor one of {schemes or 'the known schemes'}"
        ) from None
    return provider
