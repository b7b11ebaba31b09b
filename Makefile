# Everything a person needs to work on microseg. `make` without a target prints the list.
#
# Each target prepares what it needs on a fresh machine: the virtual environment (with uv if it is installed, else with venv
# and pip, from hash-pinned requirements) and the control plane's programs (found, or built by hack/controlplane/build).
# If those exist already, that takes no time.

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
TEST_JOBS ?= 2
# These tests mostly wait: four processes need one and a half cores.
SIDE_BY_SIDE := --numprocesses 4 --dist worksteal
BENCH_HOSTS ?= 1000
BENCH_PEER_HOSTS ?= 200
BENCH_VMS ?= 50000
SWEEP ?=
VERSIONS ?= 1.32.0 1.37.2
GOLDEN ?=
GENERATED := crds docs/reference manifests/azure manifests/monitoring manifests/helm/microseg-crds/templates manifests/helm/microseg/monitoring

export PYTHONPATH := operator
export PYTHONUNBUFFERED := 1
export BENCH_HOSTS
# A KUBECONFIG on make's own command line chooses a cluster for the demo. One from the environment must never do so: it may
# name a production cluster.
ifneq ($(origin KUBECONFIG),command line)
unexport KUBECONFIG
DEMO_NEEDS := controlplane
endif

say = @printf '== %s\n' "$(1)"

##@ See it work
.PHONY: demo bench bench-worlds bench-mapping bench-questions bench-writes bench-peers storms soak replicas
demo: $(READY) $(DEMO_NEEDS) ## the whole job on this machine, about 3 min. KEEP=1: it stays; CHART=1: by the charts, on a real node; KUBECONFIG=...: your cluster
	$(call say,demo)
	@exec $(BIN)/python -m lab.demo

bench: $(READY) controlplane bench-mapping ## how fast and how frugal with BENCH_HOSTS hosts (1000), after bench-mapping
	$(call say,bench: $(BENCH_HOSTS) hosts)
	@exec $(BIN)/python -m lab.bench

bench-worlds: $(READY) ## how many requests per second each world answers, and the memory of BENCH_VMS VMs (50000)
	$(call say,bench-worlds: $(BENCH_VMS) VMs)
	@exec $(BIN)/python -m lab.bench_worlds --vms $(BENCH_VMS)

bench-mapping: $(READY) ## how fast a mapping plans 10,000 hosts, beside a naive evaluation; no cluster
	$(call say,bench-mapping)
	@$(BIN)/python -m lab.bench_mapping

bench-questions: $(READY) controlplane ## how long `microseg status` and the other commands take on BENCH_HOSTS hosts (1000)
	$(call say,bench-questions: $(BENCH_HOSTS) hosts)
	@exec $(BIN)/python -m lab.bench_questions --hosts $(BENCH_HOSTS)

bench-writes: $(READY) controlplane ## status writes per second of the operator's writer, beside the least client, on BENCH_HOSTS records (1000)
	$(call say,bench-writes: $(BENCH_HOSTS) records)
	@exec $(BIN)/python -m lab.bench_writes --hosts $(BENCH_HOSTS)

storms: $(READY) controlplane ## how long a new VM waits while a tenth is deleted or remapped, a system is away ...; about 9 min. STORM_HOSTS (200)
	$(call say,storms)
	@exec $(BIN)/python -m lab.storms

bench-peers: $(READY) controlplane ## BENCH_PEER_HOSTS VMs (200) by the SDKs' flow, a tuned playbook (real Ansible) and the operator; about 40 min
	$(call say,bench-peers: $(BENCH_PEER_HOSTS) hosts)
	@exec $(BIN)/python -m lab.peers --hosts $(BENCH_PEER_HOSTS)

soak: $(READY) controlplane ## changes and faults at random for SOAK_MINUTES (120): what leaks, what breaks. SOAK_HOSTS (100), SOAK_SEED (1)
	$(call say,soak)
	@exec $(BIN)/python -m lab.soak

replicas: $(READY) controlplane ## how REPLICAS (3) share ESTATES (12), and how long it takes when one is killed; about 4 min
	$(call say,replicas)
	@exec $(BIN)/python -m lab.replicas

##@ Install it
.PHONY: image image-lock e2e charts
image: $(READY) ## the container image into dist/, without a registry; TWICE=1: twice, with the same digest. ARCH=arm64
	$(call say,image)
	@exec $(BIN)/python -m lab.image $(if $(ARCH),--arch $(ARCH)) $(if $(TWICE),--twice) $(if $(REPOSITORY),--repository $(REPOSITORY)) $(if $(TAG),--tag $(TAG))

image-lock: $(READY) ## pin the newest Debian packages of the image's base, for amd64 and arm64
	$(call say,image-lock)
	@exec $(BIN)/python -m lab.image --lock

e2e: $(READY) controlplane ## on a real node, from the charts: install, kill, roll, drain, OOM, upgrade, uninstall; about 8 min. HOSTS=1000
	$(call say,e2e)
	@exec $(BIN)/python -m lab.node $(if $(HOSTS),--hosts $(HOSTS))

