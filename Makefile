# `make` alone lists the targets. Each one does its own set-up.
PYTHON ?= $(shell for p in python3 python3.15 python3.14 python3.13 \
	python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# What `make test` installs; LOCK= takes the newest releases instead.
LOCK ?= requirements.lock
# Each test starts processes, and compiled modules halve a start.
unexport PYTHONDONTWRITEBYTECODE
# Tests wait as long as they compute: two workers for each core we count on.
SHARED_OUT := --numprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo fuzz rehearse bench test-pythons slides slides-pdf pingpong-c test test-oldest \
	lock lint format proto patterns-index clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) \
		| sort | awk -F':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found on PATH." \
		"Install one, or name it: make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(LOCK) | $(BIN)/python
ifneq ($(LOCK),)
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--require-hashes --requirement $(LOCK)
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--no-deps --editable .
else
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--editable '.[dev]'
endif
	@touch $@ $(VENV)/.run

test: $(VENV)/.dev ## run every test, shuffled, on two cores
	$(BIN)/pytest $(SHARED_OUT)

test-pythons: ## run the tests on each Python from 3.11 that is there
	for python in python3.11 python3.12 python3.13 python3.14 \
		python3.15; do \
		$$python -c '' 2>/dev/null || { echo "no $$python here"; continue; }; \
		$(MAKE) PYTHON=$$python VENV=.venv-$$python test || exit 1; done

test-oldest: ## run the tests with the oldest releases we admit
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check \
		--constraint .ci/oldest.txt --editable '.[dev]'
	.venv-oldest/bin/pytest $(SHARED_OUT)

$(VENV)/.fuzz: pyproject.toml $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--editable '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz ## give each parser of foreign bytes noise for FUZZ_S seconds (30)
	$(BIN)/python -m tests.fuzz

lock: | $(BIN)/python ## write requirements.lock with the newest releases
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
		--upgrade --generate-hashes --no-header --no-annotate \
		--extra dev pyproject.toml --output-file requirements.lock

lint: $(VENV)/.dev ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .

format: $(VENV)/.dev ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(VENV)/.run ## watch the three examples survive being killed
	$(BIN)/python -m slides demo

pingpong-c: ## build the C twin of ping-pong in pingpong/c/build
	$(MAKE) -C pingpong/c

$(VENV)/.slides: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--editable '.[slides]'
	@touch $@

slides: $(VENV)/.slides ## build the deck and show it in a browser
	$(BIN)/python -m slides serve --open

rehearse: $(VENV)/.slides ## type every command of the deck and see that it works
	$(BIN)/python -m slides rehearse

bench: $(VENV)/.dev pingpong-c ## measure everything, for the deck and the README
	$(BIN)/python -m slides bench --keep

slides-pdf: $(VENV)/.slides ## print build/slides.pdf and, with the notes, build/handout.pdf
	$(BIN)/python -m slides pdf
	$(BIN)/python -m slides pdf --handout build/handout.pdf

proto: $(VENV)/.dev ## regenerate the protobuf code from the schema
	mkdir -p build
	$(BIN)/protoc --python_out=build --pyi_out=build proto/messages.proto
	for package in pingpong image_pipeline plugin_system; do \
		cp build/proto/messages_pb2.py build/proto/messages_pb2.pyi $$package; done

patterns-index: $(VENV)/.dev ## list the claims of the chapters
	$(BIN)/python -m tests.patterns.index

clean: ## remove everything that make has made
	rm -rf $(VENV) .venv-* build pingpong/c/build dist *.egg-info \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
