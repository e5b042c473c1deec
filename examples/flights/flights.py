"""A year of New York's flights through a few pipelines: what ``make demo`` runs."""

import sys

from flightpump.application import main

if __name__ == "__main__":
    sys.exit(main())
