# The commands of a developer. Each sets up what it needs; `make run` and `make test` work on a fresh machine
# with Python 3.11 or newer (venv included), make and git.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOC_VENV := .venv-protoc
LOWEST_VENV := .venv-lowest
PIP := pip install --quiet --disable-pip-version-check --no-input
PROTOS := netmap_actors/wire/internal.proto netmap_actors/wire/netmap.proto
CONFIG ?= config.toml
ARGS ?=
HEADSCALE ?=
VM_ARGS ?=
# Two workers for two cores. The third has the tests that wait rather than compute, one by one: the group `waits`.
PYTEST_ARGS ?= -n 3 --dist loadgroup
UNIT_ARGS ?= -n 2
SITE = $(BIN)/python -P -m sphinx -q -n -E -W --keep-going -j 2 -d docs/_build/doctrees docs docs/_build/html

.PHONY: help run test test-fast test-lowest test-newest headscale-test vm-test release-check check docs generate bench bench-report go-tools rust-client client-table format mutants soak night clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.run-ready  ## set up, then run the daemon on config.toml (CONFIG=FILE, ARGS="--option value")
	@exec $(BIN)/netmap-supervisor run --config $(CONFIG) $(ARGS)

test: $(VENV)/.dev-ready go-tools rust-client  ## set up, then every test (PYTEST_ARGS to choose)
	$(BIN)/python -P -m pytest $(PYTEST_ARGS)

test-fast: $(VENV)/.dev-ready  ## only the tests that take seconds and need neither Go nor root
	$(BIN)/python -P -m pytest -m "not slow and not interop and not netns" $(PYTEST_ARGS)

# The processes that stand on a library each, and the first minute of the README; the others say nothing of versions.
test-lowest: $(LOWEST_VENV)/.ready  ## unit tests, some of processes and a run with the lowest versions pyproject.toml admits
	bash tests/smoke.sh $(LOWEST_VENV)/bin
	$(LOWEST_VENV)/bin/python -P -m pytest -m "not interop" $(UNIT_ARGS) tests/unit \
	  tests/process/test_bootstrap.py tests/process/test_control_connection.py tests/process/test_publisher.py

test-newest:  ## unit tests and a run on the newest Python Debian has (root and mmdebstrap)
	.ci/newest-python

headscale-test: $(VENV)/.dev-ready  ## the daemon against a headscale you have (HEADSCALE=PATH), on loopback
	HEADSCALE="$(HEADSCALE)" $(BIN)/python -P -m pytest -m headscale tests/headscale

vm-test: $(VENV)/.dev-ready  ## the unit under systemd, and real sleeps, in a guest (root and QEMU; some twenty minutes)
	$(BIN)/python -P -m pytest -m vm $(VM_ARGS) tests/vm

release-check: $(VENV)/.dev-ready  ## build wheel and sdist, check what they say and hold, install each into an empty environment, and run it there
	$(BIN)/python -P -m pytest -m release tests/release

check: $(VENV)/.dev-ready  ## lint, format, types, layers, generated code, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -P -m pytest -q -n 2 tests/contract
	$(SITE)

docs: $(VENV)/.dev-ready  ## build the documentation as a site into docs/_build/html, offline, without a warning
	$(SITE)
	@echo "docs/_build/html/index.html"

format: $(VENV)/.dev-ready  ## put imports and layout in order
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

generate: $(PROTOC_VENV)/.ready  ## compile the .proto files again
	$(PROTOC_VENV)/bin/python -P -m grpc_tools.protoc -I actors --python_out=actors --pyi_out=actors $(PROTOS)

go-tools: $(VENV)/.dev-ready  ## build the Go peers into the cache outside the tree (skipped without Go)
	$(BIN)/python -m tests.support.peers.go_tools

rust-client: $(VENV)/.dev-ready  ## build the client in Rust into the same cache (skipped without cargo; minutes at first)
	$(BIN)/python -m tests.support.peers.rust_client

bench: $(VENV)/.dev-ready go-tools  ## measure against tailscaled into bench/history.jsonl; fails when a bound is missed (ARGS=--quick)
	$(BIN)/python -m bench $(ARGS)

bench-report: $(VENV)/.dev-ready  ## draw bench/history.jsonl into docs/performance.md
	$(BIN)/python -m bench.report

client-table: $(VENV)/.dev-ready go-tools rust-client  ## check all clients at 120 s into docs/clients.md (an hour; ARGS="--client tsp --limit 8s")
	$(BIN)/python -m bench.client_table $(ARGS)

mutants: $(VENV)/.dev-ready  ## plant thirteen known bugs in a copy, one by one, and see that the tests find each (some minutes)
	$(BIN)/python -m tests.mutants

soak: $(VENV)/.dev-ready  ## wear a daemon down for some minutes and see that nothing leaks (ARGS="--minutes 60 --seed N")
	$(BIN)/python -m tests.soak $(ARGS)

night: $(VENV)/.dev-ready  ## eight hours of a daemon, with faults, in some twenty minutes; then look at it (ARGS="--fast 40")
	$(BIN)/python -m tests.soak.night --stay $(ARGS)

clean:  ## remove what these commands made in the tree
	rm -rf $(VENV) $(LOWEST_VENV) $(PROTOC_VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench/results docs/_build

# pip comes last: one without it was interrupted, and is made anew.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cannot set up: $(PYTHON) is older than Python 3.11; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "cannot set up: this Python has no venv module (on Debian: apt-get install python3-venv)" >&2; rm -rf $(VENV); exit 1; }

# The build backend first and from the same pins: the build then needs nothing from outside.
$(VENV)/.run-ready: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "setting up $(VENV) …" >&2
	$(BIN)/$(PIP) -c constraints.txt hatchling
	$(BIN)/$(PIP) -c constraints.txt --no-build-isolation -e .
	@# As pip does for what it copies: every process starts a tenth of a second sooner, also where Python may not write.
	@$(BIN)/python -m compileall -q actors supervisor
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready
	$(BIN)/$(PIP) -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(PROTOC_VENV)/.ready: constraints-protoc.txt
	$(PYTHON) -m venv --clear $(PROTOC_VENV)
	$(PROTOC_VENV)/bin/$(PIP) -c constraints-protoc.txt grpcio-tools
	@touch $@

# Each of those versions, the rest as everywhere: pip takes two constraints on one package as a contradiction.
$(LOWEST_VENV)/.ready: pyproject.toml constraints.txt constraints-lowest.txt
	$(PYTHON) -m venv --clear $(LOWEST_VENV)
	grep -ivE "^($$(sed -n 's/==.*//p' constraints-lowest.txt | sed 's/[-_.]/[-_.]/g' | paste -sd '|'))==" constraints.txt > $(LOWEST_VENV)/rest.txt
	$(LOWEST_VENV)/bin/$(PIP) -c constraints-lowest.txt -c $(LOWEST_VENV)/rest.txt hatchling
	$(LOWEST_VENV)/bin/$(PIP) -c constraints-lowest.txt -c $(LOWEST_VENV)/rest.txt --no-build-isolation -e '.[test]'
	@touch $@
