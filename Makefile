# tunoffload.h: one header. This file builds its demo, tests, fuzzers and examples, all under build/.
# Needs GNU make and a C compiler; what needs more says so and is skipped (or fails under CI=true).

CC       ?= cc
CXX      ?= c++
CFLAGS   ?= -O2 -g
TUO_CFLAGS ?=
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef
BASE     = -std=c99 -I. $(WARNINGS) $(TUO_CFLAGS)
SANITIZE = -g1 -fno-omit-frame-pointer -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all # no commas: CONFIGURATION has $(if)

BUILD    = build
CAPTURES = $(wildcard tests/captures/*.pcap)
TESTS    = $(patsubst %.c,%,$(notdir $(wildcard tests/*/test_*.c)))
vpath test_%.c tests/core tests/kernel tests/examples
vpath soak.c tests/kernel
ifneq ($(shell uname -s),Linux) # the TUN backend is Linux only
TESTS   := $(filter-out test_tun% test_udp test_udp_net test_udp_threads test_kernel% test_vnet_kernel test_memory test_examples,$(TESTS))
endif
CORE_TESTS = $(patsubst %.c,%,$(notdir $(wildcard tests/core/test_*.c)))
SHORT    = write_gro read_gso own_buffers adopt_fd packet_socket tunnel # of at most 100 lines, as is cpp
PROGRAMS = $(BUILD)/pcap_offload $(BUILD)/tun_bridge $(BUILD)/udp_tunnel $(SHORT:%=$(BUILD)/%)
OPTIONAL = dpdk_port lwip_tun cpp
FUZZERS  = $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
SEEDS    = $(wildcard fuzz/seeds/*.seeds)
HEADERS  = tunoffload.h $(wildcard tests/lib/*.h tests/bench/*.h fuzz/*.h examples/*.h)
ROUNDS  ?= 400
ROWS    ?=

.PHONY: all bench bench-e2e bench-instr bench-queues bench-tunnel bench-uring check-arch check-devices check-kernels check-san check-sweep
.PHONY: check-the-checks clean coverage demo examples fuzz fuzz-afl fuzz-coverage fuzz-replay fuzz-short help lint mutate nightly prove quick
.PHONY: soak test test-e2e test-threads test-vnet-kernel
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

RUN_TESTS = MAKE="$(MAKE)" TESTS="$(TESTS)" CORE_TESTS="$(CORE_TESTS)" FUZZERS="$(FUZZERS)" sh tests/run.sh $(BUILD)

## [seconds] quick: the tests of the core, without sanitizers: the loop while editing
quick:
	@$(RUN_TESTS) quick

## [minutes] test: every test with every compiler and sanitizer that works here;
##     as root also those with TUN devices
test:
	@$(RUN_TESTS)

## [seconds] all: the programs in examples/ that need no package
all: $(PROGRAMS)

## [seconds] examples: all programs in examples/; says what is left out: dpdk_port
##     wants libdpdk-dev, lwip_tun wants liblwip-dev, cpp wants a C++ compiler
examples: all
	@for p in $(OPTIONAL); do $(MAKE) -s $(BUILD)/$$p || exit 1; [ -x $(BUILD)/$$p ] || echo "left out: $$p"; done

## [seconds] demo: coalesce, split and compare the captures in tests/captures
demo: $(BUILD)/pcap_offload
	@sh examples/demo.sh $(BUILD)/pcap_offload tests/captures $(BUILD)/demo

## [minutes] fuzz: T=name SECONDS=n: one target (fuzz/README.md) with libFuzzer; clang
SECONDS ?= 60
fuzz: $(BUILD)/fuzz/fuzz_$(T) $(BUILD)/fuzz/seeds.done
	@mkdir -p $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/found
	$(BUILD)/fuzz/fuzz_$(T) -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 -use_value_profile=1 -dict=fuzz/tun.dict \
	    -artifact_prefix=$(BUILD)/fuzz/found/$(T)- $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/committed/$(T) $(BUILD)/fuzz/seeds/$(T)

## [minutes] fuzz-short: T="names" SECONDS=n: all targets, or these, each for n seconds, or 60
fuzz-short: $(BUILD)/fuzz/seeds.done
	@sh fuzz/short.sh $(BUILD) $(SECONDS) $(T)

## [minutes] fuzz-afl: T="names" SECONDS=n: the same under AFL++; afl++, afl++-clang
fuzz-afl: $(BUILD)/fuzz/seeds.done
	@sh fuzz/afl.sh $(BUILD) $(SECONDS) $(T)

## [minutes] fuzz-coverage: T="names": what the seeds and what fuzzing found reach of the header;
##     clang, llvm
fuzz-coverage: $(BUILD)/fuzz/seeds.done
	@sh fuzz/coverage.sh $(BUILD) $(T)

## [seconds] fuzz-replay: each fuzz target over its seeds, without libFuzzer
fuzz-replay: $(FUZZERS:%=$(BUILD)/plain/replay_%) $(BUILD)/fuzz/seeds.done
	@for t in $(FUZZERS); do for seeds in fuzz/seeds/$$t.seeds $(BUILD)/fuzz/seeds/$$t; do \
	    $(BUILD)/plain/replay_$$t --mutate 2000 $$seeds || exit 1; done; done

## [minutes] soak: SECONDS=n SEED=n: hostile packets through TUN devices and the
##     kernel's router: none lost, changed or out of order; root
soak: $(BUILD)/plain/soak
	@$< $(SECONDS) $(SEED)

# Assurance. Each target ends with one line "N passed, N failed, N skipped".
#
# In CI (.ci/run, under 20 minutes on two cores) is what an edit of the header can break within a day's work: all of demo, test, test-e2e,
# test-threads, check-devices, coverage, bench-instr; and of what takes longer a part that is the same every time: check-kernels with the
# UDP socket on one of its kernels; check-san with the memory sanitizer on the fuzz targets only; proofs without the five slowest and their
# planted bugs, big-endian the parser only; check-arch a choice of programs on one processor, which is big-endian, has 32 bits and wants
# strict alignment; 25 mutants; two fuzz targets for 10 seconds each; 15 seconds of soak; lint without the two analyzers that take minutes;
# the planted bugs that are seen within seconds; the coverage of the fuzzers' seeds. In `make nightly` is the whole of these parts, check-
# sweep, test-vnet-kernel at full length, AFL++, and the deep proofs.

## [minutes] test-e2e: real clients through tun_bridge, tunnel and udp_tunnel in network
##     namespaces; root, ip, iperf3, curl, nginx
test-e2e: $(PROGRAMS)
	@bash tests/examples/both.sh $(BUILD) e2e tunnel udp_tunnel

## [minutes] check-devices: real traffic through dpdk_port and lwip_tun; root, iperf3, tshark,
##     libdpdk-dev, liblwip-dev
check-devices: examples
	@bash tests/examples/both.sh $(BUILD) dpdk_port lwip_tun

## [minutes] check-kernels: UDP_ON="names" of kernels or all: the TUN device and the UDP socket on
##     Debian's kernels in virtual machines; root, qemu, and the network once
check-kernels:
	@UDP_ON="$(UDP_ON)" bash tests/kernel/kernels_test.sh $(BUILD)

## [long] check-arch: ARCHES="names" or all: the core on other processors and C libraries,
##     emulated, and on Windows; cross compilers, qemu-user, wine
check-arch:
	@ARCHES="$(ARCHES)" bash tests/checks/arch_test.sh $(BUILD)

## [minutes] check-san: unsigned wraps, implicit conversions, uninitialised memory (MEMORY_OF="pattern" of
##     programs, or all), data races: sanitizers beyond those of test; clang
check-san:
	@MEMORY_OF="$(MEMORY_OF)" bash tests/checks/san_test.sh $(BUILD)

## [minutes] check-sweep: every truncation and every first byte of every kind of packet, and
##     planted defects that it must see
check-sweep:
	@sh tests/checks/sweep_test.sh $(BUILD)

## [long] prove: DEPTH=--quick or --deep: CBMC and Frama-C over all inputs within
##     stated bounds, and planted bugs; Debian, the network once
prove:
	@sh tests/proofs/prove.sh $(BUILD) $(DEPTH)

## [long] lint: QUICK=--quick: cppcheck, clang-tidy, shellcheck; and, unless quick
##     (minutes), clang's and gcc's analyzers
lint:
	@bash tests/checks/lint.sh $(BUILD) $(QUICK)

## [minutes] coverage: lines, branches and MC/DC of the core by its tests: 100 %, but for
##     tests/checks/coverage.txt; clang 19, llvm-19, python3
coverage:
	@sh tests/checks/coverage.sh $(BUILD)

## [long] mutate: SAMPLE=n: change one token at a time and see a test fail, n mutants
##     or all; tcc, python3
SAMPLE ?= 0
mutate:
	@python3 tests/checks/mutate.py $(BUILD) --sample $(SAMPLE)

## [long] check-the-checks: P="patterns": apply each bug of tests/checks/planted, or these, and
##     see the check that is named in it fail
check-the-checks:
	@sh tests/checks/check_the_checks.sh $(BUILD) $(P)

## [seconds] test-threads: one reader and one writer per queue and per socket, and a tunnel of
##     two threads, under ThreadSanitizer; clang, root
test-threads: $(BUILD)/tsan/test_tun_threads $(BUILD)/tsan/test_udp_threads $(BUILD)/tsan/test_tunnel_loops
	@sh tests/lib/programs.sh $^

## [minutes] test-vnet-kernel: PAIRS=n: tuo_vnet_check against the kernel: n pairs of vnet header and
##     packet through a TUN device, and n through a TAP device; root
test-vnet-kernel: $(BUILD)/plain/test_vnet_kernel
	@PAIRS="$(or $(PAIRS),2500000)" $<

## [long] nightly: STEPS="names": the long ones at full length, or these of them; hours;
##     root
nightly:
	@bash .ci/nightly

## [minutes] bench: ROUNDS=n ROWS=pattern: times against memcpy and peers
##     (tests/bench/README.md), into build/bench/*.csv, *.svg
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

## [minutes] bench-e2e: E2E_ROUNDS=n E2E_SECONDS=n: tun_bridge with iperf3, CPU per byte of
##     each mode, into build/bench/e2e.csv, cost-*.svg; root, iperf3, jq
bench-e2e: $(BUILD)/tun_bridge $(BUILD)/bench/plot
	bash tests/bench/e2e.sh $(BUILD)
	$(BUILD)/bench/plot $(BUILD)/bench tests/bench/results

## [minutes] bench-tunnel: TUNNEL_ROUNDS=n TUNNEL_SECONDS=n: tunnel, udp_tunnel, tun_bridge and one packet per
##     call with iperf3, CPU per byte, into build/bench/tunnel.csv, cost-*.svg; root, iperf3, jq
bench-tunnel: $(BUILD)/tunnel $(BUILD)/udp_tunnel $(BUILD)/tun_bridge $(BUILD)/bench/naive_tunnel $(BUILD)/bench/plot
	bash tests/bench/tunnel.sh $(BUILD)
	$(BUILD)/bench/plot $(BUILD)/bench tests/bench/results

$(BUILD)/bench/naive_tunnel: tests/bench/naive_tunnel.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -o $@ $<

## [seconds] bench-queues: 1 to N queues, a thread each, and the memory of a queue, into
##     build/bench/scaling_queues.csv; root
bench-queues: $(BUILD)/bench/queues
	$< $(BUILD)/bench/scaling_queues.csv

## [seconds] bench-uring: io_uring against read and write on a TUN device; root, liburing-dev
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

## [seconds] bench-instr: UPDATE=--update: instructions per packet against the committed figures,
##     or rewrite these; valgrind
bench-instr:
	@CC="$(CC)" sh tests/bench/instr.sh $(BUILD) $(UPDATE)

## [seconds] help: this list
help: # from the comments of two # above
	@for group in seconds minutes long; do echo "$$group:"; awk -v group="[$$group]" ' \
	    /^## \[/ { on = $$2 == group; name = $$3; sub(/:$$/, "", name); sub(/^[^:]*: /, ""); \
	        if (on) printf "  %-17s %s\n", name, $$0; next } \
	    /^##   / { sub(/^## */, ""); if (on) printf "  %-17s %s\n", "", $$0 }' Makefile; done
	@echo "What checks something ends with one line \"N passed, N failed, N skipped\". What cannot run here is"
	@echo "skipped, or fails if CI=true."

