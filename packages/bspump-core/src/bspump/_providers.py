"""Finding the provider of a lookup by the scheme of its URL."""

from __future__ import annotations

import importlib
import urllib.parse
from typing import TYPE_CHECKING

from ._urls import without_credentials
from .errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from .abc.lookupprovider import LookupProviderABC

# scheme: module, class, distribution
_PROVIDERS = {
    "": ("bspump.file", "FileBatchLookupProvider", "bspump-file"),
    "file": ("bspump.file", "FileBatchLookupProvider", "bspump-file"),
    "http": ("bspump.http", "HTTPBatchLookupProvider", "bspump-http"),
    "https": ("bspump.http", "HTTPBatchLookupProvider", "bspump-http"),
}


def find_provider(url: str) -> type[LookupProviderABC]:
    """Return the provider class for a URL; a path has the scheme "".

    Raises:
        ConfigurationError: nobody provides that scheme.
        PluginError: the distribution that does is not installed.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    try:
        module_name, class_name, distribution = _PROVIDERS[scheme]
    except KeyError:
        known = ", ".join(f"{known}://" for known in _PROVIDERS if known)
        raise ConfigurationError(
            f"source_url: {without_credentials(url)!r} is neither a path nor one of {known}"
        ) from None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("bspump"):
            raise PluginError(
                f"source_url: {without_credentials(url)!r} needs a package: pip install {distribution}"
            ) from None
        raise
    provider: type[LookupProviderABC] = getattr(module, class_name)
    return provider
