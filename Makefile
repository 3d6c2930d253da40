# Two commands: `make run` walks the whole platform on this machine, `make test` runs its tests.
PYTHON := $(shell command -v python3.11 2>/dev/null)
VENV   := .venv
BIN    := $(VENV)/bin
SINET  := $(BIN)/python -m sinet_pipelines.cli

# DATA as it was given, whatever characters are in it: the shell of a recipe takes it from its environment
export SINET_MAKE_DATA := $(value DATA)

# The scripts in .venv/bin and the installed package name this folder: where it was moved, they are installed again.
ifneq ($(wildcard $(VENV)/.walk),)
ifneq ($(shell cat $(VENV)/.walk),$(shell pwd))
$(shell rm -f $(VENV)/.walk $(VENV)/.test $(VENV)/.bench)
endif
endif

.PHONY: run test test-all soak ui stop lint format bench clean help

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(VENV)/.walk ## the whole walk on this machine; DATA=<folder> for real data in C-MAPSS format
	@$(SINET) run $(if $(SINET_MAKE_DATA),--data "$$SINET_MAKE_DATA")

ui: $(VENV)/.walk ## Dagster UI, daemon and MLflow UI on the current home
	@$(SINET) ui

stop: $(VENV)/.walk ## end what run and ui started
	@$(SINET) stop

test: $(VENV)/.test ## the test suite but what is marked slow
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

test-all: $(VENV)/.test ## the whole test suite
	$(BIN)/python -m pytest

soak: $(VENV)/.test ## simulated runs on clusters under faults; SEEDS=<how many>, 500 by default
	@$(BIN)/python -W ignore -m tests.clusters.soak

lint: $(VENV)/.test ## style, types and the one-way arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## each promise of speed as a ratio beside its peer
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean: ## the environment and every home of this checkout
	rm -rf $(VENV) .sinet .pytest_cache .mypy_cache .ruff_cache

# torch comes first and by pip: its CPU build is a quarter of the one another resolver would choose.
# Bytecode is compiled once here; every later import is 1.6 to 3.2 times cheaper for it.
INSTALL = PYTHONDONTWRITEBYTECODE= $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "python3.11 was not found on PATH: install Python 3.11 (with venv), then run make again" >&2; exit 2; }
	@echo "installing the walk: about 2.7 GB on disk, once (a minute or two)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv

$(VENV)/.walk: pyproject.toml constraints.txt | $(BIN)/uv
	@$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(INSTALL) -e ".[walk]"
	@pwd > $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.walk
	@$(INSTALL) -e ".[test]"
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.test
	@$(INSTALL) -e ".[bench]"
	@touch $@
