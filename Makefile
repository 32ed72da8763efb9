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
WORKERS ?= 5
# For train-baseline-classifiers, as `--size 224 --steps 20000` where there is a GPU.
BASELINE_OPTIONS ?=
BASELINES := resnet50 xception mobilenet
# Of these, which `make train-baseline-classifiers` trains.
ONLY ?= $(BASELINES)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint contract-wheels home-assistant faults soak mutate-settings mutate test-fleet measure-fleet measure-export measure-capture measure-console measure-viewer readme-picture sounds measure-outputs sbom audit lock docs clean setup-train train-mask gather-objects train-detector train-rescorer train-baseline-classifiers train-baseline-landmarks train-landmarks train-eyes train-pose

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-27s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make .venv, install the locked dependencies, build the models that are built locally
	@echo "Building the models that are built locally into engines/."
	@$(BIN)/python -m convert mtcnn --out engines

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@echo "Installing edged and its tools into $(VENV). The first time this takes a few minutes; nothing is printed meanwhile."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Play an entrance through the real daemon: alerts as a subscriber hears them, and the day's report
	@$(BIN)/edged demo

# Bytecode is kept: hundreds of processes of edged start, and each of the WORKERS reads all tests.
test: export PYTHONDONTWRITEBYTECODE =
test: setup ## Run the tests, on WORKERS processes (5: much of the time they wait)
	@$(BIN)/python -m compileall -q edged
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

contract-wheels: setup ## Fetch the real TensorRT bindings, PyCUDA and picamera2 that the tests hold our code against
	@$(BIN)/python -m tests.support.contract_wheels .cache/contract-wheels

# A Python 3.13, which this Home Assistant needs: PYTHON_HOME_ASSISTANT=… names another than those looked for here.
PYTHON_HOME_ASSISTANT ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) python3.13)
home-assistant: .cache/homeassistant/.ready ## Install Home Assistant into an environment of its own, for tests/test_home_assistant.py (about ten minutes)

.cache/homeassistant/.ready:
	$(PYTHON_HOME_ASSISTANT) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-compile 'homeassistant==2025.4.*' paho-mqtt==2.1.0
	@touch $@

faults: setup ## Run the long form of every test that has one: kills, outages, broken disks, bad networks, wedged parts (hours)
	@$(BIN)/pytest -m long --long

soak: setup ## Run three cameras among troubles for MINUTES (60), and tell what grows, how late alerts are and whether all were told
	@PYTHONPATH=tests $(BIN)/python -m support.soak $(MINUTES)

mutate-settings: setup ## Ignore one key of the config after the other, of all TABLES or some (TABLES="output mail"): the table of settings must turn red each time
	@PYTHONPATH=tests $(BIN)/python -m support.ignored_keys $(TABLES)

mutate: setup ## Try SAMPLE (8) mutants of each of some modules, and list those that no test notices (needs no data; about 15 minutes)
	@test -d .venv-mutate || { $(PYTHON) -m venv .venv-mutate; .venv-mutate/bin/pip install --quiet --disable-pip-version-check 'cosmic-ray>=8.4,<9'; }
	@$(BIN)/python tests/support/mutants.py $(or $(SAMPLE),8)

# An environment of its own: Spark is large, and needs a Java of version 17 or later (apt install default-jre-headless).
.venv-fleet/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv-fleet
	.venv-fleet/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	.venv-fleet/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-fleet/bin/pip install --quiet --disable-pip-version-check 'pyspark>=4,<5'
	@touch $@

test-fleet: .venv-fleet/.ready ## Run the tests of exports and fleets with Spark too, in an environment of its own (needs Java)
	@.venv-fleet/bin/pytest tests/test_export_*.py tests/test_fleet_*.py

DEVICES ?= 5000
measure-fleet: .venv-fleet/.ready ## Measure exports and fleet reports: equal integers of every engine, slopes, a busy day, and one day of DEVICES (5000) with 2,000 passages each
	@PYTHONPATH=tests PYTHONUNBUFFERED=1 .venv-fleet/bin/python -m support.measure_fleet $(DEVICES)

measure-export: setup ## Measure the export of a busy day beside a running analysis (3 minutes; best on an idle machine)
	@PYTHONPATH=tests $(BIN)/python -m support.measure_export

measure-capture: setup ## Measure what capture costs, SECONDS_EACH (20); best on an idle machine
	@PYTHONPATH=tests $(BIN)/python -m support.measure_capture $(SECONDS_EACH)

