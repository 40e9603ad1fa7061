# `make run` and `make test` need Python >= 3.11 and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
# Several processes of tests; those that share a fixture of their module stay in one of them.
PARALLEL ?= -n auto --dist loadgroup --no-loadscope-reorder
WEB := $(shell sed -n 's/^web: //p' Procfile)

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Tests start hundreds of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE


.PHONY: help run admin check test test-pure test-postgresql test-all test-long test-mutants test-durations lint services durable-services bench bench-growth bench-concurrency bench-history bench-search bench-paths bench-files profile clean

help: ## Say what can be made.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile

run: $(BIN)/.runtime ## Start CloudNotes at http://127.0.0.1:8000.
	@sh -c '$(WEB)'

admin: $(BIN)/.runtime ## Make a member of staff for /admin/.
	@python manage.py migrate --no-input --verbosity 0
	@python manage.py createsuperuser $(ADMIN_OPTIONS)

check: $(BIN)/.dev ## Run lint and the tests that need no server, in a minute: before each commit.
	@$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint test-pure

test-pure: $(BIN)/.dev
	@DATABASE_URL= REDIS_URL= pytest -q -m "not database and not service" $(ARGS)

test: $(BIN)/.dev ## Run all tests on SQLite and a real S3 server.
	@DATABASE_URL= REDIS_URL= pytest $(PARALLEL) $(ARGS)

test-postgresql: $(BIN)/.dev services ## Run what uses a database again on PostgreSQL and Redis.
	@. .services/quick && pytest $(PARALLEL) $(ARGS)

test-all: test test-postgresql ## Run both legs.

test-long: $(BIN)/.dev services ## Run the long tests in full, on both legs: hours.
	@DATABASE_URL= REDIS_URL= TEST_LENGTH=full pytest -m long $(ARGS)
	@. .services/quick && TEST_LENGTH=full pytest -m long $(ARGS)

test-mutants: $(BIN)/.dev services ## Break the product on purpose, fault by fault; say which no test sees.
	@. .services/quick && python -m tests.mutants $(ARGS)

test-durations: $(BIN)/.dev ## Run the tests and write what each of them takes to durations.tsv.
	@DATABASE_URL= REDIS_URL= pytest $(PARALLEL) --durations-file durations.tsv $(ARGS)

lint: $(BIN)/.dev ## Check style, types, imports, migrations and production settings.
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python manage.py makemigrations --check --dry-run
	@ENVIRONMENT=production SECRET_KEY=$$(python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	PUBLIC_BASE_URL=https://notes.example.org TRUSTED_PROXY=1 DATABASE_URL=sqlite://:memory: \
	python manage.py check --deploy --fail-level WARNING

services: ## Install and start PostgreSQL, Redis, nginx and Chromium for the tests (Debian).
	@sh tests/services.sh

durable-services: ## The same with a PostgreSQL that keeps what it commits, for benchmarks.
	@sh tests/services.sh durable

bench: $(BIN)/.dev $(BENCH_VENV)/.baselines durable-services ## Compare CloudNotes with two other services.
	@sh benchmarks/services.sh
	@. .services/durable && python -m benchmarks.throughput $(ARGS)

bench-growth: $(BIN)/.dev durable-services ## Measure what a thousand times the notes cost.
	@. .services/durable && python -m benchmarks.growth $(ARGS)

bench-concurrency: $(BIN)/.dev durable-services ## Measure many connections at once.
	@sh benchmarks/services.sh
	@. .services/durable && python -m benchmarks.concurrency $(ARGS)

bench-history: $(BIN)/.dev durable-services ## Measure what history and feed cost a write.
	@sh benchmarks/services.sh
	@. .services/durable && python -m benchmarks.history $(ARGS)

bench-search: $(BIN)/.dev durable-services ## Measure what searches cost among a million notes.
	@. .services/durable && python -m benchmarks.searching $(ARGS)

bench-paths: $(BIN)/.dev durable-services ## Measure whether the fast path's pool and search pay.
	@. .services/durable && python -m benchmarks.paths

bench-files: $(BIN)/.dev durable-services ## Measure uploads, kills and S3 faults.
	@python -m benchmarks.files $(ARGS)

profile: $(BIN)/.dev $(BENCH_VENV)/.baselines durable-services ## Draw where the list spends its time.
	@sh benchmarks/services.sh
	@. .services/durable && python -m benchmarks.profiling $(ARGS)

clean: ## Forget the virtual environments and the test servers. Notes and files stay.
	-@sh tests/services.sh stop
	rm -rf $(VENV) $(BENCH_VENV) .services

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "CloudNotes needs Python 3.11 or later; say which with: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	|| { rm -rf $(VENV); echo "Python cannot make virtual environments here (Debian: apt install python3-venv)."; exit 1; }

$(BIN)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing what CloudNotes runs on ..."
	@python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(BIN)/.dev: requirements-dev.txt $(BIN)/.runtime
	@echo "Installing what the tests need ..."
	@python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(BENCH_VENV)/.baselines: benchmarks/requirements.txt | $(BIN)/python
	@echo "Installing what the baselines run on ..."
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
