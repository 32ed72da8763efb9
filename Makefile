# The tasks of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
RUNS ?= runs

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint faults lock clean setup-train train-mask train-detector

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make .venv, install the locked dependencies, build the models that are built locally
	@$(BIN)/python -m convert mtcnn --out engines

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Play an entrance through the real daemon: alerts as a subscriber hears them, and the day's report
	@$(BIN)/edged demo

test: setup ## Run the tests
	@$(BIN)/pytest

lint: setup ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

faults: setup ## Run the long fault tests: kills, outages, full disks (about 15 minutes)
	@$(BIN)/pytest tests/faults --long

setup-train: ## Make .venv-train with PyTorch, for the trainings
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --disable-pip-version-check --editable '.[convert]'

train-mask: ## Train the mask classifier on DATA and write it to engines/ (about 40 minutes on two cores; resumes)
	.venv-train/bin/python -m convert train-mask --data $(DATA) --out $(RUNS)/mask --epochs 16 --resume
	.venv-train/bin/python -m convert export-mask --data $(DATA) --run $(RUNS)/mask

train-detector: ## Train the face detector on DATA and write it to engines/ (about two hours on two cores; resumes)
	.venv-train/bin/python -m convert train-detector --data $(DATA) --out $(RUNS)/detector --resume
	.venv-train/bin/python -m convert export-detector --data $(DATA) --run $(RUNS)/detector

lock: ## Write the locked requirements anew
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--extra dev pyproject.toml requirements/build.in --output-file requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		pyproject.toml --output-file requirements/run.txt

clean: ## Remove what setup and the tests made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis engines/mtcnn-*.onnx