measure-console: setup ## Leave a browser open before the console for MINUTES (60): what grows, how old pictures are, and of what that is made (needs chromium; MINUTES=2 for the age alone)
	@PYTHONPATH=tests $(BIN)/python -m support.left_open $(MINUTES)

measure-viewer: setup ## Measure what somebody who looks costs analysis: pictures analysed a second with one viewer against none, in turns of one run; best on an idle machine
	@PYTHONPATH=tests $(BIN)/python -m support.viewer

readme-picture: setup ## Make README's pictures anew from the demo (needs chromium)
	@PYTHONPATH=tests $(BIN)/python -m support.readme_picture .readme/edged.png .readme/console.png

measure-outputs: setup ## Measure how soon lamps and sounds tell while three cameras are watched, over SECONDS_EACH (20)
	@PYTHONPATH=tests $(BIN)/python -m support.measure_outputs $(SECONDS_EACH)

sounds: setup ## Have espeak-ng speak the sentences of the built-in voice anew
	@PYTHONPATH=tests $(BIN)/python -m support.speak

setup-train: ## Make .venv-train with PyTorch, for the trainings
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --disable-pip-version-check --editable '.[convert]'

train-mask: ## Train the mask classifier on DATA and write it to engines/ (about 40 minutes on two cores; resumes)
	.venv-train/bin/python -m convert train-mask --data $(DATA) --out $(RUNS)/mask --epochs 16 --resume
	.venv-train/bin/python -m convert export-mask --data $(DATA) --run $(RUNS)/mask

gather-objects: ## Fetch pictures of things that are no faces from Debian's packages, for train-detector --objects
	@test -d $(RUNS)/objects || .venv-train/bin/python -m convert gather-objects --out $(RUNS)/objects

train-detector: ## Train the face detector on DATA and write it to engines/ (about two hours on two cores; resumes)
	.venv-train/bin/python -m convert train-detector --data $(DATA) --out $(RUNS)/detector --resume
	.venv-train/bin/python -m convert export-detector --data $(DATA) --run $(RUNS)/detector

train-rescorer: ## Train the network that scores the detector's detections anew, after train-detector (about half an hour on one core; resumes)
	.venv-train/bin/python -m convert train-rescorer --data $(DATA) --out $(RUNS)/rescorer --pictures $(RUNS)/detector/pictures-0 --resume
	.venv-train/bin/python -m convert export-rescorer --data $(DATA) --run $(RUNS)/rescorer

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

train-baseline-classifiers: ## Train ResNet-50, Xception and MobileNet on DATA for models.mask, and compare them with edged's own (ONLY=mobilenet: that one; resumes)
	.venv-train/bin/pip install --quiet --disable-pip-version-check --editable '.[keras]'
	for name in $(ONLY); do \
		.venv-train/bin/python -m convert train-baseline-classifier --architecture $$name --data $(DATA) --out $(RUNS)/baseline-$$name \
			--crops $(RUNS)/mask/crops-0 $(BASELINE_OPTIONS) --resume && \
		.venv-train/bin/python -m convert export-baseline-classifier --data $(DATA) --run $(RUNS)/baseline-$$name || exit 1; \
	done
	.venv-train/bin/python -m convert compare-classifiers --data $(DATA) $(foreach name,$(ONLY),--run $(RUNS)/baseline-$(name))

train-baseline-landmarks: ## Train EfficientNet-B0 for 68 points on DATA, for models.landmarks (resumes)
	.venv-train/bin/python -m convert train-landmarks --architecture efficientnet-b0 --data $(DATA) --out $(RUNS)/landmarks-efficientnet-b0 --resume
	.venv-train/bin/python -m convert export-landmarks --architecture efficientnet-b0 --data $(DATA) --run $(RUNS)/landmarks-efficientnet-b0

sbom: setup ## Write the bill of materials (CycloneDX) to build/edged.cdx.json
	@$(BIN)/python requirements/sbom.py build/edged.cdx.json

audit: sbom ## Hold the bill of materials against LIST, osv.dev's advisories as a zip, a folder or a file; asks no network
	@$(BIN)/python requirements/audit.py build/edged.cdx.json $(LIST)

