# tunoffload.h: one header. This file builds its demo, tests, fuzzers and examples, all under build/.
# Needs GNU make and a C compiler; what needs more says so and is skipped (or fails under CI=true).

CC       ?= cc
CXX      ?= c++
CFLAGS   ?= -O2 -g
TUO_CFLAGS ?=
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef
BASE     = -std=c99 -I. $(WARNINGS) $(TUO_CFLAGS)
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

BUILD    = build
CAPTURES = $(wildcard tests/captures/*.pcap)
TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
ifneq ($(shell uname -s),Linux) # the TUN backend is Linux only
TESTS   := $(filter-out test_tun% test_kernel%,$(TESTS))
endif
PROGRAMS = $(BUILD)/pcap_offload $(BUILD)/tun_bridge $(BUILD)/udp_tunnel
FUZZERS  = $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
HEADERS  = tunoffload.h $(wildcard tests/*.h fuzz/*.h examples/*.h)

.PHONY: all demo test test-e2e test-kernels test-threads check fuzz fuzz-replay help clean
.DELETE_ON_ERROR:

## all            build the programs in examples/
all: $(PROGRAMS)

## demo           coalesce, split and compare the captures in tests/captures, and print what came of it
demo: $(BUILD)/pcap_offload
	@sh examples/demo.sh $(BUILD)/pcap_offload tests/captures $(BUILD)/demo

## test           everything below, with each compiler and sanitizer that works here; ends with "N passed, N failed, N skipped"
test: $(BUILD)/pcap_offload
	@MAKE="$(MAKE)" CC="$(CC)" CXX="$(CXX)" sh tests/run.sh $(BUILD)

## check          the unit and property tests only, with $(CC) and no sanitizer: the quick loop while editing
check: $(TESTS:%=$(BUILD)/plain/%)
	@status=0; for t in $^; do echo "== $$t"; $$t || status=1; done; exit $$status

## fuzz           T=name SECONDS=n: fuzz one target (parse, vnet_header, gro, gso) with libFuzzer; needs clang and its compiler-rt
SECONDS ?= 60
fuzz: $(BUILD)/fuzz/fuzz_$(T) $(BUILD)/fuzz/seeds.done
	@mkdir -p $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/found
	$(BUILD)/fuzz/fuzz_$(T) -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 -dict=fuzz/tun.dict \
	    -artifact_prefix=$(BUILD)/fuzz/found/$(T)- $(BUILD)/fuzz/corpus/$(T) $(BUILD)/fuzz/seeds/$(T)

## fuzz-replay    run each fuzz target over its seeds without libFuzzer; needs only $(CC)
fuzz-replay: $(FUZZERS:%=$(BUILD)/plain/replay_%) $(BUILD)/fuzz/seeds.done
	@for t in $(FUZZERS); do $(BUILD)/plain/replay_$$t --mutate 2000 $(BUILD)/fuzz/seeds/$$t || exit 1; done

## test-e2e       real clients through tun_bridge and udp_tunnel in network namespaces; needs root, ip, iperf3, curl, nginx
test-e2e: $(PROGRAMS)
	bash tests/e2e_test.sh $(BUILD)
	bash tests/udp_tunnel_test.sh $(BUILD)

## test-kernels   the backend on Debian's kernels in virtual machines; needs root and the network once, qemu
test-kernels:
	bash tests/kernels_test.sh $(BUILD)

## test-threads   one reader and one writer per queue under ThreadSanitizer
test-threads: $(BUILD)/tsan/test_tun_threads
	$<

## help           this list
help:
	@sed -n 's/^## //p' Makefile

## clean          remove build/
clean:
	rm -rf $(BUILD)

$(PROGRAMS): $(BUILD)/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -pthread -o $@ $<

$(BUILD)/tsan/%: tests/%.c $(HEADERS)
	@mkdir -p $(@D)
	clang -O1 -g -fsanitize=thread $(BASE) -Itests -pthread -o $@ $<

# Test programs and fuzz replays, once per configuration: plain, san-gcc, san-clang.
define CONFIGURATION
$(BUILD)/$(1)/%: tests/%.c $(HEADERS)
	@mkdir -p $$(@D)
	$(2) $(3) $(BASE) -Itests -pthread -o $$@ $$<
$(BUILD)/$(1)/replay_%: fuzz/fuzz_%.c fuzz/replay.c $(HEADERS)
	@mkdir -p $$(@D)
	$(2) $(3) $(BASE) -Itests -o $$@ $$< fuzz/replay.c
.PHONY: tests-$(1)
tests-$(1): $(TESTS:%=$(BUILD)/$(1)/%) $(FUZZERS:%=$(BUILD)/$(1)/replay_%)
endef
$(eval $(call CONFIGURATION,plain,$(CC),$(CFLAGS)))
$(eval $(call CONFIGURATION,san-gcc,gcc,$(SANITIZE)))
$(eval $(call CONFIGURATION,san-clang,clang,$(SANITIZE)))

$(BUILD)/fuzz/fuzz_%: fuzz/fuzz_%.c $(HEADERS)
	@mkdir -p $(@D)
	clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(BASE) -Itests -o $@ $<

$(BUILD)/make_seeds: fuzz/make_seeds.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -Itests -o $@ $<

$(BUILD)/fuzz/seeds.done: $(BUILD)/make_seeds $(CAPTURES)
	rm -rf $(BUILD)/fuzz/seeds
	$(BUILD)/make_seeds tests/captures $(BUILD)/fuzz/seeds
	@touch $@

.PHONY: seeds
seeds: $(BUILD)/fuzz/seeds.done
