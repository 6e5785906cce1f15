# Two commands are all anybody needs: `make run` and `make test`. Both set everything up themselves.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# A distribution's python3 is built with profile-guided optimisation and serves about 1.3 times as many requests as
# most hand-made builds, so it comes first. Override with `make PYTHON=...`.
PYTHON ?= $(shell for p in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: help run test compiled test-compiled check fuzz fairness reliability bench soak soak-shop bench-shop format clean
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(VENV)/.run-ready ## a demo shop, the waiting room in front of it, and a crowd, on http://127.0.0.1:8080
	@exec $(BIN)/stanchion demo $(ARGS)

test: check ## everything: static checks, then the whole test suite (installs Chromium by apt when root)
	@tests/system-packages.sh
	@$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.test-ready ## the edge against nginx with Lua, HAProxy and aiohttp, on two cores, some ten minutes
	@tests/system-packages.sh
	@$(BIN)/python -m tests.bench --write docs/performance.md $(ARGS)

# The sources stay pure Python: the compiled form is a copy of its own, so it can never be older than what is edited.
compiled: $(VENV)/.test-ready ## the same with the modules on a request's path compiled by mypyc, in build/compiled (two minutes)
	@rm -rf build && STANCHION_COMPILE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --target build/compiled .
	@ls build/compiled/edge/plane/*.so >/dev/null

test-compiled: compiled ## the tests of what was compiled, on the compiled form
	@cp -r tests docs setup.cfg build/compiled/
	@cd build/compiled && PYTHONPATH=. $(CURDIR)/$(BIN)/python -m pytest tests/controller tests/waiting_room tests/edge $(ARGS)

check: $(VENV)/.test-ready ## format, lint, strict types, import rules, known vulnerabilities of what is installed
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.audit

soak: $(VENV)/.test-ready ## half an hour at half load: memory flat, no error, the line in order; MINUTES=30
	@$(BIN)/python -m tests.reliability.soak --minutes $(or $(MINUTES),30) --write docs/reliability.md $(ARGS)

soak-shop: $(VENV)/.test-ready ## 50 rounds of kill -9 on each of the shop's stores (some ten minutes); ARGS="--seed 2"
	@tests/system-packages.sh
	@for engine in sqlite redis postgres; do $(BIN)/python -m tests.checkout.chaos --engine $$engine $(ARGS) || exit 1; done

bench-shop: $(VENV)/.test-ready ## decisions a second of the shop's stores against the naive ways, and what it answers over HTTP
	@tests/system-packages.sh
	@$(BIN)/python -m tests.checkout.bench
	@$(BIN)/python -m tests.checkout.bench_http

format: $(VENV)/.test-ready ## rewrite the sources in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

fairness: $(VENV)/.test-ready ## measure every scenario and write the tables of docs/fairness.md (half an hour; ARGS="flash churn")
	@PYTHONPATH=. $(BIN)/python tests/bench/fairness_table.py $(ARGS)

reliability: $(VENV)/.test-ready ## what the edge withstands, for docs/reliability.md and conformance.md (six minutes; ARGS="smuggling crowd")
	@tests/system-packages.sh
	@$(BIN)/python -m tests.reliability --write docs $(ARGS)

fuzz: $(VENV)/.test-ready ## coverage-guided mutations, by atheris, which it installs; ARGS="head -max_total_time=600"
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	@$(BIN)/python -m tests.reliability.guided $(ARGS)

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build dist

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Stanchion needs Python 3.11 or newer and found none: install it, or name it with 'make PYTHON=/path/to/python3'"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); \
	  else echo "$(PYTHON) cannot make virtual environments: install the package python3-venv (sudo apt-get install python3-venv)"; exit 1; fi; }

$(VENV)/.run-ready: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Stanchion into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.test-ready: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Stanchion and its tests' tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.run-ready
