# Each target sets up what it needs; `make demo` and `make test` are all a newcomer types.
PYTHON ?= python3
BIN := .venv/bin
PYPROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PLUGINS := $(foreach toml,$(wildcard plugins/*/pyproject.toml),-e $(patsubst %/,%,$(dir $(toml))))
# A further package index for torch, such as the one of its builds for the CPU alone.
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
SUITES := tests $(wildcard plugins/*/tests) examples/minimal_plugin/tests
LONG ?= not long
# Two torch threads on a busy machine are many times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup setup-dev demo test test-long browser check bench docs examples site clean

help:
	@echo "make demo       create five real tasks, train, predict, test, show a table"
	@echo "make test       run the tests          make test-long  run the long ones too"
	@echo "make browser    install Chromium where it is missing and this user may: tests of reports open it"
	@echo "make check      lint, types, import rules"
	@echo "make bench      measure the figures that have an aim, the demo from a fresh clone among them"
	@echo "make docs       do all that the pages say, and find what they leave out (ten minutes)"
	@echo "make examples   run the script of each protocol (four minutes)"
	@echo "make site       write the documentation site to docs/_build/site"
	@echo "make setup      only make .venv with mml in it (setup-dev: and the developer tools)"

setup: .venv/.installed
setup-dev: .venv/.installed-dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python constraints.txt $(PYPROJECTS)
	@echo "installing mml-core and its first plugins into .venv (about two minutes)"
	$(PIP) -e . $(PLUGINS)
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "installing the developer tools into .venv"
	$(PIP) -e '.[dev]'
	@touch $@

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

test: setup-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "$(LONG)" $(SUITES)

test-long: LONG := long or not long
test-long: test

# Bounded in time; what is not Debian or its like, or asks for a password, is told what to do.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then \
		echo "No Chromium is installed, and there is no apt-get: install it by hand."; exit 1; fi; \
	sudo=; if [ "$$(id -u)" != 0 ]; then sudo="sudo -n"; $$sudo true 2>/dev/null || { \
		echo "No Chromium is installed; as root: apt-get install chromium"; exit 1; }; fi; \
	echo "installing chromium"; \
	$$sudo timeout 120 apt-get -qq update && \
	$$sudo timeout 480 env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y install --no-install-recommends chromium >/dev/null || { \
		echo "Chromium could not be installed: tests that open pages in it are skipped."; exit 1; }

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev
	@missed=; for file in benchmarks/[a-z]*.py; do \
		echo "== $$file"; $(BIN)/python $$file || missed="$$missed $$file"; \
	done; test -z "$$missed" || { echo "not met:$$missed"; exit 1; }

docs: setup-dev
	$(BIN)/python -m pytest -q tests/docs

examples: setup-dev
	$(BIN)/python -m pytest -q tests/examples

site: setup-dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/site

clean:
	rm -rf docs/_build docs/reference .venv demo-output build dist .pytest_cache .mypy_cache .ruff_cache
