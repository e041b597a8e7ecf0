# Everything that is done with this repository; `make help` lists it. Needed: Go, make, git, for the
# race detector a C compiler, and for a real Kafka also Java 17 and Maven; kcat for the tests that
# have it read and write. Other tools are pinned in tools/go.mod and built when they are first used.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOL     = $(GO) tool -modfile=tools/go.mod
KAFKA    = .kafka/kafka

# Tests that share a virtual clock need kgo's mutexes as channels (the tag synctests). They run with
# the race detector, as does what has goroutines; the rest is single-threaded by design.
RACE     = $(if $(shell command -v $(or $(shell $(GO) env CC),cc) 2>/dev/null),-race)
PARALLEL = $(patsubst %,./%/...,$(wildcard processor state console cmd internal/demo))

# make bench BENCH=Scan COUNT=10 BENCH_FILE=bin/before.txt
BENCH       ?= .
COUNT       ?= 6
BENCH_FILE  ?= bin/bench.txt
BENCH_PKGS   = $(patsubst %,./%/...,$(wildcard session schemas state processor))
FUZZTIME    ?= 20s

# make sim SEED=7, make sim TRACE=/tmp/sim-seed-7.trace, make sim SEEDS=50 EVENTS=20000
SEED   ?=
TRACE  ?=
SEEDS  ?= 2000
EVENTS ?= 5000

TEST_FLAGS  ?=
DEMO_FLAGS  ?=
PROOF_DIR   ?= bin/proof
LONG        ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test sim check fmt tidy-diff lint kafka kafka-stop kafka-topic test-kafka \
	registry registry-stop \
	crash report bench benchstat docs fuzz clean

help: ## list the targets
	@echo 'A real broker for trying things out: make kafka, then KAFKA_BROKERS=127.0.0.1:9092;'
	@echo 'another port with KAFKA_PORT=19092, a topic with make kafka-topic TOPIC=events, and'
	@echo 'make kafka-stop at the end. make test-kafka runs a fresh broker of its own.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

build: ## bin/sessionizer, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' \
		-o bin/sessionizer ./cmd/sessionizer

demo: build ## the whole of it in one process, on an embedded broker, with crashes; 30 s
	bin/sessionizer demo $(DEMO_FLAGS)

test: ## the fast tests: no broker, no network; LONG=1 tries every error code of Kafka everywhere
	$(GO) test $(TEST_FLAGS) ./...
	$(if $(PARALLEL),$(GO) test $(RACE) -tags synctests -timeout 20m $(TEST_FLAGS) $(PARALLEL))

sim: ## simulation: 2,000 seeds and planted faults; one with SEED=7, a failed one with TRACE=file
	$(GO) test -count=1 -timeout 60m ./internal/sim -v -run '^TestSim$$' $(if $(TRACE), \
		-replay $(abspath $(TRACE)) -tell, $(if $(SEED), -seed $(SEED), -seeds $(SEEDS)) -events $(EVENTS))
	$(if $(TRACE)$(SEED),,$(GO) test -count=1 -timeout 60m ./internal/sim -run Planted -planted)

check: fmt tidy-diff lint ## formatting, vet, lint, modules, layout and style
	$(GO) test -count=1 ./internal/tidy

fmt:
	$(TOOL) golangci-lint fmt --diff ./...

tidy-diff:
	$(GO) mod tidy -diff

lint:
	$(GO) vet ./...
	$(TOOL) golangci-lint run ./...

kafka: $(KAFKA) ## start Apache Kafka on 127.0.0.1:9092 (KAFKA_PORT), if it does not run
	@$(KAFKA) start

kafka-topic: $(KAFKA) ## make a topic on it: TOPIC=events PARTITIONS=4
	@$(KAFKA) topic $(or $(TOPIC),events) $(or $(PARTITIONS),4)

kafka-stop: $(KAFKA) ## end it, by its process id; its data stays
	@$(KAFKA) stop

