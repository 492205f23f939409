# Needs GNU make, coreutils and Python 3.11 or newer with pip; all else is installed into this folder.

PYTHON ?= python3
ARGS ?=
SEEDS ?= 30
EVENTS ?= 20000
SINK ?= auto
SEED ?=
RECORDS ?= 10000
PROCESSES ?= 2

UV := .tools/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

# Each stamp is written last, so that a step that was broken off is done again, and from its beginning.
UV_READY := .tools/uv/.ready
PACKAGES_READY := .venv/.packages-ready
PROJECT_READY := .venv/.project-ready
PEERS_READY := .bench/peers/.ready
PAGES_READY := apps/chat/static/.ready

PAGES_FROM := $(shell find apps/web -name node_modules -prune -o -name dist -prune -o -type f -print)
NPM := PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/npm --prefix apps/web

export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Without bytecode on disk every process compiles all of its imports again: MLflow starts in 17 s, not 7.
unexport PYTHONDONTWRITEBYTECODE
# Both keep pip from installing into a folder that we name.
unexport PIP_USER PIP_REQUIRE_VIRTUALENV

.DEFAULT_GOAL := help
.PHONY: help install demo test chaos fuzz bench bench-peers check lock clean

help:
	$(info make install   everything into .venv; the other targets do it by themselves)
	$(info make demo      the whole pipeline on this machine, with sample traffic, until Ctrl-C)
	$(info make test      all tests, on a real Kafka, Postgres and MLflow; in PROCESSES=2, each with its own)
	$(info make chaos     faults from seeds over a stack of three brokers; SEEDS=30 EVENTS=20000, or SEEDS=5..9, SEED=7; SINK=rest)
	$(info make fuzz      10,000 bad records among 10,000 good ones; RECORDS=… and SEED=… for others)
	$(info make bench     all figures of docs/performance.md beside their ceilings, some 25 minutes; ARGS="--only rest,bulk --runs 5")
	$(info make bench-peers  the same for Arize Phoenix, in an environment of its own)
	$(info make check     format, lint, types, of the pages too, and no registry address in any file)
	$(info make lock      resolve all requirements anew)
	$(info make clean     stop the local stack; remove it with its data, .venv and all caches)
	$(info )
	$(info Arguments go along by ARGS:  make demo ARGS="--events 50 --exit --json"   make test ARGS="tests/unit -q")
	$(info Another Python by PYTHON:    make install PYTHON=python3.13   (after a `make clean`, if there is a .venv))
	@:

install: $(PROJECT_READY) $(PAGES_READY)

demo: install
	.venv/bin/feedback demo $(ARGS)

# Each process has a stack of its own, and a file's tests stay together, as they share what they set up.
test: install
	.venv/bin/python -m pytest $(or $(ARGS),-n $(PROCESSES) --dist loadfile --no-loadscope-reorder)

chaos: install
	exec env PYTHONPATH=tests .venv/bin/python -m chaos --events $(EVENTS) --sink $(SINK) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

fuzz: install
	FEEDBACK_FUZZ_RECORDS=$(RECORDS) FEEDBACK_FUZZ_SEED=$(or $(SEED),0) .venv/bin/python -m pytest tests/kafka/test_fuzz.py $(ARGS)

bench: install
	.venv/bin/python -m bench $(ARGS)

bench-peers: install $(PEERS_READY)
	.venv/bin/python -m bench --only peers $(ARGS)

check: install
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	$(NPM) run --silent check
	.venv/bin/python .ci/registry_addresses.py

lock: $(UV_READY)
	$(COMPILE) pyproject.toml --extra local --extra openai --group dev --output-file requirements/dev.txt $(ARGS)
	$(COMPILE) pyproject.toml --extra chat --constraints requirements/dev.txt --output-file requirements/app.txt $(ARGS)
	$(COMPILE) requirements/build.in --constraints requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) requirements/uv.in --constraints requirements/dev.txt --output-file requirements/uv.txt
	$(COMPILE) local/mlflow-requirements.in --output-file local/mlflow-requirements.txt $(ARGS)
	$(COMPILE) bench/peers-requirements.in --output-file bench/peers-requirements.txt $(ARGS)

clean:
	@if [ -x .venv/bin/feedback ] && .venv/bin/python -c '' 2>/dev/null; then .venv/bin/feedback local down; fi
	rm -rf .venv .tools .local .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	rm -rf apps/chat/static apps/web/node_modules apps/web/dist

$(UV_READY): requirements/uv.txt
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "$(PYTHON) is not on this machine: install Python 3.11 or newer, or name one: make PYTHON=python3.13" >&2; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$("$(PYTHON)" --version 2>&1) is too old, 3.11 or newer is needed: make PYTHON=python3.13" >&2; \
		exit 1; }
	@"$(PYTHON)" -m pip --version >/dev/null 2>&1 || { \
		echo "$(PYTHON) has no pip: install it (Debian, Ubuntu: apt-get install python3-pip), or name another: make PYTHON=…" >&2; \
		exit 1; }
	rm -rf .tools/uv
	"$(PYTHON)" -m pip install --quiet --target .tools/uv --require-hashes --requirement requirements/uv.txt
	@touch $@

$(PACKAGES_READY): requirements/dev.txt $(UV_READY)
	@if [ ! -e $@ ]; then set -x; \
		$(UV) venv --quiet --clear --python "$$("$(PYTHON)" -c 'import sys; print(sys.executable)')" .venv; fi
	@rm -f $@
	$(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt
	@touch $@

$(PROJECT_READY): pyproject.toml $(PACKAGES_READY)
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# The script looks at what has changed: a test of the pages, for one, builds nothing.
$(PAGES_READY): hatch_build.py $(PAGES_FROM) $(PACKAGES_READY)
	.venv/bin/python hatch_build.py
	@touch $@

$(PEERS_READY): bench/peers-requirements.txt $(UV_READY)
	$(UV) venv --quiet --clear --python "$$("$(PYTHON)" -c 'import sys; print(sys.executable)')" .bench/peers
	$(UV) pip sync --quiet --python .bench/peers/bin/python --require-hashes bench/peers-requirements.txt
	@touch $@
