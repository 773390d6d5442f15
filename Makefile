# make help lists what there is. Needs Python 3.11 to 3.13 and make; everything else goes into .venv.
PYTHON ?= python3
PORT ?= 8000
ARGS ?= --quick
unexport PYTHONDONTWRITEBYTECODE
export TF_CPP_MIN_LOG_LEVEL = 2
export TF_ENABLE_ONEDNN_OPTS = 1
RUN = .venv/bin/python

.PHONY: help env book test test-lowest test-newest serve bench lock check readme clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

env:  # .venv, if missing or stale
	@$(PYTHON) scripts/bootstrap.py

book: env  ## run every notebook, build the site, say where it is
	@$(RUN) scripts/build_book.py

test: env  ## every test, then every notebook in a fresh kernel
	@$(RUN) scripts/run_tests.py

test-lowest: env  ## pytest with the lowest versions that pyproject.toml allows
	@$(RUN) scripts/try_versions.py lowest

test-newest: env  ## pytest with the newest versions that pyproject.toml allows
	@$(RUN) scripts/try_versions.py newest

serve: env  ## the built site on http://localhost:8000 (PORT=...)
	@test -f _build/html/index.html || $(RUN) scripts/build_book.py
	@echo "http://localhost:$(PORT)/   (stop with Ctrl-C)"
	@$(RUN) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

bench: env  ## every benchmark, quickly; in full, for hours: make bench ARGS=
	@for file in $(filter-out %common.py,$(wildcard benchmarks/[a-z]*.py)); do \
	  echo "$$file"; $(RUN) $$file $(ARGS) || exit 1; done

check: env  ## style, types, spelling, and the built site in a browser
	@test -f _build/html/index.html || { echo "There is no built site: run make book first."; exit 1; }
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy
	@$(RUN) -m codespell_lib *.md aelib scripts tests benchmarks book
	@$(RUN) -m pytest -n auto --dist loadfile -m site tests

lock: env  ## new pins from pyproject.toml
	@.venv/bin/uv pip compile --universal --generate-hashes --python-version 3.11 \
	  $(foreach extra,data compare onnx book dev,--extra $(extra)) \
	  pyproject.toml -o requirements.txt --no-annotate --upgrade -q

readme: env  ## README's table of minutes per notebook, from the last build
	@$(RUN) scripts/update_readme.py

clean:  ## forget what was built (not the environment)
	@rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
