#!/usr/bin/env bash
# Real traffic through example programs. Usage: both.sh BUILD_DIR NAME..., after building them: tests/examples/NAME_test.sh for each, and the sum
# of their counts as the last line. A program that needs a package and was left out is skipped, under CI=true a failure.
set -u
build=$1; shift
passed=0 failed=0 skipped=0
mkdir -p "$build/log"

for name in "$@"; do
    if [[ $name = dpdk_port || $name = lwip_tun ]] && [ ! -x "$build/$name" ]; then
        echo "SKIP $name: not built, its package is missing"
        if [ "${CI:-}" = true ]; then failed=$((failed + 1)); else skipped=$((skipped + 1)); fi
        continue
    fi
    bash "tests/examples/${name}_test.sh" "$build" 2>&1 | tee "$build/log/$name.log"
    status=${PIPESTATUS[0]}
    if [[ "$(tail -n 1 "$build/log/$name.log")" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        [ "$status" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || { echo "FAIL $name: status $status"; failed=$((failed + 1)); }
    else
        echo "FAIL $name: ended with status $status and no summary"
        failed=$((failed + 1))
    fi
done

echo "$*:"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
