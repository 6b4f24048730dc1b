# kinemill: `make demo` runs the whole chain once, `make test` passes the tests. `make help` lists all.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
EXTRAS ?= all
PLUGINS := $(wildcard plugins/*)
BIN := .venv/bin
INSTALL ?= $(BIN)/python -m pip install --disable-pip-version-check -q
# One test process more than processors, because many wait for servers; each takes up to 2 GB.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))
# Python writes compiled modules even if the shell forbids it. Otherwise hundreds of test processes
# each compile torch, MLflow and Dagster again, for 10 s.
export PYTHONDONTWRITEBYTECODE :=
STAMP := .venv/.installed-$(EXTRAS)
DOCS_STAMP := .venv/.installed-docs
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-core test-policies test-all coverage test-dagster docs screenshots docs-version wheel test-wheel lint format ui bench prove-accuracy prove-league prove-gate prove-scale prove-control prove-loop prove-suite prove-kills prove-drafts prove-attack prove-reinforcement prove-imitation prove-motion prove-gpu prove-first-hour constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) .env ## create .venv/ and install kinemill (EXTRAS=gpu for CUDA); quick if it is up to date

$(STAMP): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kinemill needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(INSTALL) -c constraints.txt -e '.[dev,$(EXTRAS)]' $(addprefix -e ,$(PLUGINS))
	@touch $(STAMP)

.env: | $(STAMP)
	@$(BIN)/kinemill init . >/dev/null

demo: setup ## cart-pole logs -> verified champion in the registry
	@$(BIN)/kinemill demo --keep .

PYTEST := OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup ## run the fast tests
	$(PYTEST) -m 'not ci and not slow and not net' --durations=15

MARKED ?= ci or slow
TIMEOUT ?= 7200 # s of a test

test-all: setup ## run the tests that `make test` leaves out (hours; MARKED='ci and not slow': those of .ci/run)
	$(PYTEST) -m '($(MARKED)) and not net' --timeout $(TIMEOUT) --durations=15

coverage: setup ## measure the lines that the tests of .ci/run execute: 90 % of kinemill/, 85 % of pipelines/ (40 min)
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/coverage run $(wordlist 4,20,$(PYTEST)) -m 'not slow and not net'
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --format=total --include='kinemill/*' --fail-under=90
	$(BIN)/coverage report --format=total --include='pipelines/*' --fail-under=85

test-core: setup ## run the half of the tests that needs no environments and policies
	$(PYTEST) -m 'not policies and not ci and not slow and not net'

test-policies: setup ## run the half with environments and policies
	$(PYTEST) -m 'policies and not ci and not slow and not net'

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w dist .

test-wheel: setup ## run first commands, servers and tests from the wheel, with each installed Python 3.11 to 3.13
	$(BIN)/python -m pytest tests/test_wheel.py

DAGSTER_TESTS ?= tests/pipelines tests/assets tests/resources

test-dagster: setup .venv/dagster-1.11 .venv/dagster-1.12 ## run the tests of the Dagster project with three minor versions of Dagster
	for version in 1.11 1.12 ''; do \
	  PYTHONPATH=$${version:+.venv/dagster-$$version} $(PYTEST) -m 'not slow and not net' $(DAGSTER_TESTS) || exit 1; done

.venv/dagster-1.%: | $(STAMP) # the newest patch, found before the installed version on PYTHONPATH
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --target $@.part \
	  $(foreach name,dagster dagster-webserver dagster-graphql dagster-pipes dagster-shared dagster-dg-cli dagster-dg-core dagster-cloud-cli,'$(name)==1.$*.*') \
	  'dagster-postgres==0.$(shell expr $* + 16).*' 'dagster-k8s==0.$(shell expr $* + 16).*'
	mv $@.part $@

docs: setup $(DOCS_STAMP) ## build the documentation site into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'open site/index.html, or with search: $(BIN)/python -m http.server -d site'

screenshots: setup ## run the demo and retake the screenshots in docs/images
	$(BIN)/python -m docs.screenshots

docs-version: docs ## commit the documentation site of this version to branch gh-pages
	PATH="$(CURDIR)/$(BIN):$$PATH" NO_MKDOCS_2_WARNING=1 mike deploy --update-aliases "$$($(BIN)/kinemill --version | cut -d' ' -f2)" latest
	$(BIN)/mike set-default latest

$(DOCS_STAMP): $(STAMP)
	$(INSTALL) -c constraints.txt -e '.[docs]'
	@touch $(DOCS_STAMP)

lint: setup ## run ruff, codespell, deptry, pyright and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/deptry .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

format: setup ## format the code and apply ruff's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: setup ## serve Dagster and MLflow until Ctrl-C
	@$(BIN)/kinemill ui

bench: setup ## run all benchmarks, rewrites the tables of docs/results-*.md
	$(BIN)/python -m benchmarks

prove-accuracy: setup ## measure accuracy on real logs over SEEDS=3 seeds, rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_accuracy

prove-league: setup ## measure public data sets with drafted tasks and default settings (up to 10 min each), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_league

prove-gate: setup ## test the gate on 60,000 model pairs and 48 runs of known quality (3 h), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_gate
	$(BIN)/python -m benchmarks.prove_systems

prove-scale: setup ## time one more log among 1,000 and 1,000,000 recordings (2 h), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_scale

prove-control: setup ## measure controllers with learned models on the true physics, rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_control

prove-loop: setup ## run learning loops without initial data, 5 seeds (1 h), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_loop

prove-first-hour: setup ## play two newcomers, in a terminal and in a browser (20 min), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_first_hour

prove-suite: setup ## DeepMind Control Suite through the pipeline, 3 seeds (hours), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_suite

prove-kills: setup ## SIGKILL at moments of training, each step of a checkpoint, 200 moments of ingest, 100 of decisions
	$(BIN)/python -m pytest --timeout 7200 -m 'ci or slow' tests/ingest/test_kills.py tests/train/test_kills.py tests/register/test_kills.py

prove-drafts: setup ## compare drafts of 350 logs in the layouts of tools, and their variants, rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_drafts

prove-attack: setup ## attack commands and servers on loopback (10 min; ONLY='kills files' runs some), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_attack $(if $(ONLY),--only $(ONLY))

prove-reinforcement: setup ## measure the time until solved against stable-baselines3, 5 seeds, rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_reinforcement

prove-imitation: setup ## measure the success of policies from demonstrations, 3 seeds, rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_imitation

prove-motion: setup ## train policies on reference clips (hours; ROW=squat runs one), rewrites docs/results-*.md
	$(BIN)/python -m benchmarks.prove_motion $(if $(ROW),--row $(ROW))

GPU_PYTHON ?= $(shell command -v $(BIN)/python || echo python3)

prove-gpu: ## measure training and inference on a GPU (8 min); small sizes without one
	$(GPU_PYTHON) -m benchmarks.gpu --write

constraints: setup $(DOCS_STAMP) ## pin the installed versions
	(echo '# Versions tested together on Python 3.11 to 3.13 (`make test-wheel`). Rewrite with `make constraints`.'; \
	 $(BIN)/python -m pip freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\)+.*/\1/') > constraints.new && mv constraints.new constraints.txt

clean: ## remove the environment and caches; logs and store under var/ stay
	rm -rf .venv site .pytest_cache .ruff_cache .hypothesis
