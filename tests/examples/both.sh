#!/usr/bin/env bash
# Real traffic through example programs. Usage: both.sh BUILD_DIR NAME..., after building them: tests/examples/NAME_test.sh for each, and the sum
# of their counts as the last line. A program that needs a package and was left out is skipped, under CI=true a failure.
set -u
build=$1; shift
. tests/lib/counts.sh
mkdir -p "$build/log"

for name in "$@"; do
    if [[ $name = dpdk_port || $name = lwip_tun ]] && [ ! -x "$build/$name" ]; then
        skip "$name" "not built, its package is missing"
        continue
    fi
    bash "tests/examples/${name}_test.sh" "$build" 2>&1 | tee "$build/log/$name.log"
    status=${PIPESTATUS[0]}
    if read -r p f s < <(counts_of "$build/log/$name.log"); then
        add "$p" "$f" "$s"
        [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || fail "$name: status $status"
    else
        fail "$name: ended with status $status and no counts"
    fi
done

echo "$*:"
finish
