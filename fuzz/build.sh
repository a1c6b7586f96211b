#!/bin/sh
# Builds fuzz targets for libFuzzer. Usage: fuzz/build.sh OUT [NAME...] from the repository's root; without names: all targets.
# CC: the newest clang that has libFuzzer, unless set. Exit status 77: there is none.
set -u
out=$1; shift
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
mkdir -p "$out"

# has_libfuzzer COMPILER: does it make a program that runs?
has_libfuzzer() {
    command -v "$1" > /dev/null 2>&1 || return 1
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p == 0 && n; }' > "$out/probe.c"
    "$1" -fsanitize=fuzzer,address,undefined -o "$out/probe" "$out/probe.c" > "$out/probe.log" 2>&1 &&
        "$out/probe" -runs=1 > "$out/probe.log" 2>&1
}

found=
for compiler in ${FUZZ_CC:-} clang-22 clang-21 clang-20 clang-19 clang clang-18 clang-17 clang-16 clang-15 clang-14; do
    if has_libfuzzer "$compiler"; then found=$compiler; break; fi
done
if [ -z "$found" ]; then echo "no clang with libFuzzer (Debian: clang-19 libclang-rt-19-dev)" >&2; exit 77; fi

status=0
for name in "$@"; do
    "$found" -g -O2 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -DFUZZ_MUTATOR -std=c99 -I. -Itests/lib -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef \
        -o "$out/fuzz_$name" "fuzz/fuzz_$name.c" || status=1
done
exit $status
