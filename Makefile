# `make` lists the targets. Everything is installed into this folder: .uv/ (uv itself, where it is
# not on PATH), backend/.venv/ (the service and its tools), .data/ (the embedded PostgreSQL).

.DEFAULT_GOAL := help
.PHONY: help run test check format lint types imports audit sbom migrate test-slow test-faults test-browser test-pgbouncer test-prometheus dashboard bench bench-auth bench-live bench-metrics bench-overload bench-faults clean

# The certificates of this machine, which may know an authority that uv's own do not (a company's proxy).
export UV_SYSTEM_CERTS := 1

PYTHON ?= python3
UV := $(or $(shell command -v uv),../.uv/bin/uv)
OWN_UV := $(if $(filter ../%,$(UV)),.uv/bin/uv)
BIN := .venv/bin
READY := backend/.venv/.ready
BETTER_AUTH := backend/tests/better_auth/node_modules/.ready
BENCH_NODE := backend/bench/subjects/node/node_modules/.ready
HAS_NODE := $(shell node backend/tests/better_auth/has_node.cjs 2>/dev/null && command -v npm)
NO_NODE := -m 'not browser and not pgbouncer and not prometheus and not slow and not faults and not node'
IN_BACKEND := cd backend &&

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## serve http://127.0.0.1:8000, with its own database (HOST= PORT= WORKERS= DATABASE_URL=)
	@$(IN_BACKEND) exec $(BIN)/tasks-api serve

migrate: $(READY) ## bring the schema of DATABASE_URL, or of the embedded database, up to date
	@$(IN_BACKEND) exec $(BIN)/tasks-api migrate

test: $(READY) $(if $(HAS_NODE),$(BETTER_AUTH)) ## run the tests on an embedded PostgreSQL, in two minutes (T=tests/test_tasks.py for some)
	$(if $(HAS_NODE),,@echo "Left out: the tests with a real Better Auth and with examples/*.ts, for want of Node.js 20.19 or newer with npm.")
	$(IN_BACKEND) $(BIN)/pytest -n auto $(if $(HAS_NODE),,$(NO_NODE)) $(if $(T),$(T),$(if $(COVERAGE),--cov --cov-report=term))

check: COVERAGE := 1
check: format lint types imports test test-slow ## everything a change must pass: format, lint, types, import rules, tests and their coverage

format: $(READY) ## is the code formatted? (FIX=1 formats it)
	$(IN_BACKEND) $(BIN)/ruff format $(if $(FIX),,--check) . ../examples

lint: $(READY) ## is the code clean? (FIX=1 mends what can be)
	$(IN_BACKEND) $(BIN)/ruff check $(if $(FIX),--fix,) . ../examples

types: $(READY) ## do the types hold?
	$(IN_BACKEND) $(BIN)/mypy

imports: $(READY) ## do imports point down?
	$(IN_BACKEND) $(BIN)/lint-imports

audit: $(READY) ## are there known vulnerabilities in what is locked? (AUDIT_REQUIRED=1 fails where nobody can be asked)
	@$(IN_BACKEND) UV="$(UV)" ../.ci/audit

sbom: $(READY) ## list what a production install holds in sbom.cdx.json, as CycloneDX 1.5 (EXTRA=telemetry with that)
	@$(IN_BACKEND) $(UV) export --quiet --frozen --no-dev $(if $(EXTRA),--extra $(EXTRA)) \
		--preview-features sbom-export --format cyclonedx1.5 --output-file ../sbom.cdx.json
	@echo "Written to sbom.cdx.json."

test-slow: $(READY) ## the tests that take long: real processes and their ends, schemathesis (T=tests/test_openapi.py for some)
	$(IN_BACKEND) $(BIN)/pytest -n auto -m slow $(T)

test-faults: $(READY) ## overload, faults, crashes and attackers, against real servers (with Debian's programs; installed if you are root)
	@for program in pgbouncer redis-server haproxy; do command -v $$program >/dev/null || $(call apt,pgbouncer redis-server haproxy) || exit 1; done
	$(IN_BACKEND) $(BIN)/pytest -n auto --dist loadfile -m faults $(T)

