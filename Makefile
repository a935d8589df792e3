# kept: set-up, checks and the tour. Needs make and Python 3.11 or newer; `make` alone lists the targets.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.set-up
# The first of these that is new enough makes the environment; `make PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := $(PY) -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup test crash damage vault-proof large package tour types lint api api-check coverage bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) ## make .venv with the locked dependencies and this project
	@echo "Ready: $(VENV)/bin/kept"

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "kept needs Python 3.11 or newer with venv (Debian: apt install python3-venv)." >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

test: $(STAMP) ## run the whole suite, on two cores
	$(PY) -m pytest -n $${KEPT_TEST_PROCESSES:-3} --dist worksteal

crash: $(STAMP) ## kill a real daemon 50 times under load, and start it from 16 processes at once
	KEPT_CRASH_ROUNDS=$${KEPT_CRASH_ROUNDS:-50} $(PY) -m pytest tests/crash tests/keptd/backups/test_kill.py

package: $(STAMP) ## install the wheel and the source tree with pip, pipx and uv, from the index, and run what comes of it
	KEPT_PACKAGE=1 $(PY) -m pytest -n 2 tests/test_packaging.py

tour: $(STAMP) ## see what kept does, on this repository's own history
	$(VENV)/bin/kept tour .

types: $(STAMP) ## mypy --strict
	$(PY) -m mypy

lint: $(STAMP) ## ruff
	$(PY) -m ruff check
	$(PY) -m ruff format --check

api: $(STAMP) ## write client/API.md anew
	$(PY) -m keptd.rpc.reference > client/API.md.new
	mv client/API.md.new client/API.md

api-check: $(STAMP) ## compare client/API.md with the code
	@$(PY) -m keptd.rpc.reference | diff -u client/API.md - || { echo "client/API.md is out of date: run make api" >&2; exit 1; }

coverage: $(STAMP) ## run the suite and say what it doesn't reach
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

damage: $(STAMP) ## damage every page of a database and every byte of a backup in turn, and print what comes of it
	$(PY) -m tests.damage_table --many 100
	KEPT_DAMAGE=all $(PY) -m pytest tests/keptd/backups/test_every_byte.py

vault-proof: $(STAMP) ## plant 1,000 secrets and look for them everywhere, and change every bit of the vault's tables
	KEPT_VAULT=all $(PY) -m pytest -n 2 tests/keptd/vault tests/kept/vault_run tests/test_canaries.py

large: $(STAMP) ## show that a session of 200 MB takes no more memory than one of 20 MB
	KEPT_LARGE=1 $(PY) -m pytest -s tests/keptd/sessions/test_memory.py

bench: $(STAMP) ## measure against peers; prints ratios, passes or fails nothing
	@set -e; for program in tests/bench/[a-z]*.py; do name=$$(basename "$$program" .py); echo "== $$name"; $(PY) -m "tests.bench.$$name"; done

lock: $(STAMP) ## make requirements.lock anew
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" pyproject.toml --group dev --output-file requirements.lock

clean: ## remove what these targets made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find client daemon tests -name __pycache__ -type d -prune -exec rm -rf {} +
