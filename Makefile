# Words for working on this project; `make help` lists them. PYTHON chooses the interpreter for .venv.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

# Without its compiled modules each of hundreds of processes, and each look for tests, takes seconds more.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: help run test test-fast conformance check format interop bench bench-fleet campaign soak soak-fleet docs clean

help: ## list these words
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "ARGS='...' is handed on, e.g. make test ARGS='-k config'; PYTHON=python3.12 chooses the interpreter (make clean first)."

run: $(READY) ## watch two cars charge at the embedded central system, 60 times as fast
	@$(BIN)/chargepoint demo $(ARGS)

test: $(READY) ## unit, contract, integration and end-to-end tests
	@$(BIN)/python -m pytest -n 4 $(ARGS)

test-fast: $(READY) ## unit and contract tests without random searches and emulated devices, in seconds
	@$(BIN)/python -m pytest -n 2 -m 'not search and not emulated and not campaign and not bench and not soak and not hardware' tests/unit tests/contract $(ARGS)

conformance: $(READY) ## run the certification cases and write docs/conformance.md
	@$(BIN)/python -m pytest tests/conformance -k test_tc_ -n 2 --conformance-page docs/conformance.md $(ARGS)

check: $(READY) ## format, lint, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## rewrite the code in the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

interop: $(READY) ## the station at central systems not written here: Node, Go, Java, what is there of them
	@$(BIN)/python -m tests.interop.build
	@$(BIN)/python -m pytest -n 2 tests/interop $(ARGS)

bench: $(READY) ## measurements: ratios and counts
	@$(BIN)/python -m pytest tests/bench -m bench --ignore=tests/bench/fleet -s --timeout=0 $(ARGS)

bench-fleet: $(READY) ## measurements of whole fleets, against as many stations of the ocpp package: twenty minutes
	@$(BIN)/python -m pytest tests/bench/fleet -m bench -s --timeout=0 $(ARGS)

campaign: $(READY) ## long random searches: minutes to an hour
	@CAMPAIGN=1 $(BIN)/python -m pytest tests -m 'campaign or hypothesis or search' -n 2 --timeout=0 $(ARGS)

soak: $(READY) ## hours of running under faults
	@$(BIN)/python -m pytest tests -m soak -s --timeout=0 $(ARGS)

soak-fleet: $(READY) ## SOAK_STATIONS (2000) in chaos for SOAK_MINUTES (30): nothing leaks, nothing is lost
	@FLEET_SOAK=1 $(BIN)/python -m pytest tests/integration/fleet/test_soak.py -m soak -s --timeout=0 $(ARGS)

docs: $(READY) ## write docs/configuration.md, docs/fleet.md, the tables of docs/templates.md, docs/demo.svg, docs/fleet.svg and docs/wiring anew
	@$(BIN)/python -m chargepoint.config.reference docs/configuration.md
	@$(BIN)/python -m chargepoint.fleet.plan.reference docs/fleet.md
	@$(BIN)/python docs/template_tables.py docs/templates.md
	@$(BIN)/python docs/demo_picture.py docs/demo.svg
	@$(BIN)/python docs/fleet_picture.py docs/fleet.svg
	@$(BIN)/python docs/wiring_pictures.py docs/wiring

clean: ## remove .venv and everything else that was made
	@rm -rf .venv build dist tests/interop/.build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find hal chargepoint scenarios tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that whatever was interrupted is taken up again by the next call.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): sudo apt-get install $(notdir $(PYTHON))-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: sudo apt-get install python3.11-venv, then make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: sudo apt-get install $(notdir $(PYTHON))-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Making .venv" >&2; rm -rf .venv && $(PYTHON) -m venv .venv; }
	@echo "Installing what requirements.lock names into .venv (a minute the first time)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
