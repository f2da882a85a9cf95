# One command for each thing that this repository does: `make help` lists them.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
SPHINXOPTS ?= -W --keep-going
# A person at a terminal sees pip's progress, a log does not need it.
QUIET := $(if $(MAKE_TERMOUT),,--quiet)

# .venv is ours: it is rebuilt from nothing unless it was made here (.home, written when it is whole, holds this
# folder's path) and no install broke off inside it (.installing stands while pip runs).
SOUND := $(shell [ "$$(cat $(VENV)/.home 2>/dev/null)" = "$(CURDIR)" ] && [ ! -e $(VENV)/.installing ] && $(PY) -c '' 2>/dev/null && echo yes)
ifneq ($(SOUND),yes)
REBUILD := rebuild-environment
endif

.DEFAULT_GOAL := help
.PHONY: help reproduce test lint format docs bench clean rebuild-environment
.NOTPARALLEL:

help: ## list the commands
	@echo "Usage: make COMMAND [PYTHON=python3.12]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1: \2/p' $(MAKEFILE_LIST)

reproduce: $(VENV)/.ready-plot,peers ## run every benchmark in its quick form and write reproduction/index.html
	$(PY) -m benchmarks.reproduce --quick --html reproduction/index.html

test: $(VENV)/.ready-test ## run all tests and doctests
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev ## check style, formatting, types and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.ready-dev ## put imports and layout in order
	$(PY) -m ruff check --fix --select I .
	$(PY) -m ruff format .

docs: $(VENV)/.ready-docs ## build the documentation into docs/_build/html; warnings are errors
	$(PY) -m sphinx -b html $(SPHINXOPTS) docs docs/_build/html

bench: $(VENV)/.ready-plot,peers ## run one benchmark: make bench NAME=... [ARGS="--quick"]; no NAME lists them
	$(PY) -m benchmarks $(NAME) $(ARGS)

clean: ## remove what the commands wrote, the environment too
	rm -rf $(VENV) docs/_build docs/api docs/gallery reproduction
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp a set of extras. Stamps live inside .venv, so a rebuild takes them all away.
$(VENV)/.ready-%: pyproject.toml constraints.txt $(REBUILD)
	@touch $(VENV)/.installing
	$(PY) -m pip install --disable-pip-version-check $(QUIET) --constraint constraints.txt --editable '.[$*]'
	@rm $(VENV)/.installing
	@touch $@

rebuild-environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Matrica needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@echo "$(CURDIR)" > $(VENV)/.home