## [seconds] clean: remove build/
clean:
	rm -rf $(BUILD)

$(PROGRAMS): $(BUILD)/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -pthread -o $@ $<

# Built where pkg-config finds the package. Foreign headers are not held to our warnings.
PACKAGE_dpdk_port = libdpdk
PACKAGE_lwip_tun  = lwip
$(BUILD)/dpdk_port $(BUILD)/lwip_tun: $(BUILD)/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	@if pkg-config --exists $(PACKAGE_$*) 2>/dev/null; then set -ex; \
	    $(CC) $(CFLAGS) $(subst c99,gnu99,$(BASE)) -pthread $$(pkg-config --cflags $(PACKAGE_$*) | sed 's/-I/-isystem /g') \
	        -o $@ $< $$(pkg-config --libs $(PACKAGE_$*)); \
	else echo "$*: no $(PACKAGE_$*) (pkg-config)"; fi

CXX_BASE = $(subst c99,c++17,$(BASE))
$(BUILD)/cpp: examples/cpp.cc tunoffload.h
	@mkdir -p $(@D)
	@if command -v $(CXX) > /dev/null; then set -x; $(CXX) $(CFLAGS) $(CXX_BASE) -o $@ $<; else echo "cpp: no $(CXX)"; fi

$(BUILD)/tsan/%: %.c $(HEADERS)
	@mkdir -p $(@D)
	clang -O1 -g -fsanitize=thread $(BASE) -Itests/lib -pthread -o $@ $<

