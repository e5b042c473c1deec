"""A year of New York's flights through a few pipelines: what ``make demo`` runs."""

import sys

try:
    from flightpump.application import main
except ModuleNotFoundError as error:
    sys.exit(f"error: this example needs a package: pip install {error.name} bspump-core bspump-file")

if __name__ == "__main__":
    sys.exit(main())
