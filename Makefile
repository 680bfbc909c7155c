# The commands of this project; `make` alone lists them.
#
# Needs git, make, bash and a Python between 3.10 and 3.13 (Airflow 2.11: up to 3.12). Nothing is installed outside $(VENVS).
#   make PYTHON=/path/to/python3.12 …   another Python than `python3`
#   make VENVS=/some/folder …           other environments than .venvs

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Where it is set, every Airflow that the tests start compiles itself anew: half of its time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENVS ?= .venvs
AIRFLOW_3 := $(abspath $(VENVS))/airflow-3.3/bin
AIRFLOW_2 := $(abspath $(VENVS))/airflow-2.11/bin
BENCHMARKS := $(abspath $(VENVS))/benchmarks/bin
ENVIRONMENT := $(PYTHON) tools/environment.py --venvs $(VENVS)

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: environment-3 environment-2 environment-audit
environment-3:
	@$(ENVIRONMENT) make airflow-3.3

environment-2: # without a Python for it, its tests are left out, loudly
	@$(ENVIRONMENT) make --optional airflow-2.11

environment-audit:
	@$(ENVIRONMENT) make audit

.PHONY: demo demo-stop
demo: environment-3 ## run the demo DAG with Airflow 3.3 and print its lineage
	@$(AIRFLOW_3)/python tools/demo.py run

demo-stop: environment-3 ## stop the scoring server that the demo left running
	@$(AIRFLOW_3)/python tools/demo.py stop

.PHONY: lint
lint: environment-3 ## style, types, import rings
	@echo "==> lint"
	$(AIRFLOW_3)/ruff check .
	$(AIRFLOW_3)/ruff format --check .
	$(AIRFLOW_3)/mypy
	$(AIRFLOW_3)/lint-imports

.PHONY: test test-long
test: environment-3 environment-2 environment-audit ## lint, all tests on both Airflows, a real Atlas, installation; PYTEST_ARGS goes to pytest
	@$(AIRFLOW_3)/python tools/run_tests.py --venvs $(VENVS)

test-long: environment-3 environment-2 ## the long counts and every Python, into benchmarks/results/
	@$(AIRFLOW_3)/python tools/run_tests.py --venvs $(VENVS) --long

.PHONY: bench environment-benchmarks
environment-benchmarks:
	@$(ENVIRONMENT) make benchmarks

bench: environment-3 environment-benchmarks ## measure, into benchmarks/results/; the real Atlas is that of MLGOV_TEST_ATLAS
	@mkdir -p benchmarks/results
	for each in import_cost translate dag_run_hooks http_calls dead_atlas replay scale saturation; do
		echo "==> $$each"
		$(AIRFLOW_3)/python benchmarks/$$each.py | tee benchmarks/results/$$each.txt
	done
	for each in listener_cost task_runs; do
		echo "==> $$each, beside others"
		$(BENCHMARKS)/python benchmarks/$$each.py | tee benchmarks/results/$$each.txt
	done

.PHONY: sbom audit
sbom: environment-3 environment-audit ## what the package stands on, as CycloneDX, into dist/; pins and licences are checked
	@$(AIRFLOW_3)/python tools/audit.py sbom

audit: environment-3 environment-audit ## ask an advisory service about every pinned version
	@$(AIRFLOW_3)/python tools/audit.py audit

.PHONY: docs
docs: environment-3 ## write the generated pages of docs/
	@$(AIRFLOW_3)/python tools/docs.py

.PHONY: constraints
constraints: ## resolve newer versions into constraints/
	@$(ENVIRONMENT) lock

.PHONY: clean
clean: ## remove what the commands above made, but for environments and downloads
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist build .demo
	find . -name __pycache__ -not -path './.venvs/*' -prune -exec rm -rf {} +