# Test programs and fuzz replays, once per configuration: its name, its compiler, flags of programs that have an implementation of their own,
# of the implementation that the others share, of these, and the environment they run in. Programs that name private things
# themselves, not by tests/lib/inside.h, have their own, with TUO_STATIC: what they do not use is not compiled. (Not soak: gcc -O2 then
# warns without cause of what may be uninitialised.) NAME.run runs a program; its output is in NAME.log (tests/run.sh).
SHARING     := $(patsubst fuzz_%,replay_%,$(basename $(notdir $(shell sh tests/lib/sharing.sh))))
SHARING_TUN := $(basename $(notdir $(shell sh tests/lib/sharing.sh tun)))
RUN          = sh tests/run.sh --one $(@:.run=.log)
shared = $(if $(filter $(2),$(SHARING)),$(BUILD)/$(1)/tunoffload.o,$(if $(filter $(2),$(SHARING_TUN)),$(BUILD)/$(1)/tunoffload_tun.o))
implementation = $(if $(1),-DTUNOFFLOAD_IMPLEMENTATION_DONE $(1),$(if $(filter soak,$*),,-DTUO_STATIC))
.PHONY: FORCE
FORCE:
.SECONDEXPANSION:
define CONFIGURATION
$(BUILD)/$(1)/tunoffload.o $(BUILD)/$(1)/tunoffload_tun.o: tests/lib/inside.c tests/lib/inside.h tunoffload.h
	@mkdir -p $$(@D)
	$(2) $(4) $(BASE) $$(if $$(findstring _tun,$$@),-DTUNOFFLOAD_TUN -DTUNOFFLOAD_UDP) -c -o $$@ $$<