test-browser: $(READY) ## use /docs in a real Chromium (Debian's; installed if you are root)
	@command -v chromium >/dev/null || $(call apt,chromium)
	$(IN_BACKEND) $(UV) sync --quiet --locked --extra embedded --group browser
	$(IN_BACKEND) $(BIN)/pytest -m browser tests/test_browser.py

test-pgbouncer: $(READY) ## several processes through a real PgBouncer (Debian's; installed if you are root)
	@command -v pgbouncer >/dev/null || $(call apt,pgbouncer)
	$(IN_BACKEND) $(BIN)/pytest -m pgbouncer tests/test_pgbouncer.py

test-prometheus: $(READY) ## the alert rules and the dashboard on a real Prometheus (Debian's; installed if you are root)
	@command -v promtool >/dev/null || $(call apt,prometheus)
	$(IN_BACKEND) $(BIN)/pytest -m prometheus tests/test_prometheus.py

dashboard: $(READY) ## draw docs/images/dashboard.png, from a real Prometheus that watches two workers
	@command -v prometheus >/dev/null || $(call apt,prometheus)
	$(IN_BACKEND) $(UV) sync --quiet --locked --extra embedded --group bench
	@$(IN_BACKEND) $(BIN)/python -m bench.dashboard

bench-auth: $(READY) ## measure what checking a credential costs, each figure against its goal
	@$(IN_BACKEND) $(BIN)/python -m bench.auth

bench-live: $(READY) ## measure what 5,000 idle listeners cost a process, in a minute and a half
	@$(IN_BACKEND) $(BIN)/python -m bench.live

bench-metrics: $(READY) ## measure what counting for /metrics adds to a request, in half a minute
	@$(IN_BACKEND) $(BIN)/python -m bench.metrics

bench-overload: $(READY) ## measure what is left of the service under 10 times the load that it can serve, in eleven minutes (with Debian's haproxy; installed if you are root)
	@command -v haproxy >/dev/null || $(call apt,haproxy)
	@$(IN_BACKEND) $(UV) sync --quiet --locked --extra embedded --group bench
	@$(IN_BACKEND) $(BIN)/python -m bench.overload

bench-faults: $(READY) ## measure what callers meet when the database does not answer, in two minutes
	@$(IN_BACKEND) $(BIN)/python -m bench.faults

bench: $(READY) $(if $(HAS_NODE),$(BENCH_NODE)) ## compare with what else one would pick, and hold every goal of speed, in 15 minutes (ARGS="--only get,create" for some; with Debian's wrk)
	@command -v wrk >/dev/null || $(call apt,wrk)
	$(if $(HAS_NODE),,@echo "Left out: the systems in JavaScript, for want of Node.js 20.19 or newer with npm.")
	@$(IN_BACKEND) $(UV) sync --quiet --locked --extra embedded --group bench
	@$(IN_BACKEND) $(BIN)/python -m bench $(ARGS)

clean: ## remove what was installed here; your data in .data/ stays
	rm -rf .uv backend/.venv backend/tests/better_auth/node_modules backend/bench/subjects/node/node_modules

apt = { [ "$$(id -u)" = 0 ] || { echo "Install $(1) first: sudo apt-get install $(1)"; exit 1; }; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); }

$(READY): backend/pyproject.toml backend/uv.lock | $(OWN_UV)
	@echo "Installing into backend/.venv, once; it takes about half a minute."
	@$(IN_BACKEND) $(UV) sync --quiet --locked --extra embedded --compile-bytecode
	@touch $@

$(BETTER_AUTH): backend/tests/better_auth/package-lock.json
	@echo "Installing Better Auth and TypeScript for the tests, once."
	@cd backend/tests/better_auth && npm ci --loglevel=error --no-audit --no-fund \
		|| { echo "npm can't install it; to test without: make test HAS_NODE="; exit 1; }
	@touch $@

$(BENCH_NODE): backend/bench/subjects/node/package-lock.json
	@echo "Installing the systems in JavaScript that the bench compares with, once."
	@cd backend/bench/subjects/node && npm ci --loglevel=error --no-audit --no-fund
	@touch $@

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .uv \
		|| { rm -rf .uv; echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv
