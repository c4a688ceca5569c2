# `make help` lists every target.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
HOST ?= 127.0.0.1
PORT ?= 3000
ARGS ?=
export RECSYS_TEST_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data),)

.DEFAULT_GOAL := help
PARALLEL := -n logical --dist loadfile --no-loadscope-reorder
.PHONY: help install demo ui serve test test-quick check bench-mf bench-stl soak clean

help: ## Print every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say"; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) (1 to 3 minutes, once; a line per package) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --require-hashes -r requirements.lock | awk '/^Collecting/ { printf "  %d of about '"$$(grep -cE '^[a-zA-Z0-9].*==' requirements.lock)"' packages: %s\n", ++n, $$2; fflush() } /^Installing/ { print "  unpacking them ..."; fflush() }'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.env:
	@(umask 077 && $(BIN)/python -m recsys_pipeline.first_settings > $@.new) && mv $@.new $@

install: $(STAMP) .env ## Create .venv with the pinned dependencies, and .env with first settings

demo: install ## Run batch_daily for the last complete day and print what came out
	@$(BIN)/recsys demo

ui: install ## Start the Dagster UI on 127.0.0.1:3000, and serve the reports beside it
	@exec $(BIN)/recsys ui --host $(HOST) --port $(PORT) $(ARGS)

serve: install ## Answer requests for lists at 127.0.0.1:8000
	@exec $(BIN)/recsys serve $(ARGS)

test: $(STAMP) ## Run the tests, a process per core
	@$(BIN)/pytest $(PARALLEL)

test-quick: $(STAMP) ## Run the tests of the core alone; 4 minutes on two cores
	@$(BIN)/pytest $(PARALLEL) recsys_pipeline_tests/core

check: $(STAMP) ## ruff, pyright, import-linter and the definitions check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@DAGSTER_HOME=$(CURDIR) RECSYS_HOME=$$(mktemp -d) RECSYS_SIZE=tiny $(BIN)/dg check defs

bench-mf: $(STAMP) ## Time matrix factorisation beside its peers (.venv/bin/pip install -e .[peers]); 15 minutes
	@$(BIN)/python -m recsys_pipeline_tests.benchmarks.bench_mf --out data/bench-mf.json

bench-stl: $(STAMP) ## Time training of shop the look beside the book's code; 3 minutes
	@$(BIN)/python -m recsys_pipeline_tests.benchmarks.bench_stl --out data/bench-stl.json

soak: $(STAMP) ## Two simulated weeks, day and hour, with faults on the way; 15 minutes
	@$(BIN)/python -m recsys_pipeline_tests.soak --out data/soak.json

clean: ## Delete .venv and caches; data/ is yours and stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
