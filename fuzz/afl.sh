#!/bin/sh
# The same targets under AFL++ (Debian: afl++ afl++-clang): builds them and lets afl-fuzz run for some seconds each, two at a time. Usage:
# fuzz/afl.sh BUILD SECONDS [NAME...] from the repository's root, after `make seeds`. Findings are in BUILD/fuzz/afl/NAME/default/crashes.
# Ends with "N passed, N failed, N skipped".
set -u

if [ "$1" = --one ]; then # from below
    build=$2 seconds=$3 name=$4
    # Of the seeds the committed ones: they are fewer, and reach as far.
    log=$build/log/fuzz-afl-$name.log dir=$build/fuzz/afl/$name
    rm -rf "$dir"
    export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_QUIET=1
    if AFL_USE_UBSAN=1 afl-clang-fast -g -O2 -fsanitize=fuzzer -std=c99 -I. -Itests/lib \
            -o "$build/fuzz/afl/fuzz_$name" "fuzz/fuzz_$name.c" > "$log" 2>&1 &&
        nice afl-fuzz -V "$seconds" -t 5000 -x fuzz/tun.dict -i "$build/fuzz/committed/$name" -o "$dir" -- "$build/fuzz/afl/fuzz_$name" >> "$log" 2>&1 &&
        [ -z "$(find "$dir/default/crashes" "$dir/default/hangs" -name 'id*')" ]; then
        echo "ok fuzz-afl $name: $(sed -n 's/^execs_done *: *//p' "$dir/default/fuzzer_stats") executions in $seconds s" |
            tee "$build/fuzz/afl/passed/$name"
    else
        tail -n 5 "$log"
        echo "FAIL fuzz-afl $name: see $log"
    fi
    exit 0
fi

. tests/lib/counts.sh
build=$1 seconds=$2; shift 2
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
if ! command -v afl-clang-fast > /dev/null || ! command -v afl-fuzz > /dev/null; then
    for name; do skip "fuzz-afl $name" "afl-clang-fast or afl-fuzz is not installed"; done
    finish
fi
rm -rf "$build/fuzz/afl/passed"
mkdir -p "$build/fuzz/afl/passed" "$build/log"
printf '%s\n' "$@" | xargs -L 1 -P 2 sh "$0" --one "$build" "$seconds"

passed=$(ls "$build/fuzz/afl/passed" | wc -l)
failed=$(($# - passed))
finish
