# Thin on purpose: every target is one script or one cargo call. CI runs the same words.
.DEFAULT_GOAL := help
.PHONY: help demo test check interop bench storm fuzz build deb

help: ## What can be done here
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')" 2>/dev/null || cat $(MAKEFILE_LIST)

build: ## The release binary: target/release/ribwatch
	cargo build --release --locked

deb: build ## A Debian package of it: target/debian/ribwatch_VERSION_ARCHITECTURE.deb
	./packaging/deb

demo: build ## The whole product on one machine: sessions, a RIB, queries, a watch, a session that dies and returns
	./target/release/ribwatch demo --exit

test: ## Installs what the tests need and passes them all, other BGP daemons included
	./tests/run

check: ## Format, lints, docs and the house rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	cargo test --locked --quiet --test it tidy::

interop: build ## Scenarios beside FRR, BIRD, GoBGP and OpenBGPD in network namespaces: make interop [S="ebgp-all ibgp"]
	./interop/run $(S)

bench: build ## This project beside BIRD in one run (ALL=1: FRR, GoBGP and OpenBGPD too)
	./benches/run

storm: build ## An hour of flaps over ribwatch and BIRD at once: same routes in the end, no growth (SECONDS=60: a minute)
	./benches/storm/run --seconds $(or $(SECONDS),3600)

fuzz: ## Coverage-guided fuzzing of every decoder, SECONDS=1200 each
	./tests/fuzz/run $(or $(SECONDS),1200)