charts: $(READY) controlplane ## tests of the charts, with Helm 4 and 3 on a real API server; GOLDEN=write writes what they render
	$(call say,charts)
	@hack/controlplane/build helm4 >/dev/null
	@hack/controlplane/build helm3 >/dev/null
	@cd hack/prometheus-operator && go mod download github.com/prometheus-operator/prometheus-operator
	@mkdir -p dist && cd hack/health && go build -o ../../dist/health .  # the first time takes longer than a test may
	@GOLDEN=$(GOLDEN) $(BIN)/python -m pytest tests/charts $(PYTEST_ARGS)
	@cd hack/health && GOFLAGS=-mod=readonly go tool actionlint ../../.github/workflows/*.yaml

##@ Prove it
.PHONY: monitoring-check dashboards-check test unit worlds integration beside-integration handler-judge sweep skew audit release coverage check lint types contracts verify
test: $(READY) controlplane ## all tests: integration on a real API server, beside it unit and then worlds. TEST_JOBS=1: one after another
	@$(MAKE) --jobs=$(TEST_JOBS) --output-sync=target beside-integration integration

beside-integration: $(READY)
	@$(MAKE) unit
	@$(MAKE) worlds

unit: $(READY) ## tests of the pure layers only (seconds)
	$(call say,unit)
	@$(BIN)/python -m pytest tests/unit $(SIDE_BY_SIDE) $(PYTEST_ARGS)

worlds: $(READY) ## tests of the simulated Azure, PCE and Check Point, and of the gateways against them
	$(call say,worlds)
	@$(BIN)/python -m pytest tests/worlds $(SIDE_BY_SIDE) $(PYTEST_ARGS)

integration: $(READY) controlplane ## tests on a real API server only
	$(call say,integration)
	@$(BIN)/python -m pytest tests/integration $(PYTEST_ARGS)

handler-judge: $(READY) ## what a simulated VM does, told beside Azure's own handler: MICROSEG_RUN_COMMAND_HANDLER=/path (docs/worlds.md)
	$(call say,handler-judge)
	@$(BIN)/python -m pytest tests/worlds/handler -rs $(PYTEST_ARGS)

monitoring-check: ## promtool checks and tests every rule; builds promtool once, about 8 min
	$(call say,monitoring-check)
	@tools=$$(hack/prometheus/build); cd manifests/monitoring; \
	"$$tools/promtool" check rules rules.yaml; "$$tools/promtool" test rules rules.test.yaml

dashboards-check: $(READY) controlplane ## every query of the dashboards on a real Prometheus that scrapes a real operator; draws docs/pictures/
	$(call say,dashboards-check)
	@exec $(BIN)/python -m lab.monitoring.check

sweep: $(READY) controlplane ## kill the operator at every message, answer every operation wrongly: about 35 min. SWEEP="--help"
	$(call say,sweep)
	@exec $(BIN)/python -m lab.sweep $(SWEEP)

skew: $(READY) controlplane ## the tests on the oldest and the newest API server that we claim. VERSIONS="1.32.0 1.37.2"
	$(call say,skew: $(VERSIONS))
	@for version in $(VERSIONS); do \
	    assets=$$(hack/controlplane/build skew $$version); \
	    printf '== skew: %s\n' "$$("$$assets/kube-apiserver" --version)"; \
	    KUBEBUILDER_ASSETS=$$assets $(BIN)/python -m pytest tests/integration $(PYTEST_ARGS) || exit 1; \
	done

audit: $(READY) ## known vulnerabilities of the pinned dependencies (needs a network)
	$(call say,audit)
	@[ -x dist/audit/bin/pip-audit ] || { $(BIN)/python -m venv dist/audit && dist/audit/bin/python -m pip install --quiet pip-audit==2.9.0; }
	@dist/audit/bin/pip-audit --strict --require-hashes --disable-pip -r requirements/run.txt

release: $(READY) ## what a release consists of, into dist/release/: images, charts, wheel, SBOMs, checksums. REPOSITORY=registry/name
	$(call say,release)
	@rm -rf dist/release && mkdir -p dist/release
	@$(BIN)/python -m lab.image --arch amd64 --twice $(if $(REPOSITORY),--repository $(REPOSITORY))
	@$(BIN)/python -m lab.image --arch arm64 $(if $(REPOSITORY),--repository $(REPOSITORY))
	@cp dist/microseg-*.oci.tar dist/microseg-*.cdx.json dist/work/wheel/microseg-*.whl dist/release/
	@helm=$$(hack/controlplane/build helm4)/helm4; \
	for chart in microseg microseg-crds; do "$$helm" package manifests/helm/$$chart --destination dist/release >/dev/null; done
	@cd dist/release && sha256sum * >SHA256SUMS && cat SHA256SUMS

coverage: $(READY) ## which lines and branches of the product the tests of unit and worlds reach, the least covered module last
	$(call say,coverage)
	@$(BIN)/coverage run -m pytest tests/unit tests/worlds $(PYTEST_ARGS)
	@$(BIN)/coverage report --sort=-cover

check: lint types contracts ## everything that can be checked without running: lint, types, contracts

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

generate: docs ## write what is generated from the model: crds/, the CRDs' chart, and docs/reference/
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
	$$compile --group dev -o requirements/dev.txt >/dev/null; \
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --quiet --group build -o requirements/build.txt >/dev/null

clean: ## remove the virtual environment, caches and results (not the control plane's programs, which are outside)
	rm -rf $(VENV) build dist .demo .e2e .bench .sweep .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find operator tests -name __pycache__ -prune -exec rm -rf {} +

help: ## this text
	@awk 'BEGIN {FS = ":.*## "} \
	    /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

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
