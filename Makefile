# make run: try Tocsin.  make test: everything that CI runs.  make help: the rest.

# Running and testing share one build. Testability costs a few symbols; a second build would take minutes.
SWIFT_BUILD := swift build -c release -Xswiftc -enable-testing
PYTEST := .venv/bin/pytest -c Tests/pytest.ini -q

.PHONY: help run build test check style format swift-test function-test interop-test browser-test conformance-test fault-test \
        conformance interop fuzz fuzz-test faults leaks cost-test bench deps test-deps stacks clean

help:
	@echo "make run           a private Redis, two gateways and a page to try them"
	@echo "                   (make run PORT=8101: on other ports; REDIS_PORT=6400: Redis alone)"
	@echo "make test          everything that can be tested without Docker"
	@echo "make check         formatting, imports, file lengths, and what messages and connections cost in instructions"
	@echo "make swift-test | cost-test | fuzz-test | function-test | interop-test | browser-test | conformance-test | fault-test | leaks"
	@echo "                   parts of make test"
	@echo "make conformance   the Autobahn suite's cases, all of them, and a table of the results (wants Python 2.7)"
	@echo "make interop       the whole matrix of Django stacks, what make interop-test leaves out included (about half an hour)"
	@echo "make fuzz          all that reads other people's bytes under libFuzzer, a minute for each of scripts/fuzz' targets"
	@echo "make stacks        the old Django stacks that make interop-test talks to: a Python environment for each"
	@echo "make faults        every fault of docs/reliability.md at full scale (about an hour, as root)"
	@echo "make bench         measures Tocsin beside its peers (make bench QUICK=1: only tries it; .venv/bin/python -m Benchmarks --help)"
	@echo "make format        formats the Swift sources"
	@echo "make build | clean"

run: deps
	$(SWIFT_BUILD) --product tocsin
	.build/release/tocsin dev $(if $(PORT),--port $(PORT)) $(if $(REDIS_PORT),--redis-port $(REDIS_PORT))

build: deps
	$(SWIFT_BUILD) --product tocsin

# TOCSIN_STRICT turns warnings into errors. Only here, so that a newer compiler's warnings do not break make run.
test: export TOCSIN_STRICT := 1
test: test-deps style swift-test cost-test fuzz-test leaks function-test interop-test browser-test conformance-test fault-test

check: style cost-test

style:
	swift format lint --strict --recursive Package.swift Sources Tests
	scripts/check-house

format:
	swift format --in-place --recursive Package.swift Sources Tests

swift-test:
	$(SWIFT_BUILD) --build-tests
	swift test -c release -Xswiftc -enable-testing --skip-build

# Limits on instructions, system calls and allocations of the gateway's loop: figures that noise does not affect.
cost-test: test-deps build
	$(PYTEST) Tests/Cost

# The C shim alone under valgrind, with random input.
leaks:
	scripts/leaks

function-test: test-deps
	$(PYTEST) Tests/Functions

interop-test: test-deps stacks
	$(PYTEST) Tests/Interop Tests/Bench

# The tests at full scale too, which only run when they are asked for.
interop: interop-test
	$(PYTEST) Tests/Interop -m full

# Headless Chromium.
browser-test: test-deps
	$(PYTEST) Tests/Browser

# The Autobahn suite without its large messages; skipped with a message if there is no Python 2.7.
conformance-test: test-deps
	if scripts/autobahn-environment; then $(PYTEST) Tests/Conformance -m quick; \
	else [ $$? = 3 ] && $(PYTEST) Tests/Conformance/test_judge.py; fi

conformance: test-deps build
	scripts/autobahn-environment
	$(PYTEST) Tests/Conformance

# All code that reads untrusted bytes, under libFuzzer: one minute per target.
fuzz: build
	scripts/fuzz

# The kept inputs, and four seconds of new ones per target.
fuzz-test: build
	scripts/fuzz --test 4

deps:
	scripts/install-packages run

# A few small faults, for every run.
fault-test: test-deps
	$(PYTEST) Tests/Faults -m quick

faults: test-deps
	$(PYTEST) Tests/Faults

# All shapes, all peers, three rounds; or SHAPES=fan-out,idle SERVERS=tocsin,floor ROUNDS=1, or QUICK=1. A peer that cannot
# be installed is left out, which the report states.
# Measures the program built with the Dockerfile's flags, as in the image; the tests' build is separate.
bench: export TOCSIN_BIN := .build/image/release/tocsin
bench: deps
	swift build -c release --product tocsin --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked \
		--scratch-path .build/image
	scripts/python-environment
	-scripts/install-packages bench
	-scripts/python-environment Benchmarks/requirements/channels.txt .build/bench/channels
	-scripts/python-environment Benchmarks/requirements/socketify.txt .build/bench/socketify
	.venv/bin/python -m Benchmarks $(if $(SHAPES),--shapes $(SHAPES)) $(if $(SERVERS),--servers $(SERVERS)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick) $(if $(RAW),--raw $(RAW)) $(if $(NOTE),--note "$(NOTE)")

# The old Django stacks of Tests/Interop/stacks; those that this machine has no Python for are left out, and said.
stacks:
	scripts/django-environment --all

test-deps:
	scripts/install-packages run test
	scripts/python-environment

clean:
	rm -rf .build .venv .autobahn .stacks report-*
