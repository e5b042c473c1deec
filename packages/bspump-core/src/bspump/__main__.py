"""``python -m bspump`` and the command ``bspump``: an application without pipelines."""

from __future__ import annotations

import sys

from .application import BSPumpApplication


def main() -> None:
    """Run the application and exit with its code."""
    sys.exit(BSPumpApplication().run())


if __name__ == "__main__":
    main()
