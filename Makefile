# StageSync's two commands on a bare machine are `make demo` and `make test`.
# They need make and Python 3.11 or newer with venv, and set up the rest in .venv.
# Each installed set leaves a stamp there, so that the second run starts at once.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV   ?= .venv
# More than two cores: a good part of a test is waiting, for a process to start or a disk to be sure.
JOBS   ?= 3

PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/bin/python -m pip --quiet --quiet --no-input
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test soak bench check lint format format-check types imports venv node node-if-there lock readme clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## audit, plan, correct and verify two embedded CRMs
	@$(BIN)/stagesync demo

test: $(VENV)/.installed-dev node-if-there ## run the tests; what cannot run here is named at the end
	@$(BIN)/pytest -n $(JOBS) --dist worksteal

soak: $(VENV)/.installed-dev ## the long tests: many companies, a kill at every boundary, 500 seeds of kills and faults
	@STAGESYNC_SEEDS=60 $(BIN)/pytest -n $(JOBS) --dist worksteal tests/journeys/test_answer_key.py
	@STAGESYNC_THOROUGH=1 $(BIN)/pytest -n $(JOBS) --dist worksteal $$(grep -rl "soak=" --include="test_*.py" tests)
	@STAGESYNC_EVERY_BOUNDARY=1 STAGESYNC_CRASH_SEEDS=500 $(BIN)/pytest -n $(JOBS) --dist worksteal tests/crash

bench: $(VENV)/.installed-dev ## install rivals in .venv-bench and measure the audit, the pulls and the writing beside them
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-bench/bin/python -m pip --quiet install --upgrade 'pip>=25.1'
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-bench/bin/python -m pip --quiet install --editable . --group bench
	@.venv-bench/bin/python benchmarks/apply_changes.py
	@.venv-bench/bin/python benchmarks/audit_engine.py
	@.venv-bench/bin/python benchmarks/audit_export.py
	@.venv-bench/bin/python benchmarks/audit_pages.py
	@.venv-bench/bin/python benchmarks/log_list.py
	@.venv-bench/bin/python benchmarks/pull_hubspot.py
	@.venv-bench/bin/python benchmarks/pull_salesforce.py

check: lint format-check types imports ## lint, formatting, types and the arrows between packages

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check

format-check: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

imports: $(VENV)/.installed-dev
	@$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

venv: $(VENV)/.installed-dev ## set up .venv with the development tools

# What the container runs is what a newcomer runs: exact versions, checked against their hashes.
$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing StageSync into $(VENV) (once, about a minute)" >&2
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@$(BIN)/python -m compileall -q src  # as pip does with what it installs: where Python may not, no start has to
	@touch $@

# --group came with pip 25.1; Debian 12 has 23.
$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the development tools into $(VENV)" >&2
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "StageSync needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Independent clients of the embedded CRMs, run by tests. npm writes node_modules/.package-lock.json itself.
NODE_LOCKS := $(shell find tests -name package-lock.json -not -path '*/node_modules/*')
NODE_STAMPS := $(NODE_LOCKS:package-lock.json=node_modules/.package-lock.json)

node: $(NODE_STAMPS) ## install the Node.js clients that some tests drive

node-if-there:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory node; fi

%/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	@echo "Installing the Node.js clients of $*" >&2
	@cd $* && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2
	@touch $@

lock: | $(BIN)/python ## write requirements.lock and requirements-build.lock anew from pyproject.toml
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group lock
	@for set in "requirements.lock --extra postgres pyproject.toml" "requirements-build.lock --group build"; do \
	  set -- $$set; out=$$1; shift; \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --no-config --upgrade --universal \
	    --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	    --output-file $$out "$$@"; \
	done

readme: $(VENV)/.installed-dev ## write the real output of `stagesync demo` into the README
	@STAGESYNC_UPDATE_DOCS=1 $(BIN)/pytest -q tests/docs -k demo_output

clean: ## remove what was installed and built; keeps data/
	@rm -rf $(VENV) .venv-bench dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find tests -name node_modules -type d -prune -exec rm -rf {} +
