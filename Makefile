# Everything is installed into .venv from the lock files; every target may be repeated, and a repeat does only what changed.
# Needs Python 3.11 or newer with its venv module and a C++ compiler; cmake and ninja come from the lock.

# The first Python on PATH that is new enough; `make PYTHON=/path/to/python3.12 ...` overrides it.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
MODELS := models

.DEFAULT_GOAL := help
.PHONY: help run test soak bench lock model clean
.DELETE_ON_ERROR:

help:
	@echo "make run     install, build the model, ingest deploy/sample-library, start the service"
	@echo "make test    everything CI runs: format, lint, types, tests"
	@echo "make soak    the long forms of the crash and endurance tests"
	@echo "make bench   the measurements of tests/bench"
	@echo "make lock    resolve the lock files again (UPGRADE=--upgrade takes newer versions)"
	@echo "make clean   remove the environment, the built model and caches; data/ stays"

run: $(VENV)/.runtime $(MODELS)/.built
	@sh deploy/run.sh

test: $(VENV)/.dev $(MODELS)/.built
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict service
	$(BIN)/python -m pytest -m "not soak"

soak: $(VENV)/.dev $(MODELS)/.built
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.bench $(MODELS)/.built
	$(BIN)/python -m tests.bench

model: $(MODELS)/.built

$(VENV)/.tools: requirements-build.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv), or: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module (Debian 12: apt-get install python3-venv)"; exit 1; }
	@command -v $(CXX) >/dev/null || { echo "A C++ compiler is needed to compile llama.cpp (Debian 12: apt-get install g++), or: make CXX=/path/to/c++ $(MAKECMDGOALS)"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements-build.lock
	@touch $@

# llama.cpp is compiled for this machine's CPU the first time (minutes); afterwards pip's cache has the wheel.
# That cache may come from another machine, hence the check: a wheel that asks for more than this CPU has is made again.
$(VENV)/.locked: requirements.lock $(VENV)/.tools
	@echo "Installing the locked dependencies (llama.cpp is compiled the first time: some minutes)"
	$(PIP) install --require-hashes --no-build-isolation -r requirements.lock
	@$(BIN)/python deploy/check_cpu.py || { \
		$(PIP) cache remove llama_cpp_python; \
		$(PIP) uninstall --yes llama-cpp-python; \
		$(PIP) install --require-hashes --no-build-isolation -r requirements.lock && \
		$(BIN)/python deploy/check_cpu.py; }
	@touch $@

$(VENV)/.runtime: pyproject.toml $(VENV)/.locked
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --require-hashes --no-build-isolation -r requirements-dev.lock
	@touch $@

# The comparison with other libraries is not part of the product: it takes their newest versions.
$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install --no-build-isolation --editable ".[bench]"
	@touch $@

$(MODELS)/.built: service/embedders/convert.py service/embedders/model.py | $(VENV)/.runtime
	$(BIN)/python -m service model build --into $(MODELS)
	@touch $@

LOCK := build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)

lock: build/uv/bin/uv
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

build/uv/bin/uv: $(VENV)/.tools
	$(BIN)/python -m venv build/uv
	build/uv/bin/pip --disable-pip-version-check --quiet install uv==0.13.8
	@touch $@

clean:
	rm -rf $(VENV) $(MODELS) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find service tests -name __pycache__ -prune -exec rm -rf {} +
