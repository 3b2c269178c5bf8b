PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAGE ?= dev

.PHONY: run demo lint fix test docs package deploy deploy-demo bench lock clean

run: $(VENV)/.embedded
	@$(BIN)/python -m guest.build
	@$(BIN)/python -m web.build || true
	@exec $(BIN)/python -m embedded

demo: $(VENV)/.embedded
	@$(BIN)/python -m guest.build
	@$(BIN)/python -m web.build || true
	@exec $(BIN)/python -m embedded demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m web.build check lint

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `make test T=tests/api` runs only these tests. A variable T in the environment is ignored, as CI must run all tests.
ifeq ($(origin T),command line)
test: $(VENV)/.dev
	$(BIN)/pytest $(T)
else
test: lint
	$(BIN)/python -m web.build test
	$(BIN)/python -m web.build
	$(BIN)/pytest -n 2 --cov --cov-report=term
endif

docs: $(VENV)/.dev
	$(BIN)/python -m embedded.settings_page
	$(BIN)/python -m deploy.cost_page
	$(BIN)/python -m deploy.quotas
	$(BIN)/python -m deploy.scale_page
	$(BIN)/python -m deploy.compatibility
	$(BIN)/python -m deploy.openapi_page

package: $(VENV)/.dev
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/python -m deploy.package $(CURDIR)/build --stage $(STAGE)

deploy: $(VENV)/.dev
	$(BIN)/python -m deploy up --stage $(STAGE)

deploy-demo: $(VENV)/.dev
	$(BIN)/python -m tests.deploy.demo

bench: $(VENV)/.dev
	$(BIN)/python -m guest.build
	$(BIN)/python -m bench

lock: $(VENV)/.dev
	for name in requirements requirements-embedded requirements-dev requirements-web requirements-parquet; do $(BIN)/pip-compile --quiet --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-strip-extras --allow-unsafe $$name.in -o $$name.txt; done

clean:
	rm -rf $(VENV) build chalicelib/console chalicelib/sandbox/guest.* web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.embedded: requirements-embedded.txt $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-embedded.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/.embedded
