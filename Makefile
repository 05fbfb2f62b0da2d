PYTHON ?= python3
BIN := .venv/bin

# The two commands of the README; each installs what it needs.
demo: .venv/installed
	$(BIN)/leadgauge demo

test: .venv/installed
	$(BIN)/pytest -n auto

# Slow proofs too, and Spark where there is Java; CI runs this.
test-all: .venv/spark
	$(BIN)/pytest -n auto --dist loadgroup -m ""

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A simulated month of the daemon, with changes, faults and kills; says what was lost or doubled.
soak: .venv/installed
	$(BIN)/python -m tests.soak --days 30 --seed 1

# Every figure of the README: each bench prints its ratio to a floor measured in the same run.
bench: .venv/installed
	$(BIN)/python -m tests.bench

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "leadgauge needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# The extra `spark` is large: it comes on top, and no plain install has it.
.venv/spark: .venv/installed requirements-spark.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-spark.lock
	touch $@

# Versions are renewed here and nowhere else.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet hatchling editables --group dev -e .
	$(BIN)/pip freeze --exclude leadgauge > requirements.lock
	$(BIN)/pip install --quiet -c requirements.lock -e '.[spark]'
	$(BIN)/pip freeze --exclude leadgauge | grep -vxFf requirements.lock > requirements-spark.lock

.PHONY: demo test test-all soak lint bench lock
