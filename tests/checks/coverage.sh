#!/bin/sh
# Coverage of the core by the unit and property tests: 100 % of lines, branches and MC/DC, apart from what tests/checks/coverage.txt lists.
# Usage: coverage.sh BUILD_DIR, from the repository's root. Needs clang 19 or newer with compiler-rt, its llvm-cov and llvm-profdata, and
# python3 (Debian: clang-19 libclang-rt-19-dev llvm-19). Tests of the Linux backend are not counted: they need a kernel, and the core
# must stand without them.
set -u
build=$1/coverage
. tests/lib/counts.sh
cannot() { skip coverage "$1"; finish; }

version=
for v in 21 20 19; do
    if command -v clang-$v > /dev/null && command -v llvm-cov-$v > /dev/null && command -v llvm-profdata-$v > /dev/null; then version=$v; break; fi
done
[ -n "$version" ] || cannot "no clang 19 (MC/DC) with llvm-cov and llvm-profdata"
command -v python3 > /dev/null || cannot "no python3"
rm -rf "$build"; mkdir -p "$build"

# The static functions of a header have the name of the file that includes it: under one name, the counts of all tests add up. Each is
# compiled and run in a directory of its own.
cat > "$build/one.sh" <<'ONE'
set -u
build=$1 test=$2 version=$3 root=$4
name=$(basename "$test" .c)
mkdir -p "$build/$name"
cp "$test" "$build/$name/unit.c"
cd "$build/$name" || exit 1
"clang-$version" -std=c99 -O0 -g -w -DTUNOFFLOAD_TUN -I"$root" -I"$root/tests/lib" \
    -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -pthread -o unit unit.c > log 2>&1 || { echo "FAIL $name: does not build"; exit 1; }
cd "$root" || exit 1
LLVM_PROFILE_FILE=$build/$name/unit.profraw "$build/$name/unit" >> "$build/$name/log" 2>&1 || { tail -n 20 "$build/$name/log"; echo "FAIL $name"; exit 1; }
ONE
root=$PWD
case $build in /*) ;; *) build=$root/$build ;; esac
status=0
for test in tests/*/test_*.c; do
    case $test in *test_kernel* | *test_tun* | *test_udp.c | *test_udp_net* | *test_udp_threads* | *test_memory* | *test_examples*) continue ;; esac
    echo "$test"
done | xargs -P 2 -I '{}' sh "$build/one.sh" "$build" '{}' "$version" "$root" || status=1

"llvm-profdata-$version" merge -o "$build/all.profdata" "$build"/*/unit.profraw || status=1
export_coverage() {
    "llvm-cov-$version" export "$build/test_gso/unit" -instr-profile="$build/all.profdata" "$root/tunoffload.h" "$@" 2> "$build/export.err"
}
export_coverage > "$build/all.json" || status=1
export_coverage -format=lcov > "$build/all.lcov" || status=1
if [ $status -ne 0 ]; then fail "coverage: could not be measured"; finish; fi
python3 tests/checks/coverage.py "$build/all.json" "$build/all.lcov" tunoffload.h tests/checks/coverage.txt
