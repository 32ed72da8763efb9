# The tasks of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
RUNS ?= runs
MINUTES ?= 60
SECONDS_EACH ?= 20
# For train-seed-classifiers, as `--size 224 --steps 20000` where there is a GPU.
SEED_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint contract-wheels faults soak measure-capture sbom audit lock clean setup-train train-mask gather-objects train-detector train-seed-classifiers train-landmarks train-eyes train-pose

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-23s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

contract-wheels: setup ## Fetch the real TensorRT bindings, PyCUDA and picamera2 that the tests hold our code against
	@$(BIN)/python -m tests.support.contract_wheels .cache/contract-wheels

faults: setup ## Run the long fault tests: kills, outages, full disks, ten thousand keypoint arrays (about 30 minutes)
	@$(BIN)/pytest tests/faults --long

soak: setup ## Run three cameras among troubles for MINUTES (60), and tell what grows, how late alerts are and whether all were told
	@PYTHONPATH=tests $(BIN)/python -m support.soak $(MINUTES)

measure-capture: setup ## Measure what capture costs, SECONDS_EACH (20); best on an idle machine
	@PYTHONPATH=tests $(BIN)/python -m support.measure_capture $(SECONDS_EACH)

setup-train: ## Make .venv-train with PyTorch, for the trainings
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --disable-pip-version-check --editable '.[convert]'

train-mask: ## Train the mask classifier on DATA and write it to engines/ (about 40 minutes on two cores; resumes)
	.venv-train/bin/python -m convert train-mask --data $(DATA) --out $(RUNS)/mask --epochs 16 --resume
	.venv-train/bin/python -m convert export-mask --data $(DATA) --run $(RUNS)/mask

gather-objects: ## Fetch pictures of things that are no faces from Debian's packages, for train-detector
	@test -d $(RUNS)/objects || .venv-train/bin/python -m convert gather-objects --out $(RUNS)/objects

train-detector: gather-objects ## Train the face detector on DATA and write it to engines/ (about two and a half hours on two cores; resumes)
	.venv-train/bin/python -m convert train-detector --data $(DATA) --out $(RUNS)/detector --objects $(RUNS)/objects --resume
	.venv-train/bin/python -m convert export-detector --data $(DATA) --run $(RUNS)/detector

train-landmarks: ## Train the landmark regressor on DATA and write it to engines/ (about an hour on one core; resumes)
	.venv-train/bin/python -m convert train-landmarks --data $(DATA) --out $(RUNS)/landmarks --resume
	.venv-train/bin/python -m convert export-landmarks --data $(DATA) --run $(RUNS)/landmarks

train-eyes: ## Train the eye classifier on DATA and write it to engines/ (about three minutes; resumes)
	.venv-train/bin/python -m convert train-eyes --data $(DATA) --out $(RUNS)/eyes --resume
	.venv-train/bin/python -m convert export-eyes --data $(DATA) --run $(RUNS)/eyes

train-pose: ## Train both learned head poses on DATA and write them to engines/ (about an hour on one core; resumes)
	.venv-train/bin/python -m convert train-pose --data $(DATA) --out $(RUNS)/pose --resume
	.venv-train/bin/python -m convert train-pose-heatmap --data $(DATA) --out $(RUNS)/pose-heatmap --resume
	.venv-train/bin/python -m convert export-pose --data $(DATA) --run $(RUNS)/pose --heatmap-run $(RUNS)/pose-heatmap

train-seed-classifiers: ## Train the seed's ResNet-50, Xception and MobileNet on DATA, compare with ours (4 h on one core; resumes)
	.venv-train/bin/pip install --quiet --disable-pip-version-check --editable '.[keras]'
	for name in resnet50 xception mobilenet; do \
		.venv-train/bin/python -m convert train-seed-classifier --architecture $$name --data $(DATA) --out $(RUNS)/seed-$$name \
			--crops $(RUNS)/mask/crops-0 $(SEED_OPTIONS) --resume; \
	done
	.venv-train/bin/python -m convert compare-classifiers --data $(DATA) $(foreach name,resnet50 xception mobilenet,--run $(RUNS)/seed-$(name))

sbom: setup ## Write the bill of materials (CycloneDX) to build/edged.cdx.json
	@$(BIN)/python requirements/sbom.py build/edged.cdx.json

audit: sbom ## Hold the bill of materials against LIST, osv.dev's advisories as a zip, a folder or a file; asks no network
	@$(BIN)/python requirements/audit.py build/edged.cdx.json $(LIST)

# Each kind of installation with all it needs, in versions and files that the tests ran with.
LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: ## Write the locked requirements anew
	$(LOCK) --extra dev pyproject.toml requirements/build.in --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --output-file requirements/run.txt
	$(LOCK) --constraint requirements/dev.txt requirements/build.in --output-file requirements/build.txt
	$(LOCK) --constraint requirements/dev.txt --extra jetson pyproject.toml --output-file requirements/jetson.txt
	@$(MAKE) --no-print-directory lock-debian

clean: ## Remove what setup and the tests made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis engines/mtcnn-*.onnx

CODENAME ?= bookworm
ARCH ?= amd64
.PHONY: deb lock-debian
deb: setup ## Build the Debian package for CODENAME (bookworm, trixie, noble, jammy) and ARCH (amd64, arm64) into build/deb
	@$(BIN)/python systemd/debian/build.py $(CODENAME) $(ARCH) build/deb

# What run.txt locks, for each release's Python. Debian 13's own numpy is left out: picamera2 is built against it.
LOCK_DEBIAN = uv pip compile --quiet --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package pip --no-emit-package tzdata pyproject.toml
lock-debian:
	$(LOCK_DEBIAN) --python-version 3.10 --constraint requirements/run.txt --output-file requirements/debian/jammy.txt
	$(LOCK_DEBIAN) --python-version 3.11 --constraint requirements/run.txt --output-file requirements/debian/bookworm.txt
	$(LOCK_DEBIAN) --python-version 3.12 --constraint requirements/run.txt --output-file requirements/debian/noble.txt
	$(LOCK_DEBIAN) --python-version 3.13 --no-emit-package numpy --output-file requirements/debian/trixie.txt \
		--constraint <(echo numpy==2.2.4; sed -n '/^numpy==/d; s/^\([a-z].*==.*\) \\$$/\1/p' requirements/run.txt)

SCENARIO ?=
.PHONY: vm
vm: setup ## Try the package under a real systemd in QEMU: every scenario of tests/vm, or SCENARIO=install (needs qemu-system-x86 and mmdebstrap)
	@nice -n 10 $(BIN)/python -m tests.vm $(SCENARIO)
