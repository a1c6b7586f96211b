#!/bin/sh
# Fuzzes each target for some seconds, two at a time, from the seeds that are committed and those that are made. Usage: fuzz/short.sh BUILD
# SECONDS [NAME...] from the repository's root, after `make seeds`. Inputs found on the way stay in BUILD/fuzz/corpus and are used the next
# time; what crashed is in BUILD/fuzz/found. Ends with "N passed, N failed, N skipped", and says how often each target ran.
set -u

if [ "$1" = --one ]; then # from below
    build=$2 seconds=$3 name=$4
    log=$build/log/fuzz-$name.log
    mkdir -p "$build/fuzz/corpus/$name"
    rm -f "$log"
    if [ -x "$build/fuzz/fuzz_$name" ]; then
        nice "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -use_value_profile=1 -print_final_stats=1 \
            -dict=fuzz/tun.dict -artifact_prefix="$build/fuzz/found/$name-" \
            "$build/fuzz/corpus/$name" "$build/fuzz/committed/$name" "$build/fuzz/seeds/$name" > "$log" 2>&1
        status=$?
    else
        status=1; echo "does not build" > "$log"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ $status -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok fuzz $name: $runs executions in $seconds s" | tee "$build/fuzz/passed/$name"
    else
        grep -aE 'violated|ERROR|runtime error|Test unit written|does not build' "$log" | head -n 5
        echo "FAIL fuzz $name: see $log"
    fi
    exit 0
fi

. tests/lib/counts.sh
build=$1 seconds=$2; shift 2
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
rm -rf "$build/fuzz/passed"
mkdir -p "$build/fuzz/found" "$build/fuzz/passed" "$build/log"

sh fuzz/build.sh "$build/fuzz" "$@"; built=$?
if [ $built -eq 77 ]; then
    for name; do skip "fuzz $name" "no clang with libFuzzer"; done
    finish
fi
printf '%s\n' "$@" | xargs -L 1 -P 2 sh "$0" --one "$build" "$seconds"

passed=$(ls "$build/fuzz/passed" | wc -l)
failed=$(($# - passed))
finish
