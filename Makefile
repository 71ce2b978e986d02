# The only entry point: `make` says what there is. What is fetched or built goes to target/ and nowhere else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The binary is looked for in target/release, so a target folder set elsewhere would not be found.
unexport CARGO_TARGET_DIR
# Python's compiled files do not belong beside the sources.
export PYTHONPYCACHEPREFIX := $(CURDIR)/target/pycache

# librdkafka's build insists on a C++ compiler, for something that is not used here.
ifeq ($(shell command -v $${CXX:-c++}),)
export CXX := $(CURDIR)/deploy/no-cxx.sh
endif

RUNTIME := target/lib/millstream/installed.txt
VENV := target/python/installed.stamp
PYTHON := target/python/bin/python
BINARY := target/release/millstream
# More for the demo's command line: make demo ARGS='--jobs 5000'
ARGS :=

.PHONY: help setup setup-runtime setup-tests build demo test fault lint bench fmt clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: setup-runtime setup-tests ## Fetch everything that the demo and the tests need, once

setup-runtime: $(RUNTIME) ## Fetch ONNX Runtime (pinned, checked)

$(RUNTIME): deploy/runtime/onnxruntime.txt deploy/runtime/install.py
	@deploy/need.sh python pip
	@python3 deploy/runtime/install.py

setup-tests: $(RUNTIME) $(VENV) ## Fetch what the tests need: Python packages, Apache Kafka's jars
	@deploy/need.sh cargo cc openssl-headers openssl java maven
	@deploy/kafka/kafka.sh jars

$(VENV): deploy/python/requirements.txt
	@deploy/need.sh python-tests venv
	@echo "making a Python environment in target/python" >&2
	@python3 -m venv --clear target/python
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

build: ## Build the release binary, target/release/millstream
	@deploy/need.sh cargo cc openssl-headers
	cargo build --release --package millstream

demo: $(RUNTIME) ## Watch a thousand real images go through: embedded broker, three workers, real model
	@deploy/need.sh cargo cc
	@if deploy/need.sh --check openssl-headers; then \
	    cargo build --release --package millstream; \
	else \
	    echo "no OpenSSL headers on this machine: building without TLS, which the demo does not use" >&2; \
	    cargo build --release --package millstream --no-default-features; \
	fi
	@$(BINARY) demo $(ARGS)

test: setup-tests ## Run every test, on a real Apache Kafka too
	@.ci/test.sh

# Which faults: make fault CASE=pause,kills MODE=exactly-once SEED=7 JOBS=20000 RATE=800; `short` and `soak` are cases, too.
fault: setup-tests build ## Break everything under load, and save the table of what became of every job
	MILLSTREAM_BIN=$(CURDIR)/$(BINARY) cargo run --quiet --release --package tests --bin fault -- \
	    $(if $(CASE),--case $(CASE)) $(if $(MODE),--mode $(MODE)) $(if $(SEED),--seed $(SEED)) \
	    $(if $(JOBS),--jobs $(JOBS)) $(if $(RATE),--rate $(RATE))

lint: $(VENV) ## Check format, lints, documentation, dependency directions, licences, scripts
	@deploy/need.sh cargo cc openssl-headers
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@# What `make demo` builds where the OpenSSL headers are missing.
	cargo clippy --locked --package millstream --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
	.ci/boundaries.sh
	.ci/scripts.sh
	$(PYTHON) deploy/check_compose.py
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	else echo "cargo-deny is not installed, so deny.toml was not checked: cargo install --locked cargo-deny"; fi

bench: setup-tests build ## Measure on a real Apache Kafka, and save the table
	MILLSTREAM_BIN=$(CURDIR)/$(BINARY) cargo bench --package tests --bench bench

fmt: ## Format the sources
	cargo fmt --all

clean: ## Remove everything that was fetched or built
	@deploy/kafka/kafka.sh stop
	rm -rf target
