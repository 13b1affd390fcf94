# The project's verbs; `make help` lists them. Each sets up what it needs and repeats nothing that is up to date.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
MODEL := build/town-model
MODEL_PEOPLE ?= 700
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The public data sets stand beside the checkout unless told otherwise.
HEARTHWATCH_DATA ?= $(abspath $(wildcard ../shared/data))
ifneq ($(HEARTHWATCH_DATA),)
export HEARTHWATCH_DATA
endif

.PHONY: help setup demo model test bench lint fmt cover sizes licences lock clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/.installed ## Build .venv from the lock (hash-checked); does nothing when it is up to date

# The lock is whole (tests/arch/test_lock.py), so nothing is resolved: pip looks at nothing newer.
.venv/.locked: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"make setup: {sys.executable} is Python {sys.version.split()[0]}: expected 3.11 or newer; run make PYTHON=python3.11 setup" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --no-deps --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

demo: setup $(MODEL)/manifest.json ## Run a synthetic day through the whole chain and show what happened
	@$(BIN)/hearthwatch demo --model $(MODEL)

model: setup $(MODEL)/manifest.json ## Train the demo's first model on the synthetic town (docs/town.md)

# A build product: made again when the town, the features or the tool have changed.
$(MODEL)/manifest.json: packs/cn-town/model.yaml examples/model/town/features.yaml \
		$(wildcard services/allinone/town/*.py services/allinone/town/stories/*.py services/risk/training/*.py) | setup
	@rm -rf $(MODEL)
	@$(BIN)/hearthwatch town table --people $(MODEL_PEOPLE) --to $(MODEL).csv
	@$(BIN)/hearthwatch model train --plain --data $(MODEL).csv --spec examples/model/town/features.yaml --out $(MODEL) > $(MODEL).txt
	@grep -E '^(CAUTION|validation|class 1|model)' $(MODEL).txt

test: setup lint ## Lint, then run every test; pytest's line comes last
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

bench: setup ## Measure against the bars; writes build/bench.json
	@$(BIN)/hearthwatch bench

lint: setup ## Ruff, format, mypy --strict and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

fmt: setup ## Format, and fix what ruff can fix safely
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

cover: setup ## Run the tests with branch coverage: 90 % in all, 100 % where a life depends on it
	@$(BIN)/pytest -n $(WORKERS) --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --fail-under 90
	@$(BIN)/coverage report --fail-under 100 --include 'services/alerts/domain/*,services/kernel/bus/*'

sizes: setup ## List functions, classes and modules that are large enough to ask why
	@$(BIN)/python -m tests.arch.sizes

licences: setup ## Write docs/licences.md from what is installed
	@$(BIN)/python requirements/licences.py

# Names no index, so that whoever installs chooses one. UPGRADE=1 takes the newest that are a week old.
lock: setup ## Write requirements/*.txt from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) --all-extras --group build --group dev -o requirements/dev.txt
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) -c requirements/dev.txt -o requirements/base.txt
	@$(BIN)/uv pip compile pyproject.toml $(IMAGE_FLAGS) -o requirements/kafka-postgres.txt
	@$(BIN)/uv pip compile pyproject.toml $(IMAGE_FLAGS) --extra ml -o requirements/kafka-postgres-ml.txt
LOCK_FLAGS = --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-header --no-annotate $(if $(UPGRADE),--upgrade)
# What deploy/Dockerfile installs, and what builds the package in it. Not held by `-c requirements/dev.txt`: with it uv
# splits off an interpreter that does not exist and finds no psycopg for it. tests/ops/test_compose.py compares the pins.
IMAGE_FLAGS = $(LOCK_FLAGS) --group build --extra kafka --extra postgres

clean: ## Remove what can be made again; .venv and data stay
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	@find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
