"""Loading JSON from a file that may be compressed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any


def load_json_file(fname: str | Path) -> Any:
    """Return the content of a JSON file; ``.gz``, ``.bz2``, ``.xz`` and ``.lzma`` are decompressed on the way.

    Raises:
        OSError: the file cannot be read.
        ValueError: the content is no JSON.
    """
    path = Path(fname)
    if path.suffix == ".gz":
        data = gzip.decompress(path.read_bytes())
    elif path.suffix == ".bz2":
        data = bz2.decompress(path.read_bytes())
    elif path.suffix in (".xz", ".lzma"):
        data = lzma.decompress(path.read_bytes())
    else:
        data = path.read_bytes()
    return json.loads(data)
