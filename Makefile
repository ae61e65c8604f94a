# One command a job; each sets up what it needs, and can be run twice. `make help` lists them.

PYTHON ?=
ARGS   ?=
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check $(if $(MAKE_TERMOUT),,--quiet)
READY  := $(VENV)/.ready
WATCH  := $(VENV)/.seglearn-1.2.5

# Modules are compiled once, not in each of the hundreds of processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

# What one of several jobs prints stays together, where this make can do that.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo stamps watch test deep check linted layered kernels golden bench changelog clean

# The first Python that is new enough and can make a virtual environment.
define FIND_PYTHON
for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
    > /dev/null 2>&1; then break; fi; \
  python=; \
done; \
if [ -z "$$python" ]; then \
  echo "mmspec needs Python 3.11 or newer with venv (on Debian: python3 and python3-venv)." >&2; \
  echo "Install it, or name one: make PYTHON=/path/to/python3.12" >&2; \
  exit 1; \
fi
endef

help: ## list the commands
	@echo "usage: make COMMAND    (the first one sets up .venv: a few minutes)"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with everything that the other commands need

$(READY): pyproject.toml constraints.txt
	@$(FIND_PYTHON); \
	if [ ! -x $(PY) ] || ! $(PY) -c 'import pip' 2> /dev/null; then \
	  echo "setting up $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV); \
	fi
	@echo "installing (torch $$(sed -n 's/^torch==//p' constraints.txt) and what goes with it)"
	@$(PIP) install -c constraints.txt setuptools
	@extras=demo,dev; \
	if nvidia-smi -L > /dev/null 2>&1; then extras=$$extras,gpu; fi; \
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[$$extras]"
	@touch $@

$(WATCH): $(READY)
	@$(PIP) install --no-deps seglearn==1.2.5
	@touch $@

demo: $(READY) ## compile specs/emoji.yaml and train it on emoji: image and name (about 3 minutes)
	@$(PY) -m mmspec.cli.demo emoji

stamps: $(READY) ## fetch the Tux Paint stamps; train on picture, caption and recorded speech
	@$(PY) -m mmspec.data.fetch stamps
	@$(PY) -m mmspec.cli.demo stamps

watch: $(WATCH) ## train on two streams of a smartwatch
	@$(PY) -m mmspec.cli.demo watch

test: $(READY) ## run the whole test suite; ARGS="-k gated" runs a part
	@$(PY) -m pytest $(ARGS)

deep: $(READY) ## draw at random, and much more: 10,000 masks, thousands of specs and damaged files (an hour)
	@MMSPEC_PROFILE=deep $(PY) -m pytest -m deep $(ARGS)

check: $(READY) ## lint, formatting, mypy, pyright, layering; two at a time
	@$(MAKE) --no-print-directory --keep-going --jobs 2 $(TOGETHER) linted typed.pyright typed.mypy layered

linted: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

typed.%: $(READY)
	@$(VENV)/bin/$*

layered: $(READY)
	@$(PY) -m pytest -n 0 -q tests/test_layering.py

kernels: $(READY) ## compile every mask of the specs for sm_80, sm_90 and sm_100; registers, spills, shared memory
	@$(PY) -m mmspec.compiler.aot specs/*.yaml

golden: $(READY) ## rewrite the golden files of the tests; read the diff afterwards
	@$(PY) -m pytest -q -m golden --update-golden

bench: $(READY) ## run the benchmarks; benchmarks/README.md says what they compare
	@for name in start compile_100 gpt2_step; do \
	  echo "== $$name"; $(PY) benchmarks/$$name.py; \
	done

changelog: $(READY) ## put the fragments of changelog.d into CHANGELOG.md
	@$(PY) changelog.d/assemble.py

clean: ## delete what can be made again, but for .venv and runs/
	@rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find benchmarks compiler mmspec tests verify -name __pycache__ -prune -exec rm -rf {} +
