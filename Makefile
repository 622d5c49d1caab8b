# `make` prints this list.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# The demo and the server of `make serve` keep their databases here.
export VNUM_DATA_DIR ?= $(CURDIR)/.vnum

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-voice check bench fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

demo: $(READY) ## set up from nothing, run a month of sample parcels and calls, then make a real call; results to read and to open
	@$(BIN)/vnum sample --out demo-out
	@$(BIN)/vnum replay --parcels demo-out/parcels.csv --calls demo-out/calls.csv --start 2026-01-20 --out demo-out --statements
	@$(BIN)/vnum demo --out demo-out/call

serve: $(READY) ## start the API and its servers, with demo keys that are printed once
	@$(BIN)/vnum serve --demo

test: $(READY) ## set up from nothing, then all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

test-voice: $(READY) ## the call suite on Asterisk and Kamailio, which are obtained first, without root, where they can be had
	@for switch in asterisk kamailio; do $(BIN)/python scripts/obtain_switch.py $$switch $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vnum/$$switch || [ $$? -eq 3 ]; done
	@$(BIN)/python -m pytest -m "voice or not voice" tests/voice

check: $(READY) ## format, lint, types, imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY) ## measure, beside peers in the same run; writes bench.json (ONLY=close for one part)
	@$(BIN)/python scripts/bench.py --out bench.json $(addprefix --only ,$(ONLY))

fuzz: $(READY) ## send the API 20,000 requests and more, made of its own description (FUZZ=500 an operation)
	@FUZZ=$(or $(FUZZ),420) $(BIN)/python -m pytest -s -p no:logging tests/api/test_fuzz.py

clean: ## remove what demo, tests and serve have made (not the data of a server of yours)
	rm -rf demo-out .vnum .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "vnum needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo 'setting up $(VENV): a minute or some, once'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
