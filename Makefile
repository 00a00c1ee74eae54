# Everything here needs Python 3.11 or newer with venv and pip, and make. `make help` lists the commands.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
BIN := .venv/bin
HOME_FOLDER := $(or $(SYNCAPP_HOME),.syncapp)
INSTALLED := .venv/.installed

.PHONY: help up test check bench chaos test-coverage logs lock install

help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## install what is missing into .venv
	@:

# PYTHON names the interpreter; else the first of these that is new enough.
$(INSTALLED): requirements.lock pyproject.toml scripts/install.py
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec $$python scripts/install.py; \
		fi; \
	done; \
	echo "syncapp needs Python 3.11 or newer; name one: make $(or $(MAKECMDGOALS),up) PYTHON=/path/to/python" >&2; exit 1

up: $(INSTALLED) ## run everything here: PostgreSQL, Valkey, API, workers, beat, Flower, the demo
	@$(BIN)/syncapp up

# Two at a time, a file each: most of a test is waiting for processes.
test: $(INSTALLED) ## run every test, with a real PostgreSQL and Valkey
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: check-static ## the quick look before a commit: format, lint, layers, types, unit tests
	@$(BIN)/python -m pytest -q tests/unit tests/architecture -m "not slow"

.PHONY: check-static
check-static: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

test-coverage: $(INSTALLED) ## run every test and show which lines they reached
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage report

chaos: $(INSTALLED) ## the fault suite: kills, outages, floods; says what was lost
	@$(BIN)/python -m pytest -v -s tests/faults

bench: $(INSTALLED) ## the benchmarks, side by side with their baselines (ARGS="--quick", ARGS="--help")
	@$(MAKE) --no-print-directory .venv-bench/.installed || true
	@$(BIN)/python -m benchmarks $(ARGS)

# dlt has an environment of its own. Where it cannot be installed, the benchmark says so and runs without it.
.venv-bench/.installed: benchmarks/requirements.lock
	@echo "installing dlt into .venv-bench"
	@$(BIN)/python -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement benchmarks/requirements.lock
	@touch $@

# These ask the API of the running `make up`; or API_URL=https://… SYNCAPP_ADMIN_TOKEN=… make sync-status
ASK := $(or $(PYTHON),$(wildcard $(BIN)/python),python3) scripts/ask.py
PROPERTIES := /api/v1/admin/sync

.PHONY: sync-now sync-status sync-health sync-start sync-start-24h sync-stop sync-logs sync-settings

sync-now: ## sync the properties now
	@$(ASK) POST $(PROPERTIES)

sync-status: ## whether their sync runs by itself, and how the last run ended
	@$(ASK) GET $(PROPERTIES)/status

sync-health: ## how their sync is, and whether it is overdue
	@$(ASK) GET $(PROPERTIES)/health

sync-start: ## turn their schedule on: every 12 hours
	@$(ASK) POST "$(PROPERTIES)/start?interval=12h"

sync-start-24h: ## the same, every 24 hours
	@$(ASK) POST "$(PROPERTIES)/start?interval=24h"

sync-stop: ## turn it off; a run in flight stops
	@$(ASK) POST $(PROPERTIES)/stop

sync-logs: ## their latest runs
	@$(ASK) GET "$(PROPERTIES)/logs?limit=10&offset=0"

sync-settings: ## what can be changed while it runs
	@$(ASK) GET $(PROPERTIES)/settings

logs: ## follow what the processes of `make up` print
	@tail -n 200 -F "$(HOME_FOLDER)/syncapp.log"

lock: $(INSTALLED) ## choose the newest versions that fit pyproject.toml, with hashes
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --upgrade --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --constraints requirements.lock \
		--no-emit-index-url --no-header --quiet --output-file requirements.txt
