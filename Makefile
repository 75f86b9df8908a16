# Everything a person or CI runs. `make help` lists it. Nothing but Python 3.11 or newer and make is needed.
PYTHON ?= python3
VENV := .venv
EMULATOR := .venv-emulator
CHECKOV := .venv-checkov
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
# An Output in a string is a bug that Pulumi otherwise only warns of.
export PULUMI_ERROR_OUTPUT_STRING := true

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint validate variants format test-unit test-infra test-engine test-e2e chaos bench docs package lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready $(EMULATOR)/.ready ## install everything (again only when a lock file changed)

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r requirements/dev.txt
	$(BIN)/python $(PIP) --no-deps -e .
	@touch $@

$(EMULATOR)/.ready: requirements/emulator.txt
	$(PYTHON) -m venv $(EMULATOR)
	$(EMULATOR)/bin/python $(PIP) --require-hashes -r requirements/emulator.txt
	@touch $@

$(CHECKOV)/.ready: requirements/checkov.txt
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python $(PIP) --require-hashes -r requirements/checkov.txt
	@touch $@

demo: setup ## deploy the dev stack on this machine, run a ten-agent session, print its report
	@$(BIN)/fabric demo

test: lint validate test-unit test-infra test-engine test-e2e ## everything CI runs

lint: setup ## ruff, import contracts and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pyright

validate: setup $(CHECKOV)/.ready ## every stack's graph against the policy pack, checkov and Terraform's AWS provider
	$(BIN)/python -m policy.validate
	$(BIN)/pytest tests/validate -rs

variants: setup $(CHECKOV)/.ready ## what validate does, for variants that use every setting (ONLY=name for one)
	$(BIN)/python -m policy.variants $(if $(ONLY),--only $(ONLY),)

format: setup ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Three, because a fifth of the time goes by while tests wait for processes that they start.
test-unit: setup ## pure logic, no platform
	$(BIN)/pytest tests/unit -n 3 --dist worksteal

test-infra: setup ## the program's graph under mocks
	$(BIN)/pytest tests/infra -n 2 --dist worksteal

test-engine: setup ## the resource provider on the emulator, and the real engine where the pulumi CLI is
	$(BIN)/pytest tests/engine -n 2 --dist loadfile -rs

test-e2e: setup ## the whole platform on this machine
	$(BIN)/pytest tests/e2e -n 2 --dist loadfile

chaos: setup ## sessions under faults for MINUTES=5, from SEED (or a random one) on, each with TASKS=10
	$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),5) --tasks $(or $(TASKS),10) $(if $(SEED),--seed $(SEED),) $(if $(CHAOS_JSON),--json $(CHAOS_JSON),)

bench: setup ## measure; prints a table, and JSON with BENCH_JSON=file
	$(BIN)/python -m bench $(if $(BENCH_JSON),--json $(BENCH_JSON),)

docs: setup ## write what the documentation says of the graph: cost, components, rules
	$(BIN)/python -m infra.pages.generate
	$(BIN)/python -m policy.page

package: setup ## build the code and the layer for AWS (python3.13, arm64) and print their sizes
	$(BIN)/python -m infra.packager $(if $(RDS_CA),--rds-ca $(RDS_CA),)

lock: setup ## compile requirements/*.in again (needs uv)
	$(PYTHON) -m uv --version >/dev/null || { echo "uv is needed: $(PYTHON) -m pip install uv"; exit 1; }
	$(PYTHON) requirements/lock.py

clean: ## remove what the other targets built
	rm -rf $(VENV) $(EMULATOR) $(CHECKOV) .build .local .pytest_cache .ruff_cache .hypothesis *.egg-info
