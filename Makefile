# From a fresh clone this needs git, make and Python 3.11 or newer, and the network for the first set-up only.

PYTHON ?= python3
ARGS ?=

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
UV_VERSION := $(shell sed -n 's/^ *"uv==\([0-9.]*\)".*/\1/p' pyproject.toml)
UV := UV_PROJECT_ENVIRONMENT='$(VENV)' UV_PYTHON='$(BIN)/python' UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true '$(BIN)/uv'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help test bench demo services lint types clean distclean

help: ## Print this help
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done
	@echo 'ARGS="..." is handed on to the command; PYTHON=python3.12 chooses the interpreter of a new .venv.'

test: $(STAMP) ## Run all tests: unit first, then integration
	'$(BIN)/python' -m pytest $(ARGS)

bench: $(STAMP) ## Measure the speed
	'$(BIN)/python' -m benchmarks $(ARGS)

demo: $(STAMP) ## Run the flights example (ARGS="--full" for all its data)
	'$(BIN)/python' examples/flights/flights.py $(ARGS)

services: $(STAMP) ## Show, start or stop the servers of the tests (ARGS="start kafka")
	'$(BIN)/python' -m services $(ARGS)

lint: $(STAMP) ## Check style and formatting
	'$(BIN)/nox' -s lint -- $(ARGS)

types: $(STAMP) ## Check types
	'$(BIN)/nox' -s types -- $(ARGS)

clean: ## Remove what builds, checks and tests leave behind
	rm -rf build dist .nox .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* coverage.xml htmlcov packages/*/dist examples/flights/out
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## The same, stop the servers, and remove .venv and downloaded data
	[ ! -d services/.run ] || [ ! -x '$(BIN)/python' ] || '$(BIN)/python' -m services clean
	rm -rf '$(VENV)' examples/flights/.cache services/.run

$(STAMP): pyproject.toml uv.lock $(wildcard packages/*/pyproject.toml)
	@'$(BIN)/python' -c '' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "error: $(PYTHON) is missing or older than Python 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "error: $(PYTHON) has no working venv module; install it (on Debian: the package python3-venv)" >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear '$(VENV)'; \
	}
	@'$(BIN)/uv' --version 2>/dev/null | grep -q '^uv $(UV_VERSION)\( \|$$\)' || '$(BIN)/python' -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	$(UV) sync --all-packages --all-extras --frozen --quiet
	@touch '$@'

# An environment whose interpreter is gone is set up again.
ifneq ($(shell '$(BIN)/python' -c 'print(1)' 2>/dev/null),1)
.PHONY: $(STAMP)
endif
