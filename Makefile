# Everything a person needs to work on microseg. `make` alone prints what there is.
#
# Each target does all that it needs on a fresh machine: the virtual environment (by uv if it is there, else by venv and
# pip, from hash-pinned requirements) and the control plane's programs (found, or built by hack/controlplane/build).
# When those are there already, that takes no time.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?=
PYTEST_ARGS ?=
BENCH_HOSTS ?= 1000
BENCH_VMS ?= 50000
SWEEP ?=
GENERATED := crds docs/reference

export PYTHONPATH := operator
export PYTHONUNBUFFERED := 1
export BENCH_HOSTS
# A KUBECONFIG on make's own command line chooses a cluster for the demo. One that merely stands in the environment must
# never do so: it may be somebody's production.
ifneq ($(origin KUBECONFIG),command line)
unexport KUBECONFIG
DEMO_NEEDS := controlplane
endif

say = @printf '== %s\n' "$(1)"

##@ See it work
.PHONY: demo bench bench-worlds bench-mapping
demo: $(READY) $(DEMO_NEEDS) ## the whole job on this machine, about 3 min. KEEP=1 leaves it running, KUBECONFIG=... uses your cluster
	$(call say,demo)
	@exec $(BIN)/python -m lab.demo

bench: $(READY) controlplane bench-mapping ## how fast and how frugal with BENCH_HOSTS hosts (1000), after bench-mapping
	$(call say,bench: $(BENCH_HOSTS) hosts)
	@exec $(BIN)/python -m lab.bench

bench-worlds: $(READY) ## how many requests a second each world answers, and what BENCH_VMS VMs (50000) weigh
	$(call say,bench-worlds: $(BENCH_VMS) VMs)
	@exec $(BIN)/python -m lab.bench_worlds --vms $(BENCH_VMS)

bench-mapping: $(READY) ## how fast a mapping plans 10,000 hosts, beside a naive evaluation; no cluster
	$(call say,bench-mapping)
	@$(BIN)/python -m lab.bench_mapping

##@ Prove it
.PHONY: test unit worlds integration sweep check lint types contracts verify
test: $(READY) controlplane ## all tests: unit, worlds, integration on a real API server
	$(call say,test)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

unit: $(READY) ## tests of the pure layers only (seconds)
	$(call say,unit)
	@$(BIN)/python -m pytest tests/unit $(PYTEST_ARGS)

worlds: $(READY) ## tests of the simulated Azure, PCE and Check Point, and of the gateways against them
	$(call say,worlds)
	@$(BIN)/python -m pytest tests/worlds $(PYTEST_ARGS)

integration: $(READY) controlplane ## tests on a real API server only
	$(call say,integration)
	@$(BIN)/python -m pytest tests/integration $(PYTEST_ARGS)

sweep: $(READY) controlplane ## kill the operator at every message, answer every operation wrongly: about 35 min. SWEEP="--help"
	$(call say,sweep)
	@exec $(BIN)/python -m lab.sweep $(SWEEP)

check: lint types contracts ## all that can be judged without running: lint, types, contracts

lint: $(READY) ## ruff: rules and format
	$(call say,lint)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY) ## mypy --strict
	$(call say,types)
	@$(BIN)/mypy

contracts: $(READY) ## import-linter: who may import whom
	$(call say,contracts)
	@$(BIN)/lint-imports --no-logo

verify: generate ## generated files are what the model generates, and are committed
	$(call say,verify: $(GENERATED))
	@git diff --exit-code -- $(GENERATED) || { echo 'These files differ from what the model generates: commit them.' >&2; exit 1; }
	@left=$$(git ls-files --others --exclude-standard -- $(GENERATED)); \
	if [ -n "$$left" ]; then printf 'Generated, but not committed:\n%s\n' "$$left" >&2; exit 1; fi

##@ Work on it
.PHONY: setup controlplane fmt generate docs lock clean help
setup: $(READY) controlplane ## everything that the other targets need, and nothing else

fmt: $(READY) ## format the code and sort its imports
	$(call say,fmt)
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

generate: docs ## write what is generated from the model: crds/ and docs/reference/
	$(call say,generate: crds)
	@$(BIN)/python -m microseg.kube.schema --write crds/

docs: $(READY) ## write docs/reference/: resources, conditions and reasons, settings, command line, mapping schema
	$(call say,docs: docs/reference)
	@$(BIN)/python -m lab.generate

controlplane: ## find or build kube-apiserver, etcd and kubectl
	@hack/controlplane/build >/dev/null

lock: ## pin the newest dependencies that pyproject.toml allows (needs uv)
	$(call say,lock)
	@compile="uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --quiet"; \
	$$compile -o requirements/run.txt >/dev/null; \
	$$compile --group dev -o requirements/dev.txt >/dev/null

clean: ## remove the virtual environment, caches and results (not the control plane's programs, which are outside)
	rm -rf $(VENV) build dist .demo .bench .sweep .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find operator tests -name __pycache__ -prune -exec rm -rf {} +

help: ## this text
	@awk 'BEGIN {FS = ":.*## "} \
	    /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# The first of these that runs: a name on PATH may be a shim with nothing behind it.
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3

# microseg-worlds is written here and not by [project.scripts]: the product's wheel would carry a command whose package,
# the simulators, it does not contain. The editable install puts operator/ on the path, so that it runs from any folder.
$(READY): requirements/dev.txt pyproject.toml
	$(call say,setup: $(VENV))
	@python=; \
	for candidate in $(PYTHONS); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if command -v uv >/dev/null; then \
	    [ -x $(BIN)/python ] || uv venv --quiet --python "$${python:-3.11}" $(VENV); \
	    uv pip install --python $(BIN)/python --require-hashes -r requirements/dev.txt; \
	    uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .; \
	    uv pip check --python $(BIN)/python; \
	else \
	    [ -n "$$python" ] || { echo 'setup: no Python 3.11 or newer found; install one, or uv' >&2; exit 1; }; \
	    $(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv --clear $(VENV); \
	    $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements/dev.txt; \
	    $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .; \
	    $(BIN)/python -m pip check; \
	fi
	@printf '#!%s\nfrom simulators.__main__ import main\n\nmain()\n' "$(abspath $(BIN)/python)" >$(BIN)/microseg-worlds
	@chmod 755 $(BIN)/microseg-worlds
	@touch $@
