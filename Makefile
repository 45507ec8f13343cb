# Everything that a developer runs. `make help` lists the targets.

# The target directory is outside the checkout, so that another checkout can use it, too: RocksDB
# takes a quarter of an hour to compile on two cores.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/hindsight/target
export CARGO_TERM_COLOR ?= auto

# Every cargo command here selects the same packages and targets. Another selection would unify
# features differently and compile the third-party crates again.
EVERYTHING = --workspace --all-targets
# The server versions besides the default version, oldest first.
VERSIONS = 4.4.2 5.0.4 6.0.27 7.0.28

.DEFAULT_GOAL := help
.PHONY: help tools sources build fmt lint test test-matrix torture soak sim demo bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## install build packages and fetch the default MongoDB server and Kafka
	deploy/dev/packages
	deploy/dev/mongod
	deploy/dev/kafka
	deploy/dev/python

# Cargo goes by the age of files: it would take what another checkout compiled here later for the
# result of these sources.
sources:
	@mkdir -p "$$CARGO_TARGET_DIR"
	@if [ "$$(cat "$$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$(CURDIR)" ]; then \
	    find . -type f \( -name '*.rs' -o -name '*.proto' \) -not -path './target/*' -exec touch -c {} + ; \
	    echo "$(CURDIR)" > "$$CARGO_TARGET_DIR/checkout"; \
	fi

build: tools sources ## build the binary, the tests and the benches
	cargo build --locked $(EVERYTHING)

fmt: ## format the sources
	cargo fmt --all

lint: tools sources ## check formatting, spelling, clippy and documentation, with warnings denied
	cargo fmt --all --check
	"$$(dirname "$$(deploy/dev/python)")/typos"
	cargo clippy --locked $(EVERYTHING) -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --locked --workspace --no-deps --document-private-items

test: lint build ## every test, on a real MongoDB and a real Kafka
	"$$(deploy/dev/python)" -m unittest discover -s tests/independent_reader
	cargo test --locked --workspace --no-fail-fast

# If HINDSIGHT_MONGOD names a server of your own, the tests run only on that server. The Kafka tests
# are the same with every server, and the upgrade tests need several servers. Each version runs to
# its end, even if another version failed.
test-matrix: build ## the end-to-end tests on the other MongoDB versions, and the upgrade through all of them
ifdef HINDSIGHT_MONGOD
	cargo test --locked --workspace --no-fail-fast --test main -- --skip kafka:: --skip upgrades::
else
	failed=; for version in $(VERSIONS); do \
	    echo "== MongoDB $$version"; \
	    deploy/dev/mongod $$version && HINDSIGHT_TEST_MONGODB=$$version \
	        cargo test --locked --workspace --no-fail-fast --test main -- --skip kafka:: --skip upgrades:: \
	        || failed="$$failed $$version"; \
	done; \
	echo "== upgrades"; \
	cargo test --locked --workspace --test main -- --ignored upgrades:: || failed="$$failed upgrades"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi
endif

# The programs alone: neither tests nor benches are compiled.
demo: sources ## capture, an accident, and a restore to just before it
	deploy/dev/packages
	deploy/dev/mongod
	cargo build --locked --workspace --bins
	"$$CARGO_TARGET_DIR/debug/demo"

# Hours of what `make test` does for minutes.
torture: build ## the tests of crashes, failovers and random input, each at full length
	HINDSIGHT_TEST_KILLS=200 HINDSIGHT_TEST_TRANSACTION_KILLS=500 HINDSIGHT_TEST_TAILER_KILLS=50 \
	HINDSIGHT_TEST_OUTAGE_SECONDS=300 HINDSIGHT_TEST_ELECTIONS=20 HINDSIGHT_TEST_FLIPS=500 \
	HINDSIGHT_TEST_UPDATES=100000 HINDSIGHT_TEST_FILTERS=150000 HINDSIGHT_TEST_POINTS=100 HINDSIGHT_TEST_EXAMPLES=500 \
	    cargo test --locked --workspace --no-fail-fast --test main -- --test-threads 1 \
	    crash:: restarts:: kafka::failover kafka::outage elections:: corruption:: delta_fuzz:: query:: between:: api::fuzz

soak: build ## a steady load while history and log are cut: make soak MINUTES=60
	HINDSIGHT_TEST_SOAK_MINUTES=$(or $(MINUTES),60) \
	    cargo test --locked --workspace --test main -- --ignored --nocapture soak::

# `make test` runs seeds 0 to 1,999.
sim: tools sources ## simulate capture: make sim SEEDS=100000 FIRST=2000
	HINDSIGHT_SIM_SEEDS=$(or $(SEEDS),10000) HINDSIGHT_SIM_FIRST=$(or $(FIRST),2000) \
	    cargo test --locked --workspace --test seeds -- --nocapture every_seed

bench: build ## measure
	cargo bench --locked --workspace --benches --profile dev
