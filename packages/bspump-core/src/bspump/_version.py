"""The version of the distribution, as its metadata has it."""

from __future__ import annotations

import importlib.metadata

try:
    __version__ = importlib.metadata.version("bspump-core")
except importlib.metadata.PackageNotFoundError:  # a source tree that is on the path without being installed
    __version__ = "0.0.0"

__build__ = __version__
