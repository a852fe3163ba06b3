# Every target is a line or two; `make run` from a clean checkout needs nothing but Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(VENV)/uv/bin/uv
UV_VERSION := 0.13.9
PYTEST_ARGS ?=
BENCH ?=
unexport PYTHONDONTWRITEBYTECODE  # libraries are compiled once, not at every start

ADDRESS ?= 127.0.0.1
PORT ?= 8000
SERVE_ARGS ?=

.PHONY: run serve ui demo test check bench picture screenshots lock clean

run: $(VENV)/.installed  ## retrain everything
	$(BIN)/python main.py

serve: $(VENV)/.installed  ## the REST server; ADDRESS=0.0.0.0 needs a key first (main.py keys); SERVE_ARGS=--reload follows the source
	$(BIN)/uvicorn app:app --host $(ADDRESS) --port $(PORT) --no-access-log --no-server-header --http vitalwatch.api.connections:Connections --timeout-graceful-shutdown 10 $(SERVE_ARGS)

ui: $(VENV)/.installed  ## the web page on 127.0.0.1:8501; VITALWATCH_API=http://... shows a running API
	$(BIN)/streamlit run streamlit_app.py

demo: $(VENV)/.installed  ## 20 simulated people, live and faster than real time, with a database of its own; Ctrl-C ends it
	@$(BIN)/python -m vitalwatch.ui.demo

test: $(VENV)/.installed-dev  ## the fast circle, that of serving, the page in a browser, then the slow tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "serving and not slow and not browser" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -n 0 -m browser $(PYTEST_ARGS)
	$(BIN)/python -m pytest -n 0 -m slow $(PYTEST_ARGS)  # one at a time: they train, and kill

check: $(VENV)/.installed-dev  ## format, lint, types, import layers, locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/commands/test_locks.py

bench: $(VENV)/.installed-dev artifacts/production.json  ## figures beside their targets; fails on a miss; BENCH="kill soak_rest" for what takes longer
	$(BIN)/python benchmarks/bench.py $(BENCH)

artifacts/production.json: | $(VENV)/.installed
	$(BIN)/python main.py

picture: $(VENV)/.installed  ## docs/person.svg, drawn with the production run
	$(BIN)/python docs/picture.py

screenshots: $(VENV)/.installed-dev  ## docs/page-*.png: the pages of `make demo` in headless Chromium
	$(BIN)/python docs/screenshots.py

lock: $(UV)  ## requirements*.in -> requirements*.txt, exact versions and hashes
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url requirements.in -o requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url requirements-dev.in -o requirements-dev.txt

clean:  ## caches of tools; artifacts and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build src/*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "vitalwatch needs Python 3.11 to 3.13: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: requirements.txt pyproject.toml | $(UV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: requirements.txt requirements-dev.txt pyproject.toml | $(UV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.txt requirements-dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $(VENV)/.installed $@
