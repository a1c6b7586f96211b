#!/usr/bin/env bash
# The core on processors that this machine is not: other byte orders, NEON, x86 without newer instructions. Usage: cross_test.sh BUILD_DIR
# Needs cross compilers and qemu-user. What is missing is skipped, under CI=true it fails.
set -u
build=$1/cross
mkdir -p "$build"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
passed=0 failed=0 skipped=0

missing() {
    if [ "${CI:-}" = true ]; then echo "FAIL $1: no $2"; failed=$((failed + 1))
    else echo "SKIP $1: no $2"; skipped=$((skipped + 1)); fi
}

# on NAME EMULATOR COMPILER TEST...
on() {
    local name=$1 emulator=$2 compiler=$3 test summary
    shift 3
    command -v ${compiler%% *} > /dev/null || { missing "$name" "${compiler%% *}"; return; }
    command -v ${emulator%% *} > /dev/null || { missing "$name" "${emulator%% *}"; return; }
    for test in "$@"; do
        if $compiler -O2 -std=c99 $warnings -I. -Itests -static -o "$build/$test" "tests/$test.c" > "$build/log" 2>&1 &&
            $emulator "$build/$test" > "$build/log" 2>&1; then
            summary=$(tail -n 1 "$build/log")
            echo "ok $name $test: $summary; $(grep '^levels tested' "$build/log")"
            passed=$((passed + 1))
        else
            echo "FAIL $name $test"; tail -n 5 "$build/log"; failed=$((failed + 1))
        fi
    done
}

cd "$(dirname "$0")/.." || exit 2
all="test_simd test_checksum test_parse test_vnet test_gso test_gro_rules test_gro_modes"
on "aarch64, NEON" qemu-aarch64-static aarch64-linux-gnu-gcc $all
on "s390x, big-endian, 64 bits" qemu-s390x-static s390x-linux-gnu-gcc $all
on "mips, big-endian, 32 bits" qemu-mips-static mips-linux-gnu-gcc $all
if [ "$(uname -m)" = x86_64 ]; then
    on "x86-64 without AVX" "qemu-x86_64-static -cpu qemu64" gcc test_simd test_gro_modes
    on "x86-64 with AVX2" "qemu-x86_64-static -cpu max" gcc test_simd test_gro_modes
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