$(BUILD)/$(1)/%: %.c $$$$(call shared,$(1),$$$$*) $(HEADERS)
	@mkdir -p $$(@D)
	$(2) $$(or $$(FLAGS_$(1)_$$*),$$(if $$(call shared,$(1),$$*),$(5),$(3))) $(BASE) -Itests/lib -pthread -o $$@ $$< \
	    $$(call implementation,$$(call shared,$(1),$$*))
$(BUILD)/$(1)/replay_%: fuzz/fuzz_%.c fuzz/replay.c $$$$(call shared,$(1),replay_$$$$*) $(HEADERS)
	@mkdir -p $$(@D)
	$(2) $$(if $$(call shared,$(1),replay_$$*),$(5),$(3)) $(BASE) -Itests/lib -o $$@ $$< fuzz/replay.c \
	    $$(call implementation,$$(call shared,$(1),replay_$$*))
$(BUILD)/$(1)/examples/%: examples/%.c $(BUILD)/$(1)/tunoffload_tun.o
	@mkdir -p $$(@D)
	$(2) $(5) $(BASE) -o $$@ $$^ -DTUNOFFLOAD_IMPLEMENTATION_DONE
$(BUILD)/$(1)/examples/write_gro_refused: examples/write_gro.c tests/examples/refuse.c $(BUILD)/$(1)/tunoffload_tun.o
	@mkdir -p $$(@D)
	$(2) $(5) $(BASE) -o $$@ $$^ -DTUNOFFLOAD_IMPLEMENTATION_DONE -Wl,--wrap=writev
