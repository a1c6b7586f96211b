# tunoffload.h: one header. This file builds its demo, tests, fuzzers and examples, all under build/.
# Needs GNU make and a C compiler; what needs more says so and is skipped (or fails under CI=true).

CC       ?= cc
CXX      ?= c++
CFLAGS   ?= -O2 -g
TUO_CFLAGS ?=
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef
BASE     = -std=c99 -I. $(WARNINGS) $(TUO_CFLAGS)
SANITIZE = -O0 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

BUILD    = build
CAPTURES = $(wildcard tests/captures/*.pcap)
TESTS    = $(patsubst %.c,%,$(notdir $(wildcard tests/*/test_*.c)))
vpath test_%.c tests/core tests/kernel
vpath soak.c tests/kernel
ifneq ($(shell uname -s),Linux) # the TUN backend is Linux only
TESTS   := $(filter-out test_tun% test_kernel% test_memory,$(TESTS))
endif
PROGRAMS = $(BUILD)/pcap_offload $(BUILD)/tun_bridge $(BUILD)/udp_tunnel
OPTIONAL = dpdk_port lwip_tun
FUZZERS  = $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
SEEDS    = $(wildcard fuzz/seeds/*.seeds)
HEADERS  = tunoffload.h $(wildcard tests/lib/*.h tests/bench/*.h fuzz/*.h examples/*.h)
ROUNDS  ?= 400
ROWS    ?=

.PHONY: all bench bench-e2e bench-instr bench-queues bench-uring check check-arch check-devices check-kernels check-san check-sweep
.PHONY: check-the-checks clean coverage demo examples fuzz fuzz-afl fuzz-coverage fuzz-replay fuzz-short help lint mutate nightly prove
.PHONY: soak test test-e2e test-threads
.DELETE_ON_ERROR:

## all            build the programs in examples/
all: $(PROGRAMS)

## examples       the programs, and those that need packages: dpdk_port (libdpdk-dev), lwip_tun (liblwip-dev); says what is left out
examples: all
	@for p in $(OPTIONAL); do $(MAKE) -s $(BUILD)/$$p || exit 1; [ -x $(BUILD)/$$p ] || echo "left out: $$p"; done

## demo           coalesce, split and compare the captures in tests/captures, and print what came of it
demo: $(BUILD)/pcap_offload
	@sh examples/demo.sh $(BUILD)/pcap_offload tests/captures $(BUILD)/demo

## test           everything below, with each compiler and sanitizer that works here; ends with "N passed, N failed, N skipped"
test: $(BUILD)/pcap_offload
	@MAKE="$(MAKE)" CC="$(CC)" CXX="$(CXX)" sh tests/run.sh $(BUILD)

## check          the unit and property tests only, with $(CC) and no sanitizer: the quick loop while editing
check: $(TESTS:%=$(BUILD)/plain/%)
	@status=0; for t in $^; do echo "== $$t"; $$t || status=1; done; exit $$status

## fuzz           T=name SECONDS=n: fuzz one target (fuzz/README.md) with libFuzzer; needs clang and its compiler-rt
SECONDS ?= 60
fuzz: $(BUILD)/fuzz/fuzz_$(T) $(BUILD)/fuzz/seeds.done
	@mkdir -p $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/found
	$(BUILD)/fuzz/fuzz_$(T) -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 -use_value_profile=1 -dict=fuzz/tun.dict \
	    -artifact_prefix=$(BUILD)/fuzz/found/$(T)- $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/committed/$(T) $(BUILD)/fuzz/seeds/$(T)

## fuzz-short     T="names" SECONDS=n: all targets, or these, for 60 s each, or n; ends with "N passed, N failed, N skipped"
fuzz-short: $(BUILD)/fuzz/seeds.done
	@sh fuzz/short.sh $(BUILD) $(SECONDS) $(T)

## fuzz-afl       T="names" SECONDS=n: the same under AFL++; needs afl++ and afl++-clang
fuzz-afl: $(BUILD)/fuzz/seeds.done
	@sh fuzz/afl.sh $(BUILD) $(SECONDS) $(T)

## fuzz-coverage  what seeds and corpus reach of the header, lines and branches; needs clang, llvm-cov, llvm-profdata
fuzz-coverage: $(BUILD)/fuzz/seeds.done
	@sh fuzz/coverage.sh $(BUILD) $(T)

## fuzz-replay    run each fuzz target over its seeds without libFuzzer; needs only $(CC)
fuzz-replay: $(FUZZERS:%=$(BUILD)/plain/replay_%) $(BUILD)/fuzz/seeds.done
	@for t in $(FUZZERS); do for seeds in fuzz/seeds/$$t.seeds $(BUILD)/fuzz/seeds/$$t; do \
	    $(BUILD)/plain/replay_$$t --mutate 2000 $$seeds || exit 1; done; done

## soak           SECONDS=n SEED=n: hostile packets through TUN devices and the kernel's router: none lost, changed or out of order;
##                work per packet counted, memory flat; needs root
soak: $(BUILD)/plain/soak
	@$< $(SECONDS) $(SEED)

# Assurance. Each target ends with one line "N passed, N failed, N skipped".
#
# In CI (.ci/run, 19 minutes on two cores, to stay under 20) is what an edit of the header can break within a day's work: all of demo,
# test, test-e2e, test-threads, check-devices, check-kernels, check-sweep, check-san, coverage, bench-instr; and of what takes longer a
# part that is the same every time: proofs without their planted bugs, on other models the parser only; check-arch on a big-endian
# processor with strict alignment and on one with 32 bits; 50 mutants; four fuzz targets for 10 seconds each; 20 seconds of soak; lint
# without the two analyzers that take minutes; the planted bugs that are seen within seconds; the coverage of the fuzzers' seeds. In
# `make nightly` is the whole of these parts, AFL++, and the deep proofs.

## test-e2e       real clients through tun_bridge and udp_tunnel in network namespaces; needs root, ip, iperf3, curl, nginx
test-e2e: $(PROGRAMS)
	@bash tests/examples/both.sh $(BUILD) e2e udp_tunnel

## check-devices  real traffic through dpdk_port and lwip_tun; needs root, ip, iperf3, tshark, libdpdk-dev, liblwip-dev, pkg-config
check-devices: examples
	@bash tests/examples/both.sh $(BUILD) dpdk_port lwip_tun

## check-kernels  the backend on Debian's kernels in virtual machines; needs root and the network once, qemu
check-kernels:
	@bash tests/kernel/kernels_test.sh $(BUILD)

## check-arch     ARCHES=names or all: the core on other processors and C libraries, emulated, and on Windows; cross compilers, qemu-user, wine
check-arch:
	@ARCHES="$(ARCHES)" bash tests/checks/arch_test.sh $(BUILD)

## check-san      unsigned wraps and implicit conversions, uninitialised memory, data races (clang's sanitizers, beyond those of `test`)
check-san:
	@bash tests/checks/san_test.sh $(BUILD)

## check-sweep    every truncation and every first byte of every kind of packet, and planted defects that it must see
check-sweep:
	@sh tests/checks/sweep_test.sh $(BUILD)

## prove          DEPTH=--quick or --deep: CBMC and Frama-C over all inputs within stated bounds (tests/proofs), planted bugs; needs Debian and the network
prove:
	@sh tests/proofs/prove.sh $(BUILD) $(DEPTH)

## lint           QUICK=--quick: cppcheck, clang-tidy, shellcheck; and, unless quick, clang's and gcc's analyzers
lint:
	@bash tests/checks/lint.sh $(BUILD) $(QUICK)

## coverage       lines, branches and MC/DC of the core by its tests: 100 %, but for tests/checks/coverage.txt; needs clang 19, llvm-19, python3
coverage:
	@sh tests/checks/coverage.sh $(BUILD)

## mutate         SAMPLE=n: change one token at a time and see a test fail, n mutants or all; needs tcc, python3
SAMPLE ?= 0
mutate:
	@python3 tests/checks/mutate.py $(BUILD) --sample $(SAMPLE)

## check-the-checks  apply each bug of tests/checks/planted and see the check that is named in it fail; P="patterns": only these
check-the-checks:
	@sh tests/checks/check_the_checks.sh $(BUILD) $(P)

## test-threads   one reader and one writer per queue under ThreadSanitizer
test-threads: $(BUILD)/tsan/test_tun_threads
	@$<

## nightly        STEPS="names": the long ones, or these: soak, lint, all processors, deep proofs, fuzzers, planted bugs, all mutants; hours, root
nightly:
	@bash .ci/nightly

## bench          ROUNDS=n ROWS=pattern: times against memcpy and peers (tests/bench/README.md), into build/bench/*.csv, *.svg
bench: $(BUILD)/bench/bench $(BUILD)/bench/plot
	$(BUILD)/bench/bench -r $(ROUNDS) -o $(BUILD)/bench $(if $(ROWS),'$(ROWS)')
	$(if $(ROWS),,$(BUILD)/bench/plot $(BUILD)/bench)

# DPDK is measured, too, where pkg-config finds it. Its headers are not held to our warnings.
$(BUILD)/bench/bench: tests/bench/bench.c tests/bench/peer_dpdk.c $(HEADERS)
	@mkdir -p $(@D)
	@if pkg-config --exists libdpdk 2>/dev/null; then set -ex; \
	    $(CC) -O3 -g -std=gnu99 -Wall -Wextra -I. -Itests/lib $$(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g') \
	        -c -o $(@D)/peer_dpdk.o tests/bench/peer_dpdk.c; \
	    $(CC) $(CFLAGS) $(BASE) -Itests/lib -DHAVE_DPDK -o $@ tests/bench/bench.c $(@D)/peer_dpdk.o $$(pkg-config --libs libdpdk); \
	else set -ex; \
	    $(CC) $(CFLAGS) $(BASE) -Itests/lib -o $@ tests/bench/bench.c; \
	fi

$(BUILD)/bench/plot: tests/bench/plot.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -o $@ $<

## bench-e2e      E2E_ROUNDS=n E2E_SECONDS=n: tun_bridge between namespaces with iperf3, CPU per byte of each mode against pass;
##                needs root, ip, iperf3, jq; writes build/bench/e2e.csv, e2e.svg
bench-e2e: $(BUILD)/tun_bridge
	bash tests/bench/e2e.sh $(BUILD)

## bench-queues   1 to N queues, a thread each, and the memory of a queue; needs root; writes build/bench/scaling_queues.csv
bench-queues: $(BUILD)/bench/queues
	$< $(BUILD)/bench/scaling_queues.csv

## bench-uring    io_uring against read and write on a TUN device; needs root and liburing (liburing-dev)
bench-uring: $(BUILD)/bench/io_uring
	@if [ -x $< ]; then $<; else echo "bench-uring cannot run: no liburing"; [ "$$CI" != true ]; fi

$(BUILD)/bench/queues: tests/bench/queues.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -Itests/lib -pthread -o $@ $<

# Without liburing nothing is built, and bench-uring says so.
$(BUILD)/bench/io_uring: tests/bench/io_uring.c $(HEADERS)
	@mkdir -p $(@D)
	@if echo '#include <liburing.h>' | $(CC) -E - > $(@D)/liburing.i 2>&1; then set -x; \
	    $(CC) $(CFLAGS) $(BASE) -Itests/lib -o $@ $< -luring; fi

## bench-instr    instructions per packet against the committed figures; needs valgrind. UPDATE=--update rewrites the figures
bench-instr:
	@CC="$(CC)" sh tests/bench/instr.sh $(BUILD) $(UPDATE)

## help           this list
help:
	@sed -n 's/^## //p' Makefile

## clean          remove build/
clean:
	rm -rf $(BUILD)

$(PROGRAMS): $(BUILD)/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -pthread -o $@ $<

# Built where pkg-config finds the package. Foreign headers are not held to our warnings.
PACKAGE_dpdk_port = libdpdk
PACKAGE_lwip_tun  = lwip
$(OPTIONAL:%=$(BUILD)/%): $(BUILD)/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	@if pkg-config --exists $(PACKAGE_$*) 2>/dev/null; then set -ex; \
	    $(CC) $(CFLAGS) $(subst c99,gnu99,$(BASE)) -pthread $$(pkg-config --cflags $(PACKAGE_$*) | sed 's/-I/-isystem /g') \
	        -o $@ $< $$(pkg-config --libs $(PACKAGE_$*)); \
	else echo "$*: no $(PACKAGE_$*) (pkg-config)"; fi

$(BUILD)/tsan/%: %.c $(HEADERS)
	@mkdir -p $(@D)
	clang -O1 -g -fsanitize=thread $(BASE) -Itests/lib -pthread -o $@ $<

# Test programs and fuzz replays, once per configuration: plain, san-gcc, san-clang.
SHARING = $(shell sh tests/lib/sharing.sh)
define CONFIGURATION
$(BUILD)/$(1)/tunoffload.o: tunoffload.h
	@mkdir -p $$(@D)
	$(2) $(3) $(BASE) -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o $$@ $$<
IMPLEMENTATION_$(1) = $$(if $$(filter $$<,$$(SHARING)),-DTUNOFFLOAD_IMPLEMENTATION_DONE $(BUILD)/$(1)/tunoffload.o)
$(BUILD)/$(1)/%: %.c $(BUILD)/$(1)/tunoffload.o $(HEADERS)
	$(2) $(3) $(BASE) -Itests/lib -pthread -o $$@ $$< $$(IMPLEMENTATION_$(1))
$(BUILD)/$(1)/replay_%: fuzz/fuzz_%.c fuzz/replay.c $(BUILD)/$(1)/tunoffload.o $(HEADERS)
	$(2) $(3) $(BASE) -Itests/lib -o $$@ $$< fuzz/replay.c $$(IMPLEMENTATION_$(1))
.PHONY: tests-$(1) replays-$(1)
tests-$(1): $(TESTS:%=$(BUILD)/$(1)/%)
replays-$(1): $(FUZZERS:%=$(BUILD)/$(1)/replay_%)
endef
$(eval $(call CONFIGURATION,plain,$(CC),$(CFLAGS)))
$(eval $(call CONFIGURATION,san-gcc,gcc,$(SANITIZE)))
$(eval $(call CONFIGURATION,san-clang,clang,$(SANITIZE)))

$(BUILD)/fuzz/fuzz_%: fuzz/fuzz_%.c fuzz/build.sh $(HEADERS)
	@sh fuzz/build.sh $(BUILD)/fuzz $*

$(BUILD)/make_seeds: fuzz/make_seeds.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -Itests/lib -o $@ $<

# Packs and unpacks files of seeds.
$(BUILD)/replay: fuzz/replay.c tests/lib/counts.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -DREPLAY_ALONE -o $@ $<

# One file per input, as fuzzers want them: those that are made, and the committed ones, unpacked.
$(BUILD)/fuzz/seeds.done: $(BUILD)/make_seeds $(BUILD)/replay $(SEEDS) $(CAPTURES)
	rm -rf $(BUILD)/fuzz/seeds $(BUILD)/fuzz/committed
	$(BUILD)/make_seeds tests/captures $(BUILD)/fuzz/seeds
	@for t in $(FUZZERS); do mkdir -p $(BUILD)/fuzz/committed/$$t && \
	    $(BUILD)/replay --unpack $(BUILD)/fuzz/committed/$$t fuzz/seeds/$$t.seeds || exit 1; done
	@touch $@

.PHONY: seeds
seeds: $(BUILD)/fuzz/seeds.done