registry: $(KAFKA) ## start a schema registry on 127.0.0.1:8081 (REGISTRY_PORT), if it does not run
	@$(KAFKA) registry start

registry-stop: $(KAFKA) ## end it, by its process id; its schemas stay
	@$(KAFKA) registry stop

test-kafka: build $(KAFKA) ## integration tests on a fresh broker, or on those of KAFKA_BROKERS
	SESSIONIZER_BIN=$(CURDIR)/bin/sessionizer $(KAFKA) with \
		$(GO) test -count=1 -tags kafka -timeout 20m $(TEST_FLAGS) ./internal/kafkatest/...
	$(KAFKA) with $(GO) test -count=1 -tags kafka -run Conformance $(TEST_FLAGS) ./cmd/sessionizer

crash: build $(KAFKA) ## break it on a real broker: kills, pauses, damage, outages; LONG=1: 2,000 kills
	SESSIONIZER_BIN=$(CURDIR)/bin/sessionizer LONG=$(LONG) PROOF_DIR=$(abspath $(PROOF_DIR)) \
		$(KAFKA) with $(GO) test -count=1 -v -tags kafka -timeout 8h -parallel 4 $(TEST_FLAGS) \
		-run 'Campaign|Broker_|Refusal|Pause|Restore|Hanging' ./internal/kafkatest

report: ## docs/proof.md anew, from what breaks it: half an hour
	rm -rf $(PROOF_DIR)
	PROOF_DIR=$(abspath $(PROOF_DIR)) $(GO) test -count=1 -run 'TestDamage$$' ./state
	PROOF_DIR=$(abspath $(PROOF_DIR)) $(GO) test -count=1 -run Mutants ./internal/audit
	PROOF_DIR=$(abspath $(PROOF_DIR)) LONG=1 $(GO) test -count=1 -tags synctests -timeout 60m \
		-run 'TestCodes$$' ./processor
	PROOF_DIR=$(abspath $(PROOF_DIR)) $(MAKE) sim
	$(MAKE) crash
	$(GO) run ./internal/proof/report $(PROOF_DIR) docs/proof.md

# Rebuilt each time: the go command knows better than make whether it must.
.PHONY: $(KAFKA)
$(KAFKA):
	@$(GO) build -o $(KAFKA) ./internal/kafka/cmd/kafka

bench: build $(KAFKA) ## benchmarks, here and end to end on a real broker: BENCH=Scan COUNT=10
	@mkdir -p $(dir $(BENCH_FILE))
	set -o pipefail; $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) \
		-timeout 0 $(BENCH_PKGS) | tee $(BENCH_FILE)
	set -o pipefail; SESSIONIZER_BIN=$(CURDIR)/bin/sessionizer $(KAFKA) with \
		$(GO) test -tags kafka -run '^$$' -bench '$(BENCH)' -timeout 0 ./internal/kafkatest/... \
		| tee -a $(BENCH_FILE)
	$(TOOL) benchstat $(BENCH_FILE)

benchstat: ## compare two runs of bench: OLD=bin/before.txt NEW=bin/bench.txt
	$(TOOL) benchstat $(OLD) $(or $(NEW),$(BENCH_FILE))

docs: ## docs/semantics.md, from the scenarios; docs/schemas.md, from the schemas
	$(GO) test -count=1 ./session -run TestSemanticsPage -rewrite
	$(GO) test -count=1 ./cmd/sessionizer -run TestSchemasPage -rewrite

fuzz: ## every fuzz test for a while: FUZZTIME=1m
	@set -e; for pkg in $$($(GO) list ./...); do \
		for name in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

clean: $(KAFKA) ## stop its brokers; remove them, their data, the jars and what was built
	@$(KAFKA) stop-all
	rm -rf bin .kafka

# The recipes that pipe want to know of a failure in the first part.
SHELL := bash
