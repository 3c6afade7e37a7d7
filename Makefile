# Tailrace. `make demo` shows the whole path working; `make test` proves it; the rest is for its developers.

RELEASE = .build/release/tailrace
EVENT_LOAD = .build/release/event-load
PULSAR_LOAD = .build/release/pulsar-load
STAGE_LOAD = .build/release/stage-load
PULSAR_BROKER = .build/release/pulsar-broker
WORLDS = .build/release/worlds
VENV = .build/venv
# The beta of the official client that numbers its events needs packages of its own.
BETA = .build/venv-idempotent
# One configuration for all that is shipped, shown or measured: the same flags give the same build folder.
# Linked by lld with relative relocations packed and no dynamic symbol table, which saves 3.6 MB; with functions of the same
# code folded into one, which saves another half (no code of ours tells functions apart by their addresses); bound at start.
# Without tables for unwinding, which saves 3.8 MB: Swift throws without them, nothing of ours ends threads from outside, and a
# C++ exception in a runtime that is built without them would end the process either way. Frame pointers stay, so that perf,
# Swift's backtraces of a crash and debuggers still walk the stack; what is lost is a debugger's view of the callers' registers.
RELEASE_FLAGS = -c release --static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker -z -Xlinker pack-relative-relocs \
	-Xlinker --no-export-dynamic -Xlinker --icf=all -Xlinker -z -Xlinker now \
	-Xlinker -T -Xlinker packaging/no-unwind-tables.ld

.PHONY: demo test test-debug test-release cost torture kills fills reloads release package test-package lint format bench curves crash clean \
	$(EVENT_LOAD) $(PULSAR_LOAD) $(PULSAR_BROKER) $(STAGE_LOAD) $(WORLDS)

demo: release  ## Build, then watch lines go file -> spool -> hub, with a kill -9 in the middle.
	$(RELEASE) demo

release: dependencies-build
	swift build $(RELEASE_FLAGS) --product tailrace

package: release  ## The Debian package, in .build/packages.
	packaging/build-deb --command $(RELEASE)

$(EVENT_LOAD) $(PULSAR_LOAD) $(PULSAR_BROKER) $(STAGE_LOAD) $(WORLDS): release  ## Loads for benchmarks and memory tests; worlds.
	swift build $(RELEASE_FLAGS) --product $(notdir $@)

test: test-debug test-release test-package  ## Everything: unit tests, real peers, crashes; then the release binary and its package.

# One by one: many tests wait for real sockets, disks, threads and processes, and side by side on two processors they would
# starve each other. Whole processes come last.
test-debug: dependencies-test $(VENV)/.ready $(BETA)/.ready
	swift build --build-tests
	Tests/run --skip 'IntegrationTests|CrashTests'
	Tests/run --filter 'IntegrationTests|CrashTests'

kills: dependencies-test  ## Two hundred kill -9 of an agent with four partitions, and forty of its hub.
	swift build --build-tests
	TAILRACE_KILLS=200 Tests/run --filter killsOfTheAgentAndSomeOfTheHub

torture: dependencies-test  ## A minute of rotations of every kind and kills of the agent: nothing lost, nothing twice.
	swift build --build-tests
	TAILRACE_TORTURE=1 Tests/run --filter TortureTests

fills: dependencies-test  ## A file system of 64 MiB that is filled and freed twenty times under a running agent.
	swift build --build-tests
	TAILRACE_FILLS=20 Tests/run --filter FullDiskTests

test-release: cost $(EVENT_LOAD) $(PULSAR_LOAD) $(VENV)/.ready
	Tests/release-binary $(RELEASE)
	Tests/release-memory $(RELEASE) $(EVENT_LOAD) $(PULSAR_LOAD) $(VENV)/bin/python

# `make cost ACCEPT=1` writes what is counted into the limits.
cost: $(STAGE_LOAD) dependencies-test  ## Instructions and allocations of each stage, per record, against their limits.
	Tests/release-cost $(STAGE_LOAD) $(if $(ACCEPT),--accept)

# As root, on a machine that lets root make namespaces.
test-package: release dependencies-package  ## The Debian package, installed and used under a real systemd.
	Tests/package $(RELEASE)

# The official clients that read back what we send, and drive what we serve.
$(VENV)/.ready: Tests/IntegrationTests/Python/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(BETA)/.ready: Tests/IntegrationTests/Python/requirements-idempotent.txt
	python3 -m venv $(BETA)
	$(BETA)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# `make reloads`, `make reloads COUNT=10000`.
reloads: release  ## A thousand reloads under load, valid and not: everything is read back, and the longest wait is told.
	swift build --build-tests
	TAILRACE_COMMAND=$(RELEASE) TAILRACE_RELOADS=$(or $(COUNT),1000) Tests/run --filter ReloadLoadTests

# `make crash`, `make crash SEEDS=100000`, `make crash SECONDS=3600`, `make crash KIND=wire SEED=42 TRACE=1`. The kinds, one
# after the other when none is named: `bytes` (every byte of a spool of three segments is flipped, zeroed and cut off, one at a
# time), `plain` worlds, those with many times the faults (`storm`), and those whose service is behind a network: an event hub
# (`wire`), Pulsar brokers (`pulsar`), each of these in a storm too (`wire-storm`, `pulsar-storm`).
WORLD_OPTIONS = $(if $(SEED),--seed $(SEED)) $(if $(TRACE),--trace) $(if $(SEEDS),--seeds $(SEEDS)) \
	$(if $(SECONDS),--seconds $(SECONDS)) $(if $(FIRST),--first $(FIRST))

crash: $(WORLDS)  ## Spool, ledger, drain and protocols in thousands of worlds full of faults, each from one seed.
	$(WORLDS) $(KIND) $(WORLD_OPTIONS)

lint:
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks

format:
	swift format --in-place --recursive Package.swift Sources Tests Benchmarks

# What each benchmark measured, a line of JSON for each figure with the values of its runs; `table` prints all of it as one.
MEASUREMENTS = $(CURDIR)/.build/bench.jsonl
BENCH = MEASUREMENTS=$(MEASUREMENTS) swift run --package-path Benchmarks -c release

bench: release $(EVENT_LOAD) $(PULSAR_LOAD) $(PULSAR_BROKER) $(STAGE_LOAD) dependencies-bench $(VENV)/.ready  ## Each stage and the whole jobs beside yardsticks; one table, and .build/bench.jsonl.
	rm -f $(MEASUREMENTS)
	for stage in stages spool filter compress reopen; do \
		MEASUREMENTS=$(MEASUREMENTS) $(STAGE_LOAD) $$stage --directory $(CURDIR)/.build || exit; done
	$(BENCH) throughput $(RELEASE) --pulsar-broker $(PULSAR_BROKER)
	$(BENCH) latency $(RELEASE) $(EVENT_LOAD)
	$(BENCH) idle $(RELEASE)
	$(BENCH) idle $(RELEASE) --files 10000
	$(BENCH) udp $(RELEASE)
	$(BENCH) recovery $(RELEASE)
	$(BENCH) backlog $(RELEASE)
	$(BENCH) produce $(RELEASE) $(EVENT_LOAD) $(VENV)/bin/python
	$(BENCH) produce-pulsar $(PULSAR_LOAD) $(VENV)/bin/python
	@echo
	@$(BENCH) table $(MEASUREMENTS)

curves: release  ## How cost grows with files, partitions, lengths of lines and load: drawn into docs/curves.svg.
	$(BENCH) curves $(RELEASE) --svg $(CURDIR)/docs/curves.svg

clean:
	rm -rf .build Benchmarks/.build

dependencies-%:
	packaging/dependencies $*
