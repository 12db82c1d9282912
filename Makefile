# Two commands set everything up on a Debian or Ubuntu machine with a Rust toolchain:
#   make demo [EXIT=1] [RELEASE=1]   build, start a server on a folder of its own, run the pipelines
#   make test                        install what the tests need and run all of them

# Outside the checkout, so that a fresh clone does not compile DataFusion again.
ifndef CARGO_TARGET_DIR
CARGO_TARGET_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sextant/target
endif
export CARGO_TARGET_DIR

NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
VENV := $(CARGO_TARGET_DIR)/venv
PYTHON := $(VENV)/bin/python
NODE := $(CARGO_TARGET_DIR)/node

.PHONY: demo test build rust-test client-test tools bench

# A release build takes longer to make, and less to answer.
build:
	cargo build --workspace $(if $(RELEASE),--release)

demo: build
	$(CARGO_TARGET_DIR)/$(if $(RELEASE),release,debug)/sextant demo $(if $(EXIT),--exit)

test: tools rust-test client-test

rust-test:
	cargo fmt --all --check
ifdef NEXTEST
	cargo nextest run --workspace
else
	cargo test --workspace
endif

client-test: build $(VENV)/ready $(NODE)/ready
	SEXTANT_BINARY=$(CARGO_TARGET_DIR)/debug/sextant SEXTANT_NODE_MODULES=$(NODE)/node_modules \
	  $(PYTHON) -m pytest -q tests/clients

$(VENV)/ready: tests/clients/requirements.txt
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install -q -r tests/clients/requirements.txt
	touch $@

# The node clients of the tests, beside the virtual environment of the Python ones.
$(NODE)/ready: tests/clients/node/package.json
	mkdir -p $(NODE)
	cp $< $(NODE)
	npm install --prefix $(NODE) --no-package-lock --no-audit --no-fund --silent
	touch $@

# psql speaks for the people who will use it; Postgres is a catalog, and says what is right. ODBC,
# JDBC and node are other ways in.
tools:
	@need=; \
	have() { ls $$2 >/dev/null 2>&1 || need="$$need $$1"; }; \
	have postgresql '/usr/lib/postgresql/*/bin/initdb'; \
	have odbc-postgresql '/usr/lib/*/odbc/psqlodbcw.so'; \
	have unixodbc '/usr/lib/*/libodbc.so.2'; \
	have libpostgresql-jdbc-java /usr/share/java/postgresql.jar; \
	have default-jre-headless '/usr/lib/jvm/*/lib/server/libjvm.so'; \
	command -v node >/dev/null || need="$$need nodejs"; \
	command -v npm >/dev/null || need="$$need npm"; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || need="$$need python3-venv"; \
	test -z "$$need" \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$need) \
	  || { echo "install these Debian packages and run again:$$need" >&2; exit 1; }

bench:
	cargo build --release
	@echo "see benches/README.md for the runners"