$(BUILD)/$(1)/examples/cpp: examples/cpp.cc $(BUILD)/$(1)/tunoffload_tun.o
	@mkdir -p $$(@D)
	@if command -v $(7) > /dev/null; then set -x; $(7) $(5) $(CXX_BASE) -o $$@ $$^ -DTUNOFFLOAD_IMPLEMENTATION_DONE; fi
$(BUILD)/$(1)/test_examples.run: $(SHORT:%=$(BUILD)/$(1)/examples/%) $(BUILD)/$(1)/examples/write_gro_refused $(BUILD)/$(1)/examples/cpp
$(BUILD)/$(1)/%.run: $(BUILD)/$(1)/% FORCE
	@$(6) $$(RUN) $$<
$(BUILD)/$(1)/replay_%.run: $(BUILD)/$(1)/replay_% $(BUILD)/fuzz/seeds.done FORCE
	@$$(RUN) $$< --mutate 300 $(BUILD)/fuzz/seeds/$$*
$(BUILD)/$(1)/seeds_%.run: $(BUILD)/$(1)/replay_% FORCE # these must go deep
	@$$(RUN) $$< --deep 60 fuzz/seeds/$$*.seeds
.SECONDARY: $(TESTS:%=$(BUILD)/$(1)/%) $(FUZZERS:%=$(BUILD)/$(1)/replay_%)
endef
# gcc -Og: the implementation runs more than twice as fast as with -O0, and compiles faster than with -O1. -g1: reports have functions and
# lines, which is what they need. SWEEP_STEP: less than the whole sweep; all of
# it under the address sanitizer is `make check-sweep`.
$(eval $(call CONFIGURATION,plain,$(CC),$(CFLAGS) -O1,$(CFLAGS),$(CFLAGS) -O0,,$(CXX)))
$(eval $(call CONFIGURATION,quick,$(CC),-O0,-O1,-O0,SWEEP_STEP=8,$(CXX)))
SAN_GCC = $(SANITIZE) -Wno-maybe-uninitialized # which sees things where sanitizers have been at work
$(eval $(call CONFIGURATION,san-gcc,gcc,-Og $(SAN_GCC),-Og $(SAN_GCC),-O0 $(SAN_GCC),SWEEP_STEP=8,g++))
$(eval $(call CONFIGURATION,san-clang,clang,-O0 $(SANITIZE),-O0 $(SANITIZE),-O0 $(SANITIZE),SWEEP_STEP=8,clang++))
FLAGS_quick_test_simd  = -O1 # slow without: they compute most themselves
FLAGS_san-gcc_test_device = -Og $(SAN_GCC)
FLAGS_san-gcc_test_kernel = -Og $(SAN_GCC)
FLAGS_san-gcc_test_sweep  = -Og $(SAN_GCC)
FLAGS_plain_test_sweep = $(CFLAGS) -O1
FLAGS_plain_test_vnet_kernel = $(CFLAGS)

# What else `make test` runs.
$(BUILD)/other/compile-%.run: FORCE
	@mkdir -p $(@D)
	@CC="$(CC)" CXX="$(CXX)" $(RUN) sh tests/checks/compile_test.sh $(BUILD)/compile-$* . $*
$(BUILD)/other/docs.run: FORCE
	@mkdir -p $(@D)
	@CC="$(CC)" $(RUN) sh tests/checks/docs_test.sh $(BUILD)/docs .
$(BUILD)/other/pcap_%.run: $(BUILD)/pcap_offload $(BUILD)/make_captures FORCE
	@mkdir -p $(@D)
	@$(RUN) sh tests/examples/pcap_$*_test.sh $< .
$(BUILD)/other/seeds.run: $(BUILD)/replay FORCE
	@mkdir -p $(@D)
	@$(RUN) sh tests/checks/seeds_test.sh $(BUILD)/seeds $<

$(BUILD)/fuzz/fuzz_%: fuzz/fuzz_%.c fuzz/build.sh $(HEADERS)
	@sh fuzz/build.sh $(BUILD)/fuzz $*

$(BUILD)/make_seeds: fuzz/make_seeds.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -Itests/lib -o $@ $<

# Makes the captures of tests/examples/pcap_kinds_test.sh.
$(BUILD)/make_captures: tests/examples/make_captures.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -o $@ $<

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
