#!/bin/sh
# Runs every test with every compiler and sanitizer that works here. Usage: tests/run.sh BUILD_DIR [quick] (from the repository's root, by
# make, which says which TESTS, CORE_TESTS and FUZZERS there are). quick: the tests of the core only, compiled once.
# One parallel make compiles and runs it all, so that no processor waits; then each program's counts are added, and the sums are the last
# line. A program that prints no counts has failed. Under CI=true a check that could not run is a failure.
#     tests/run.sh --one LOG COMMAND...   from the Makefile: runs one program; its output, status and processor seconds are kept
set -u

if [ "$1" = --one ]; then
    log=$2; shift 2
    "$@" > "$log" 2>&1; echo $? > "$log.status"
    times > "$log.seconds" # not in a pipe, which would be a process of its own
    exit 0
fi

build=$1 only=${2:-}
make=${MAKE:-make}
jobs=$(($(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)) # some programs wait for timers
mkdir -p "$build/log"
. tests/lib/counts.sh

# works COMPILER: can it make a program with the sanitizers, and does that run?
works() {
    command -v "$1" > /dev/null 2>&1 || return 1
    echo 'int main(void) { return 0; }' > "$build/probe.c"
    "$1" -fsanitize=address,undefined -o "$build/probe" "$build/probe.c" > /dev/null 2>&1 && "$build/probe"
}

# of CONFIGURATION PROGRAM...: "CONFIGURATION/PROGRAM" of each.
of() { configuration=$1; shift; for program; do echo "$configuration/$program"; done; }

if [ "$only" = quick ]; then
    runs=$(of quick $CORE_TESTS)
else
    replays=$(for name in $FUZZERS; do echo "replay_$name seeds_$name"; done)
    runs=$(of plain $TESTS $replays)
    for compiler in gcc clang; do
        if works $compiler; then
            # gcc's sanitizers see the tests, clang's the fuzz targets; clang's see the tests, too, in `make check-san`
            case $compiler,$runs in clang,*san-gcc/*) programs= ;; *) programs=$TESTS ;; esac
            runs="$runs $(of san-$compiler $programs $replays)"
        elif command -v $compiler > /dev/null 2>&1; then
            skip "sanitizers with $compiler" "no -fsanitize=address,undefined here"
        else
            skip "sanitizers with $compiler" "$compiler is not installed"
        fi
    done
    runs="$runs $(of other compile-C compile-C++ seeds docs pcap_offload pcap_kinds)"
fi

# The longest first: then all processors have something to do until the end. The compile matrix has a worker per processor by itself: not
# both of its halves at the same time.
long="other/compile-C san-gcc/test_tun san-gcc/test_kernel san-gcc/test_simd san-gcc/test_device san-gcc/test_sweep
    other/compile-C++ plain/test_tun plain/test_kernel plain/test_sweep quick/test_simd quick/test_device quick/test_sweep"
ordered=$(for run in $long $runs; do echo "$run"; done | awk -v runs="$(echo $runs) " 'index(" " runs, " " $1 " ") && !seen[$1]++')

for run in $runs; do rm -f "$build/$run.log.status" "$build/$run.log.seconds"; done
"$make" -s -k -j"$jobs" $(for run in $ordered; do echo "$build/$run.run"; done) > "$build/log/build.log" 2>&1
head -n 60 "$build/log/build.log" # errors and warnings

failing=
for run in $runs; do
    before=$failed
    if [ -e "$build/$run.log.status" ]; then
        add_program "$(echo "$run" | sed 's|^other/||; s|/| |')" "$build/$run.log" "$(cat "$build/$run.log.status")"
    else
        fail "$run: does not build"
    fi
    if [ "$failed" -ne "$before" ]; then failing="$failing $run"; fi
done
for run in $runs; do
    if [ -e "$build/$run.log.seconds" ]; then
        awk -v name="$run" 'NR == 2 { gsub(/[ms]/, " "); printf "%.1f %s\n", $1 * 60 + $2 + $3 * 60 + $4, name }' "$build/$run.log.seconds"
    fi
done | sort -rn > "$build/log/seconds"
echo "most processor seconds: $(head -n 8 "$build/log/seconds" | awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $1 }')"
if [ -n "$failing" ]; then echo "failing:$failing"; fi
finish
