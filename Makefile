# Each target works alone on a machine with Python 3.11+; setup is done once and again when its inputs change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup demo test check clean

setup: $(STAMP)

$(STAMP): pyproject.toml .constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dreamloop needs Python 3.11 or newer; set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .constraints-cpu.txt --editable '.[dev]'
	@# Builds of these for another torch break the import of transformers, and nothing here needs them.
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $(STAMP)

demo: setup
	$(BIN)/dreamloop cycle --source dreamloop/samples

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not model and not night"

test: setup
	$(BIN)/python -m pytest

clean:
	rm -rf .venv
