#!/bin/sh
# Runs every test with every compiler and sanitizer that works here. Usage: tests/run.sh BUILD_DIR (from the repository's root).
# Each program ends with "N passed, N failed, N skipped"; the sums are the last line here. A program that does not say so has failed.
# Under CI=true a check that could not run is a failure.
set -u
build=$1
make=${MAKE:-make}
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
passed=0 failed=0 skipped=0
started=
mkdir -p "$build/log"; : > "$build/started"

fail() { echo "FAIL $1"; failed=$((failed + 1)); }
skip() {
    if [ "${CI:-}" = true ]; then fail "$1: could not run: $2"; else echo "SKIP $1: $2"; skipped=$((skipped + 1)); fi
}

log_of() { echo "$build/log/$(echo "$1" | tr ' /,' '___').log"; }

# start NAME COMMAND...: with its output and status kept. Two programs at a time, or as many as there are processors.
start() {
    echo "$1" >> "$build/started"
    log=$(log_of "$1"); shift
    ("$@" > "$log" 2>&1; echo $? > "$log.status") &
    started="$started $!"
    set -- $started
    if [ $# -ge "$jobs" ]; then wait "$1"; shift; started="$*"; fi
}

# report: of what was started, in that order: add its counts; show its output if it failed or skipped something.
report() {
    wait; started=
    while read -r name; do
        log=$(log_of "$name") status=$(cat "$(log_of "$name").status")
        last=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
        if [ -z "$last" ]; then tail -n 40 "$log"; fail "$name: ended with status $status and no summary"; continue; fi
        set -- $last
        echo "$name: $last"
        passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
        if [ "$3" -ne 0 ] || [ "$5" -ne 0 ]; then grep -E '^(FAIL|SKIP|  )|:[0-9]+:|ERROR|runtime error' "$log" | head -n 60; fi
        if [ "$3" -eq 0 ] && [ "$status" -ne 0 ]; then tail -n 40 "$log"; fail "$name: status $status"; fi
    done < "$build/started"
    : > "$build/started"
}

# works COMPILER: can it make a program with the sanitizers, and does that run?
works() {
    command -v "$1" > /dev/null 2>&1 || return 1
    echo 'int main(void) { return 0; }' > "$build/probe.c"
    "$1" -fsanitize=address,undefined -o "$build/probe" "$build/probe.c" > /dev/null 2>&1 && "$build/probe"
}

configurations=plain
for compiler in gcc clang; do
    if works $compiler; then
        configurations="$configurations san-$compiler"
    elif command -v $compiler > /dev/null 2>&1; then
        skip "sanitizers with $compiler" "no -fsanitize=address,undefined here"
    else
        skip "sanitizers with $compiler" "$compiler is not installed"
    fi
done

if "$make" -s seeds > "$build/log/seeds.log" 2>&1; then :; else tail -n 20 "$build/log/seeds.log"; fail "fuzz seeds: do not build"; fi

for configuration in $configurations; do
    case $configuration in san-*) SWEEP_STEP=8; export SWEEP_STEP ;; esac # all of it under ASan is `make check-sweep`
    # gcc's sanitizers see the tests, clang's the fuzz targets; clang's see the tests, too, in `make check-san`
    case $configuration,$configurations in san-clang,*san-gcc*) programs= ;; *) programs=$(ls tests/*/test_*.c) ;; esac
    if "$make" -s -k -j"$jobs" ${programs:+"tests-$configuration"} "replays-$configuration" > "$build/log/build-$configuration.log" 2>&1; then :; else
        head -n 40 "$build/log/build-$configuration.log"; fail "$configuration: does not build"
    fi
    for source in $programs; do
        name=$(basename "$source" .c)
        if [ -x "$build/$configuration/$name" ]; then start "$configuration $name" "$build/$configuration/$name"; fi
    done
    for source in fuzz/fuzz_*.c; do
        name=$(basename "$source" .c); name=${name#fuzz_}
        if [ -x "$build/$configuration/replay_$name" ]; then
            start "$configuration replay_$name" "$build/$configuration/replay_$name" --mutate 300 "$build/fuzz/seeds/$name"
            # committed: interesting inputs, which must go deep
            start "$configuration seeds_$name" "$build/$configuration/replay_$name" --deep 60 "fuzz/seeds/$name.seeds"
        fi
    done
    report
done

unset SWEEP_STEP
for language in C C++; do start "compile matrix, $language" sh tests/checks/compile_test.sh "$build/compile-$language" . "$language"; done
start "files of seeds" sh tests/checks/seeds_test.sh "$build/seeds" "$build/replay"
start "documentation" sh tests/checks/docs_test.sh "$build/docs" .
start "pcap_offload" sh tests/examples/pcap_offload_test.sh "$build/pcap_offload" .
report

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
