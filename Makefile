# Each target does all of its own set-up; PYTHON may name another interpreter of version 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CRF := $(VENV)/.installed-crf
DOCS := $(VENV)/.installed-docs
DEMO ?= demo
# pip compiles what it installs on one core, which is half of its time: that is done afterwards, on all cores. It fails
# where a package has templates of code, which are no Python.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
# A process of tests that dies ends the run: xdist 3.8 would give its tests to another one, and may wait for ever.
PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# COVERAGE=1 prints how many lines were run, which takes longer.
MEASURED := $(if $(COVERAGE),--cov --cov-report=term)

.PHONY: demo test test-clusters test-all check lint types imports clean wheel-test docs notebook

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netwright needs Python 3.11 or later; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP) torch numpy
	$(PIP) --editable '.[dev]'
	$(COMPILE) || true
	touch $@

# Built here from source, by a C++ compiler. Where there is none, only what needs the CRF does not run.
$(CRF): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[crf]' && touch $@ \
	  || echo 'The CRF could not be built (it takes a C++ compiler and the headers of Python); its tests are skipped.'

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py $(DEMO)

# Two processes of two threads each wait for one another, in numpy as in torch: one thread for each. And the commands
# that tests start are not to compile their modules anew each time.
test test-clusters test-all notebook: export OMP_NUM_THREADS := 1
test test-clusters test-all notebook: export PYTHONDONTWRITEBYTECODE :=

test: $(INSTALLED) $(CRF)
	$(BIN)/python -m pytest -m 'not slow and not cluster' $(PARALLEL) $(MEASURED)

# What clusters have, PostgreSQL and Ray among it, and what happens when it fails.
test-clusters: $(INSTALLED)
	$(BIN)/python -m pytest -m 'cluster and not slow' $(PARALLEL) $(MEASURED)

test-all: $(INSTALLED) $(CRF)
	$(BIN)/python -m pytest --hypothesis-profile exploring $(PARALLEL) $(MEASURED)

# The wheel, installed without this repository.
wheel-test: $(INSTALLED)
	tests/wheel_test.sh $(VENV)

# The notebook: slow, since a kernel starts for it.
notebook: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_examples.py -k notebook

# The documentation as a site, in site/. A warning ends it, as of a link that leads nowhere; with --quiet none is counted.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean

check: lint types imports

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

imports: $(INSTALLED)
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(DEMO) build dist site src/*.egg-info
