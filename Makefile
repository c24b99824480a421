# Each target works in a fresh clone without another one having been run.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format lab bench engine engine-down clean

PYTHON ?= python3
ENGINE ?= auto
VENV := .venv
BIN := $(VENV)/bin
EXAMPLES := -r notebooks/requirements.txt

help:
	@echo "make demo         verify notebooks/tour.ipynb, from nothing (ENGINE=docker starts one)"
	@echo "make test         all tests, with a real engine (started if there is none)"
	@echo "make test-fast    the unit tests"
	@echo "make lint         ruff, mypy, hadolint"
	@echo "make lab          JupyterLab on the tour, for trying the magics"
	@echo "make bench        the tables that the README quotes"
	@echo "make engine       a container engine for the tests; eval its last line"
	@echo "make engine-down  stop that engine and remove all of it"

$(VENV)/.demo: pyproject.toml notebooks/requirements.txt
	@$(PYTHON) -m tests.bed.environment $(VENV) -e . $(EXAMPLES)
	@touch $@

$(VENV)/.dev: pyproject.toml notebooks/requirements.txt
	@$(PYTHON) -m tests.bed.environment $(VENV) -e '.[dev]' $(EXAMPLES)
	@touch $@ $(VENV)/.demo

# The engine that `make engine` started is used if it is up; ENGINE=docker starts it if it is not.
demo: $(VENV)/.demo
	@if [ "$(ENGINE)" = docker ]; then host=$$($(PYTHON) -m tests.bed up | tail -n 1); \
	else host=$$($(PYTHON) -m tests.bed env 2>/dev/null | tail -n 1); fi; \
	if [ -n "$$host" ]; then export "$$host"; fi; \
	{ $(BIN)/ipydock verify notebooks/tour.ipynb --engine $(ENGINE) || \
	  { [ $$? = 4 ] && [ $(ENGINE) = auto ] && \
	    printf '\n%s\n' 'No image can be built here; the same without a container:' && \
	    $(BIN)/ipydock verify notebooks/tour.ipynb --engine venv; }; } && \
	printf '%s\n' '' 'Next:' \
	  '  $(BIN)/ipydock capture notebooks/tour.ipynb          what it needs, and why' \
	  '  $(BIN)/ipydock dockerfile notebooks/tour.ipynb       the Dockerfile' \
	  '  $(BIN)/ipydock verify YOUR.ipynb --python YOUR/env/bin/python' \
	  '  in a notebook: %load_ext ipydock, then %dockerize'

engine:
	@$(PYTHON) -m tests.bed up

engine-down:
	@$(PYTHON) -m tests.bed down

test: $(VENV)/.dev
	@$(PYTHON) -m tests.bed tools
	@$(BIN)/python -m tests.suite

test-fast: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/unit -n 2 -q -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_recipe_hadolint.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lab: $(VENV)/.demo
	@$(PYTHON) -m tests.bed.environment $(VENV) jupyterlab
	@host=$$($(PYTHON) -m tests.bed env 2>/dev/null | tail -n 1); \
	if [ -n "$$host" ]; then export "$$host"; fi; \
	$(BIN)/jupyter lab notebooks/tour.ipynb

bench: $(VENV)/.dev
	@host=$$($(PYTHON) -m tests.bed up | tail -n 1); export "$$host"; \
	$(BIN)/python -m benchmarks && $(BIN)/python -m benchmarks.build

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
