# `make run` and `make test` are the two commands to know. Both install what they need first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# A distribution's python3 comes first: it is built with profile-guided optimisation and serves about 1.3 times as many
# requests as most self-compiled ones. Override with `make PYTHON=...`.
PYTHON ?= $(shell for p in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# Processes that run tests side by side. Three on two cores, because many tests wait for a timer.
JOBS ?= 3

.PHONY: help packages deploy-tools deploy-test browser-test run test plugins-test compiled test-compiled check fuzz fairness reliability bench million soak soak-shop bench-shop format clean
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: $(VENV)/.run-ready ## start a demo on http://127.0.0.1:8080: a shop, the waiting room before it, a crowd
	@exec $(BIN)/stanchion demo $(ARGS)

# Tests run in JOBS processes; those marked `serial` run alone (tests/conftest.py).
test: check deploy-tools ## run every check and test (some 20 minutes; as root it first installs Debian packages by apt)
	@tests/system-packages.sh
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

bench: $(VENV)/.test-ready ## measure the edge, nginx with Lua, HAProxy and aiohttp on two cores (some 10 minutes)
	@tests/system-packages.sh
	@$(BIN)/python -m tests.bench --write docs/performance.md $(ARGS)

million: $(VENV)/.test-ready compiled ## send a million visitors to one worker (10 minutes; ARGS="--visitors 250000 --leaving 0.3")
	@$(BIN)/python -m tests.bench.million --compiled $(ARGS)

# The compiled form is a separate copy. The sources stay pure Python, so an edit never meets an older compiled module.
compiled: $(VENV)/.test-ready ## compile the modules on a request's path by mypyc, into build/compiled (2 minutes)
	@rm -rf build && STANCHION_COMPILE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --target build/compiled .
	@ls build/compiled/controller/*.so build/compiled/edge/proxy/*.so >/dev/null

test-compiled: compiled ## run the tests of the compiled packages on the compiled form
	@cp -r tests docs setup.cfg build/compiled/
	@cd build/compiled && PYTHONPATH=. $(CURDIR)/$(BIN)/python -m pytest -n $(JOBS) --dist worksteal \
	  tests/controller tests/waiting_room tests/edge $(ARGS)

packages: $(VENV)/.test-ready ## build the compiled and the pure wheel, the sdist and an SBOM into dist/ (3 minutes)
	@$(BIN)/python -m deploy.packages $(ARGS)

deploy-tools: $(VENV)/.test-ready ## install the tools that validate deploy/; one that cannot be had is named
	@tests/system-packages.sh tests/deploy/packages.txt || true
	@$(BIN)/python -m tests.deploy.tools

deploy-test: deploy-tools ## build the packages and the image, install and start them (10 minutes; as root, with apt)
	@$(BIN)/python -m pytest -n 0 -m deploy --override-ini addopts="-ra --strict-markers --strict-config" tests/deploy $(ARGS)

browser-test: $(VENV)/.test-ready ## check every view in Chromium and Firefox, and lines under bad conditions (5 minutes)
	@tests/system-packages.sh
	@$(BIN)/python -m pytest -n 0 -m browsers --override-ini addopts="-ra --strict-markers --strict-config" tests/browser $(ARGS)

check: $(VENV)/.test-ready ## check format, lint, types, import rules and known vulnerabilities of dependencies
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.audit

soak: $(VENV)/.test-ready ## run at half load for half an hour: flat memory, no error, line in order (MINUTES=30)
	@$(BIN)/python -m tests.reliability.soak --minutes $(or $(MINUTES),30) --write docs/reliability.md $(ARGS)

soak-shop: $(VENV)/.test-ready ## 50 rounds of kill -9 a store, then stores that lie (some 40 minutes; ARGS="--seed 2")
	@tests/system-packages.sh
	@for engine in sqlite redis postgres; do $(BIN)/python -m tests.checkout.chaos --engine $$engine $(ARGS) || exit 1; done
	@$(BIN)/python -m tests.checkout.store_lies --all $(ARGS)

bench-shop: $(VENV)/.test-ready ## measure decisions a second of the shop's stores, the shop over HTTP, reads, and the way of an order
	@tests/system-packages.sh
	@$(BIN)/python -m tests.checkout.bench
	@$(BIN)/python -m tests.checkout.bench_http
	@$(BIN)/python -m tests.checkout.bench_reads
	@$(BIN)/python -m tests.checkout.bench_orders

format: $(VENV)/.test-ready ## format the sources
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

fairness: $(VENV)/.test-ready ## simulate every scenario; write the tables of docs/fairness.md (30 minutes; ARGS="flash churn")
	@PYTHONPATH=. $(BIN)/python tests/bench/fairness_table.py $(ARGS)

reliability: $(VENV)/.test-ready ## attack the edge; write docs/reliability.md and conformance.md (40 minutes; ARGS="smuggling crowd")
	@tests/system-packages.sh
	@$(BIN)/python -m tests.reliability --write docs $(ARGS)

plugins-test: $(VENV)/.test-ready ## play every case behind every real load balancer; write the table of docs/plugins.md (6 minutes)
	@tests/system-packages.sh
	@$(BIN)/python -m tests.plugins --write docs/plugins.md $(ARGS)

fuzz: $(VENV)/.test-ready ## fuzz by coverage with atheris, which it installs (ARGS="head -max_total_time=600")
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	@$(BIN)/python -m tests.reliability.guided $(ARGS)

clean: ## remove the virtual environment, caches and builds
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache *.egg-info build dist

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Stanchion needs Python 3.11 or newer, and none was found. Install it, or run 'make PYTHON=/path/to/python3'"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); \
	  else echo "$(PYTHON) cannot create virtual environments. Install python3-venv: sudo apt-get install python3-venv"; exit 1; fi; }

$(VENV)/.run-ready: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Stanchion into $(VENV) ..."
	@STANCHION_COMPILE=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.test-ready: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Stanchion and the test tools into $(VENV) ..."
	@STANCHION_COMPILE=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.run-ready
