# Every target makes the virtual environment that it needs; Python 3.11 or newer and make are enough to start.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
WORKERS ?= 2
DOCS_READY := $(VENV)/.docs-ready

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-lowest lint format typecheck check docs bench torture clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv with the package and everything that the tests need

quickstart: $(READY) ## Train, score and annotate with the bundled sample suite (under 5 minutes on 2 cores)
	$(VENV)/bin/biomtl quickstart --overwrite

test: $(READY) ## Run the tests in two processes; narrow them with ARGS="tests/scoring -k pearson"
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-lowest: ## Test the wheel at the lowest versions allowed; needs a package index and 10 GB (3 with TORCH=VERSION+cpu)
	RESOLUTION=lowest TESTS="tests/heads tests/encoders tests/tasks tests/test_frames.py tests/checkpoints/test_onnx.py" \
		PYTHON=$(PYTHON) benchmarks/wheel.sh

lint: $(READY) ## Check style and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(READY) ## Mend style and formatting where a tool can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

typecheck: $(READY) ## Check the types
	$(VENV)/bin/mypy

check: lint typecheck test ## Lint, types and tests, as CI runs them

docs: $(DOCS_READY) ## Build the documentation site into site/
	$(VENV)/bin/mkdocs build --strict

bench: $(READY) ## Measure on the sample what batches of like length save, and what they cost in learning
	test -d build/sample || $(VENV)/bin/python -m biomtl.sample build/sample
	$(VENV)/bin/python benchmarks/batching.py --layers 1 $(ARGS) \
		$(foreach task,ddi2013 chemprot bc5cdr-chem,$(task)=build/sample/$(task)/train.jsonl)

torture: $(READY) ## Kill commands, damage files, fuzz readers: hours; ARGS="kills --count 100 --seconds 600"
	$(VENV)/bin/python -m torture $(ARGS)

clean: ## Remove the environment, caches and built files (runs/ stays)
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip comes first because Python 3.11 bundles one without --group. Then torch by itself, so that the pinned build is
# what all later packages find installed.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "biomtl needs Python 3.11 or newer: make PYTHON=python3.12 install")'
	@echo "Installing into $(VENV); the first time takes some minutes."
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt pip
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all]' --group dev
	@touch $@

$(DOCS_READY): $(READY)
	$(PIP) install --quiet --constraint constraints.txt --group docs
	@touch $@
