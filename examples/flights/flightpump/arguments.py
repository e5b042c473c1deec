"""The command line of the example, beside the options that every BSPump application has."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from . import dataset
from .files import open_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the example to the parser of an application."""
    parser.set_defaults(config=str(dataset.FOLDER / "flights.conf"))
    group = parser.add_argument_group("flights")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--full", action="store_true", help="take all of 2013, not only January; once, this downloads 9 MB"
    )
    which.add_argument("--input", metavar="FILE", type=_flights, default=dataset.JANUARY, help="take another file")
    group.add_argument("--out", metavar="DIR", type=_folder, default=dataset.FOLDER / "out", help="where to write to")
    group.add_argument("--fresh", action="store_true", help="start from the beginning, also after an interruption")


def _flights(text: str) -> Path:
    path = Path(text).resolve()
    # The source takes a list of paths.
    if os.pathsep in str(path):
        raise argparse.ArgumentTypeError(f"{text!r} has a {os.pathsep!r} in its name, which stands between two paths")
    try:
        with open_bytes(path) as stream:
            first = stream.readline().decode("utf-8", "replace").strip()
    except (OSError, EOFError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if first != dataset.HEADER:
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with the names of the columns: {dataset.HEADER}")
    return path


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path