# Each kind of installation with all it needs, in versions and files that the tests ran with.
LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: ## Write the locked requirements anew
	$(LOCK) --extra dev pyproject.toml requirements/build.in --output-file requirements/dev.txt
	$(LOCK) --constraint requirements/dev.txt --extra console --extra outputs pyproject.toml --output-file requirements/run.txt
	$(LOCK) --constraint requirements/dev.txt requirements/build.in --output-file requirements/build.txt
	$(LOCK) --constraint requirements/dev.txt --extra jetson --extra console --extra outputs pyproject.toml --output-file requirements/jetson.txt
	$(LOCK) requirements/docs.in --output-file requirements/docs.txt
	@$(MAKE) --no-print-directory lock-debian

.venv-docs/.ready: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

docs: setup .venv-docs/.ready ## Build the documentation into build/site; a dead link or a page that is not current is an error
	@$(BIN)/pytest tests/test_docs.py
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

clean: ## Remove what setup and the tests made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis engines/mtcnn-*.onnx

CODENAME ?= bookworm
ARCH ?= amd64
.PHONY: deb deb-check lock-debian
deb: setup ## Build the Debian package for CODENAME (bookworm, trixie, noble, jammy) and ARCH (amd64, arm64) into build/deb
	@$(BIN)/python systemd/debian/build.py $(CODENAME) $(ARCH) build/deb

deb-check: setup ## Build the package of CODENAME twice and compare, run lintian, and try it in a pristine system of that release (needs root, mmdebstrap, lintian)
	@$(BIN)/python systemd/debian/build.py $(CODENAME) $(ARCH) build/deb
	@XZ_LEVEL=0 $(BIN)/python systemd/debian/build.py $(CODENAME) $(ARCH) build/deb/once && XZ_LEVEL=0 $(BIN)/python systemd/debian/build.py $(CODENAME) $(ARCH) build/deb/again
	@cmp build/deb/once/edged_*+$(CODENAME)*_$(ARCH).deb build/deb/again/edged_*+$(CODENAME)*_$(ARCH).deb && rm -r build/deb/once build/deb/again
	@lintian --fail-on error build/deb/edged_*+$(CODENAME)*_$(ARCH).deb
	@sh tests/deb/check.sh build/deb/edged_*+$(CODENAME)*_$(ARCH).deb $(CODENAME) "$$($(BIN)/python -c 'from tests.vm.lab import clip; print(clip())')"

# What run.txt locks, for each release's Python. Debian 13's own numpy is left out: picamera2 is built against it.
LOCK_DEBIAN = uv pip compile --quiet --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package pip --no-emit-package tzdata --extra console --extra outputs pyproject.toml
lock-debian:
	$(LOCK_DEBIAN) --python-version 3.10 --constraint requirements/run.txt --output-file requirements/debian/jammy.txt
	$(LOCK_DEBIAN) --python-version 3.11 --constraint requirements/run.txt --output-file requirements/debian/bookworm.txt
	$(LOCK_DEBIAN) --python-version 3.12 --constraint requirements/run.txt --output-file requirements/debian/noble.txt
	$(LOCK_DEBIAN) --python-version 3.13 --no-emit-package numpy --output-file requirements/debian/trixie.txt \
		--constraint <(echo numpy==2.2.4; sed -n '/^numpy==/d; s/^\([a-z].*==.*\) \\$$/\1/p' requirements/run.txt)

BOARD ?= generic-amd64
.PHONY: image image-check
image: setup ## Make an image for UEFI machines into build/image: BOARD=generic-amd64 or generic-arm64 (needs mmdebstrap, mtools, bmap-tools)
	$(if $(filter generic-amd64 generic-arm64,$(BOARD)),,$(error BOARD is generic-amd64 or generic-arm64, not $(BOARD)))
	@systemd/image/generic/build.sh $(BOARD)
	@$(MAKE) --no-print-directory deb CODENAME=trixie ARCH=$(BOARD:generic-%=%)
	@systemd/image/generic/build.sh $(BOARD) "$$(ls -t build/deb/edged_*+trixie*_$(BOARD:generic-%=%).deb | head -n 1)" build/image

image-check: setup ## Boot the image of BOARD by UEFI in QEMU, set up by one file on its card, and see an alert (needs ovmf, qemu-system-x86)
	@nice -n 10 $(BIN)/python -m tests.vm.boot_image build/image/edged-$(BOARD).img.xz

SCENARIO ?=
.PHONY: vm
vm: setup ## Try the package under a real systemd in QEMU: every scenario of tests/vm, or SCENARIO=install; LONG=1: the long forms (needs qemu-system-x86, mmdebstrap and dosfstools)
	@nice -n 10 $(BIN)/python -m tests.vm $(if $(LONG),--long) $(SCENARIO)
