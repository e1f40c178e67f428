# The interface of this repository. `make` tells what there is.
#
# Everything below needs Python 3.11 or later, pip and make, nothing else: the first target that
# needs it makes .venv and installs the locked packages, a PostgreSQL and a NATS server included.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := ledger projections tests benchmarks examples
# Stamps: the packages of this lock are installed, and so is this project. Each is written last, so
# that an interrupted set-up is begun again.
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
# Some systems split pip from venv: then the system's pip installs into .venv.
PIP = $$(test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python) --disable-pip-version-check
# Each process has servers of its own; more than four of them would only wait for each other's disk.
# One that dies is not replaced: its successor would wait for ever for what it was to do (xdist issue 1378).
IN_PARALLEL := -n logical --maxprocesses 4 --dist loadfile --max-worker-restart 0
BENCHMARKS := append commands rebuild
ARGUMENTS ?=
ROUNDS ?= 50
MESSAGES ?= 100000
COMPARED ?= 10000
SEED ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test browser pictures promtool faults restores differential check format bench dashboards install lock clean wipe

help: ## Tell what can be made
	@echo "make TARGET   (each does its own set-up; nothing but Python 3.11+, pip and make is needed)"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make PYTHON=python3.12 …         another Python for the set-up (after make clean)"
	@echo "  make test ARGUMENTS='-k order'   arguments for pytest, for the demo and for up"

demo: $(INSTALLED) ## The whole system at work for a minute, then a report of what it proved
	@$(BIN)/ledgerctl demo $(ARGUMENTS)

up: $(INSTALLED) ## Run the ledger in the foreground; data in .ledger, Ctrl-C stops everything
	@$(BIN)/ledgerctl up $(ARGUMENTS)

test: $(INSTALLED) ## All tests, on real PostgreSQL and NATS servers of their own
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGUMENTS)

browser: ## Install Debian's Chromium, for tests of pages; they are skipped where there is none
	@command -v chromium chromium-browser google-chrome >/dev/null || (apt-get update -qq && apt-get install -qqy --no-install-recommends chromium) || echo "no Chromium: tests of pages will be skipped"

promtool: $(INSTALLED) ## Take Debian's promtool into .venv, for tests of alerts and boards; they ask it where it is
	@command -v promtool >/dev/null || test -x $(BIN)/promtool || ( \
	    place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && chmod 755 "$$place" && apt-get update -qq && \
	    (cd "$$place" && apt-get download -qq prometheus) && \
	    dpkg-deb --fsys-tarfile "$$place"/prometheus_*.deb | tar -x -C "$$place" ./usr/bin/promtool && \
	    mv "$$place/usr/bin/promtool" $(BIN)/promtool \
	) || echo "no promtool: tests that ask it will be skipped"

pictures: $(INSTALLED) ## Every page of the console in pictures/: three widths, light and dark; and docs/pictures
	@LEDGER_TEST_PICTURES=pictures $(BIN)/python -m pytest tests/browser/test_console.py -q --timeout 0 $(ARGUMENTS)
	@mkdir -p docs/pictures && cp pictures/tour/*.png docs/pictures/

faults: $(INSTALLED) ## Break everything at random, ROUNDS=50 times, and send MESSAGES=100000 of nonsense
	@LEDGER_TEST_ROUNDS=$(ROUNDS) LEDGER_TEST_MESSAGES=$(MESSAGES) $(if $(SEED),LEDGER_TEST_SEED=$(SEED)) \
	    $(BIN)/python -m pytest tests/faults tests/vitals/test_stalls.py tests/programs/test_fuzz.py -s $(ARGUMENTS)

restores: $(INSTALLED) ## Back up, restore and recover, and fail over to a standby, ROUNDS=50 times each
	@LEDGER_TEST_ROUNDS=$(ROUNDS) $(if $(SEED),LEDGER_TEST_SEED=$(SEED)) \
	    $(BIN)/python -m pytest tests/restores -s $(ARGUMENTS)

differential: $(INSTALLED) ## Compare positions and gains with nautilus_trader's and rp2's, COMPARED=10000 times
	@$(PIP) install --quiet nautilus_trader rp2
	@directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && \
	$(PIP) download --quiet --no-deps --no-build-isolation --no-binary rp2 --dest "$$directory" rp2 && \
	tar -xzf "$$directory"/rp2-*.tar.gz -C "$$directory" --strip-components 1 && \
	LEDGER_TEST_ROUNDS=$(COMPARED) LEDGER_TEST_RP2_SAMPLES="$$directory" \
	    $(BIN)/python -m pytest tests/differential -q --timeout 0 $(ARGUMENTS)

check: $(INSTALLED) ## Lint, format, layers and types, strictly
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/mypy $(CODE)

format: $(INSTALLED) ## Format the code and put right what the linter can
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(INSTALLED) ## Measure append, commands and rebuild against the stock library
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name --json || exit 1; done

dashboards: $(INSTALLED) ## Hold Grafana's boards to what running programs tell; by promtool, too, if it is there
	@$(BIN)/pytest -q tests/boards -rs

install: $(INSTALLED) ## Only the set-up: .venv with the locked packages

lock: ## Resolve the packages again into requirements.lock, for all Pythons and systems
	@directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && \
	$(PYTHON) -m venv "$$directory" && "$$directory/bin/python" -m pip install --quiet uv && \
	"$$directory/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --upgrade --extra dev pyproject.toml -o requirements.lock

clean: ## Remove what can be made again: .venv and caches; never data
	rm -rf $(VENV) $(VENV).log build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

wipe: $(INSTALLED) ## Remove the ledger in .ledger for ever, after asking; not while it runs
	@$(BIN)/ledgerctl wipe $(ARGUMENTS)

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("error: this is Python %d.%d; 3.11 or later is needed. Name one: make PYTHON=python3.12 ..." % v[:2])'
	@echo "Setting up $(VENV) (once; about a minute) ..."
	@$(PYTHON) -m venv --clear $(VENV) >$(VENV).log 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@rm -f $(VENV).log
	@$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	@touch $@

# Its build needs only what the lock brought.
$(INSTALLED): $(LOCKED) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@
