# Each target sets itself up: a fresh machine needs Python 3.11 and make, nothing else.
#
#   make demo    train, convert, verify and profile two small models; artifacts and reports in build/demo/
#   make test    all tests            make quick   the tests that take seconds
#   make lint    ruff and mypy        make docs    regenerate the generated pages of docs/
#   make setup-emulators   Debian packages of the emulators, where root; says what is left out where not (make test calls it)
#   make bench   measure edgekit against the tools a user would pick instead; results in build/bench/

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3.11
JOBS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready

.PHONY: demo test quick lint docs bench setup-emulators clean

demo: $(READY)
	$(RUN) examples/demo.py

test: $(READY) setup-emulators
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS)

quick: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) -m "not slow"

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(READY)
	$(RUN) -m docs.generate

setup-emulators: $(READY)
	$(RUN) -m edgekit_runtimes._debian

bench: $(READY) $(BENCH_READY)
	$(RUN) -m benchmarks

# One pip run each, pinned. The stamp is written last, so that an interrupted installation is taken up again.
$(READY): pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

$(BENCH_READY): pyproject.toml constraints.txt
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,vendor,tensorflow,peers]'
	touch $@

clean:
	rm -rf build $(VENV) $(BENCH_VENV)
