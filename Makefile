# Two commands set everything up on a Debian or Ubuntu machine with a Rust toolchain:
#   make demo [EXIT=1]   build, start a server on a folder of its own, run the pipeline
#   make test            install what the tests need and run all of them

# Outside the checkout, so that a fresh clone does not compile DataFusion again.
ifndef CARGO_TARGET_DIR
CARGO_TARGET_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sextant/target
endif
export CARGO_TARGET_DIR

NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
VENV := $(CARGO_TARGET_DIR)/venv
PYTHON := $(VENV)/bin/python

.PHONY: demo test build rust-test client-test tools bench

build:
	cargo build --workspace

demo: build
	$(CARGO_TARGET_DIR)/debug/sextant demo $(if $(EXIT),--exit)

test: tools rust-test client-test

rust-test:
	cargo fmt --all --check
ifdef NEXTEST
	cargo nextest run --workspace
else
	cargo test --workspace
endif

client-test: build $(VENV)/ready
	SEXTANT_BINARY=$(CARGO_TARGET_DIR)/debug/sextant $(PYTHON) -m pytest -q tests/clients

$(VENV)/ready: tests/clients/requirements.txt
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install -q -r tests/clients/requirements.txt
	touch $@

# psql speaks for the people who will use it; Postgres is a catalog, and says what is right.
tools:
	@(command -v psql && ls /usr/lib/postgresql/*/bin/initdb) >/dev/null 2>&1 \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y postgresql) \
	  || { echo "install PostgreSQL (Debian: postgresql) and run again" >&2; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || apt-get install -qq -y python3-venv \
	  || { echo "install python3-venv and run again" >&2; exit 1; }

bench:
	cargo build --release
	@echo "see benches/README.md for the runners"
