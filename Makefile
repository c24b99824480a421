# Each target works in a fresh clone without another one having been run.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format bench lab engine engine-down clean

PYTHON ?= python3
ENGINE ?= auto
VENV := .venv
BIN := $(VENV)/bin
DEMO := .cache/demo
STAMP := $(VENV)/.installed

help:
	@echo "make demo         verify notebooks/tour.ipynb, from nothing (ENGINE=docker|podman|venv)"
	@echo "make test         all tests, with a real engine (started if there is none)"
	@echo "make test-fast    the unit tests"
	@echo "make lint         ruff, mypy, hadolint"
	@echo "make bench        the table that the README quotes"
	@echo "make engine       a container engine for the tests; eval its last line"
	@echo "make engine-down  stop that engine and remove all of it"

$(STAMP): pyproject.toml notebooks/requirements.txt
	$(PYTHON) tests/bed/bootstrap.py $(VENV) -e '.[dev]' -r notebooks/requirements.txt
	@touch $(STAMP)

demo:
	@$(PYTHON) -m tests.bed.demo --engine $(ENGINE)

engine:
	@$(PYTHON) -m tests.bed up

engine-down:
	@$(PYTHON) -m tests.bed down

test: $(STAMP)
	@$(BIN)/python -m tests.run

test-fast: $(STAMP)
	$(BIN)/python -m pytest -q tests/unit -m "not slow and not engine"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_recipe_hadolint.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks
