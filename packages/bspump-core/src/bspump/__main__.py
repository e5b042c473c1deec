"""``python -m bspump``: the command ``bspump``; without a subcommand, an application without pipelines."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the subcommand, or else the application, and exit with its code."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        from .cli import main as run_command

        run_command()
    from .application import BSPumpApplication

    sys.exit(BSPumpApplication().run())


if __name__ == "__main__":
    main()
