# What you can do here; `make help` prints the list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait, so four processes run them; ARGS=-n0 runs them one after another.
PYTEST := $(BIN)/pytest --numprocesses 4
MANAGE := $(BIN)/python manage.py
# The tests start hundreds of processes, which would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help run test test-sqlite test-postgresql test-long lint format schema conformance architecture requirements assets screenshots check-image benchmark clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# The emulators need the local settings, even if a `.env` chooses production's.
run: export DJANGO_SETTINGS_MODULE = gateway_project.settings.local
run: $(VENV)/.installed ## Run the whole gateway with its emulators; ONCE=1 plays the main job once and stops
	@$(MANAGE) run_gateway $(if $(ONCE),--once) $(if $(VERBOSE),--verbose)

test: test-sqlite test-postgresql ## Run all the tests on SQLite, and on PostgreSQL those to which the database makes a difference

test-sqlite: $(VENV)/.installed-dev ## Run all the tests on SQLite
	@tools/install_test_tools
	$(PYTEST) $(ARGS)

test-postgresql: $(VENV)/.installed-dev ## Run the tests to which the database makes a difference on a temporary PostgreSQL server
	@tools/install_test_tools
	tools/with_postgresql $(PYTEST) $(ARGS)

test-long: PYTEST += --hypothesis-profile=long
test-long: test ## Run all the tests on SQLite and on PostgreSQL, with fifteen times as many examples of each property

lint: $(VENV)/.installed-dev ## Check style, types, import contracts, migrations and the production settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/mypy --platform win32 .
	$(BIN)/lint-imports
	$(MANAGE) makemigrations --check --dry-run
	tools/check_deploy $(BIN)/python

format: $(VENV)/.installed-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(VENV)/.installed ## Export the contract's JSON Schemas to build/
	@mkdir -p build
	@$(MANAGE) export_schema gateway_action > build/gateway_action_v1.schema.json
	@$(MANAGE) export_schema gateway_reply > build/gateway_reply_v1.schema.json
	@ls build/*.schema.json

conformance: export DJANGO_SETTINGS_MODULE = gateway_project.settings.test
conformance: $(VENV)/.installed-dev ## Write docs/conformance.md from its template and the code's tables
	@$(MANAGE) shell --verbosity 0 --command 'from tests.docs import conformance; conformance.write()'

architecture: export DJANGO_SETTINGS_MODULE = gateway_project.settings.test
architecture: $(VENV)/.installed-dev ## Write the listing and the diagram of docs/architecture.md from the code
	@$(MANAGE) shell --verbosity 0 --command 'from tests.docs import architecture; architecture.write()'

requirements: $(VENV)/.installed-dev ## Compile the pinned requirements from the .in files
	@$(BIN)/pip install --quiet uv
	tools/compile_requirements $(BIN)/uv

assets: ## Copy the pinned version of the NHS.UK frontend into dashboard/static
	tools/vendor_assets

screenshots: export DJANGO_SETTINGS_MODULE = gateway_project.settings.test
screenshots: $(VENV)/.installed-dev ## Take the pictures in docs/pictures, with Chromium
	@tools/install_test_tools
	@$(MANAGE) shell --verbosity 0 --command 'from tests.browser import pictures; pictures.take()'

check-image: ## Build the container images without Docker (buildah, as root) and run their commands
	tools/check_image

benchmark: $(VENV)/.installed-dev ## Measure the gateway beside other servers, and write docs/performance.md; PARTS=dicom measures that part
	@tools/install_test_tools
	$(BIN)/python -m benchmarks $(PARTS)

clean: ## Remove the virtual environment, caches and the local database
	rm -rf $(VENV) build tests/contract/hyco/node_modules tests/browser/node_modules tests/dicom/dcmjs/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache *.sqlite3*
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# Not compiled here: Python compiles a module when it is first imported, and most never are.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes

$(VENV)/.installed: requirements-nonprod.txt | $(BIN)/python
	@$(INSTALL) -r requirements-nonprod.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt | $(BIN)/python
	@$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.installed
