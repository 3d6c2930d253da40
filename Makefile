# Two commands: `make run` runs all stages on this machine, `make test` runs its tests.
PYTHON := $(shell command -v python3.11 2>/dev/null)
VENV   := .venv
BIN    := $(VENV)/bin
SINET  := $(BIN)/python -m sinet_pipelines.cli

# DATA may contain any characters: the shell of a recipe reads it from its environment
export SINET_MAKE_DATA := $(value DATA)

# The scripts in .venv/bin and the installed package contain this folder's path: after a move they are installed again.
ifneq ($(wildcard $(VENV)/.walk),)
ifneq ($(shell cat $(VENV)/.walk),$(shell pwd))
$(shell rm -f $(VENV)/.walk $(VENV)/.test $(VENV)/.bench)
endif
endif

.PHONY: run test test-all soak ui stop lint format bench clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(VENV)/.walk ## run all stages on this machine; DATA=<folder> for real data (C-MAPSS, AI4I 2020)
	@$(SINET) run $(if $(SINET_MAKE_DATA),--data "$$SINET_MAKE_DATA")

ui: $(VENV)/.walk ## open Dagster's UI, its daemon and MLflow's UI on the current home
	@$(SINET) ui

stop: $(VENV)/.walk ## end what run and ui started
	@$(SINET) stop

test: $(VENV)/.test ## run the tests that are not marked slow
	$(BIN)/python -m pytest -m "not slow" -n 2

test-all: $(VENV)/.test ## run all tests, also the slow ones
	$(BIN)/python -m pytest -n 2

soak: $(VENV)/.test ## send fuzzed requests, cast fuzzed columns, kill walks at each point and simulate runs on clusters under faults; SEEDS=<number>, default 500
	@SOAK=1 $(BIN)/python -m pytest -k "is_ever_a_fault or is_cast" tests/sinet_pipelines
	@SOAK=1 $(BIN)/python -m pytest -k "killed_on_its_way or misfortune" tests/walk/test_kill.py tests/clusters/test_router.py
	@$(BIN)/python -W ignore -m tests.clusters.soak

lint: $(VENV)/.test ## check style, types, imports between layers and the definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dg check toml
	$(BIN)/dg check defs

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## measure each speed as a ratio to its peer
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean: ## remove the environment and every home of this checkout
	rm -rf $(VENV) .sinet .pytest_cache .mypy_cache .ruff_cache

# torch comes first and by pip: its CPU build is a quarter of the one another resolver would choose.
# Bytecode is compiled once here; every later import is 1.6 to 3.2 times cheaper for it.
INSTALL = PYTHONDONTWRITEBYTECODE= $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "python3.11 was not found on PATH: install Python 3.11 (with venv), then run make again" >&2; exit 2; }
	@echo "installing the platform: about 2.7 GB on disk, once (a minute or two)"
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
