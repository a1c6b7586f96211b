#!/bin/sh
# Compiles the header in every way that the manual allows. Usage: compile_test.sh BUILD_DIR REPOSITORY
# CC and CXX (default cc, c++) are tried, and gcc, g++, clang, clang++ besides, each in every language version it knows.
set -u
build=$1 repo=$2
here=$repo/tests/compile
mkdir -p "$build"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
passed=0 failed=0 skipped=0

ok() { echo "ok $1"; passed=$((passed + 1)); }
fail() { echo "FAIL $1"; failed=$((failed + 1)); }
skip() { echo "SKIP $1: $2"; skipped=$((skipped + 1)); }

# good NAME COMMAND...: the command must succeed without a word.
good() {
    name=$1; shift
    if "$@" > "$build/out" 2>&1 && [ ! -s "$build/out" ]; then ok "$name"; else fail "$name"; echo "  $*"; head -n 12 "$build/out"; fi
}

# refused NAME TEXT COMMAND...: the command must fail and say why.
refused() {
    name=$1 text=$2; shift 2
    if "$@" > "$build/out" 2>&1; then fail "$name: was accepted"
    elif grep -q "$text" "$build/out"; then ok "$name"
    else fail "$name: refused for another reason"; head -n 12 "$build/out"; fi
}

can() { echo 'int main(void) { return 0; }' > "$build/can.$1"; shift_ext=$1; shift; "$@" -o "$build/can" "$build/can.$shift_ext" > /dev/null 2>&1 && "$build/can"; }

# The compilers that exist, each once: cc is often gcc by another name, but then it is also the one that is asked for.
present() { for c in "$@"; do command -v "${c%% *}" > /dev/null 2>&1 && echo "$c"; done | awk '!seen[$0]++'; }

# one_c COMPILER VERSION MORE...: the units of one C configuration.
one_c() {
    cc=$1 std=$2; shift 2
    what="$cc $std${*:+ $*}"
    flags="-std=$std $warnings -I$repo $*"
    good "$what: implementation, two units" $cc $flags -O2 -o "$build/two" "$here/tu_a.c" "$here/tu_b.c"
    good "$what: two units run" "$build/two"
    good "$what: TUO_STATIC" $cc $flags -O2 -o "$build/static" "$here/static_unit.c" "$here/static_unit_b.c"
    good "$what: TUO_API and TUO_ASSERT" $cc $flags -O1 -o "$build/api" "$here/api_macro.c"
}

one_cxx() {
    cxx=$1 std=$2; shift 2
    what="$cxx $std${*:+ $*}"
    good "$what: implementation" $cxx -std=$std $warnings -I"$repo" "$@" -O2 -o "$build/cxx" "$here/cxx_unit.cc"
    good "$what: runs" "$build/cxx"
}

# Global symbols of an object file: defined ones start with tuo_; undefined ones are in the given list.
symbols() {
    name=$1 object=$2 allowed=$3
    if ! command -v nm > /dev/null 2>&1; then skip "$name" "no nm"; return; fi
    nm -P -g "$object" > "$build/nm"
    defined=$(awk '$2 != "U" { print $1 }' "$build/nm")
    strange=$(awk '$2 != "U" && $1 !~ /^_?tuo_/ { print $1 }' "$build/nm")
    # tuo__ is for what is private, and that is static.
    private=$(awk '$2 != "U" && $1 ~ /^_?tuo__/ { print $1 }' "$build/nm")
    undefined=$(awk -v allowed=" $allowed " '$2 == "U" { s = $1; sub(/^_/, "", s); if (!index(allowed, " " s " ") &&
        !index(allowed, " " $1 " ")) print $1 }' "$build/nm")
    if [ -z "$defined" ] && [ "$name" != "${name#*TUO_STATIC}" ]; then :
    elif [ -z "$defined" ]; then fail "$name: no symbols at all"; return; fi
    if [ -n "$strange$private$undefined" ]; then fail "$name:" $strange $private $undefined; else ok "$name"; fi
}

for cc in $(present "${CC:-cc}" gcc clang); do
    can c $cc || { fail "$cc: cannot make a program"; continue; }
    for std in c99 c11 c17 c2x gnu99; do
        if can c $cc -std=$std; then one_c $cc $std; else skip "$cc $std" "not known to this compiler"; fi
    done
    one_c $cc c99 -DTUO_NO_SIMD
    if can c $cc -m32; then one_c $cc c99 -m32; one_c $cc c11 -m32 -DTUO_NO_SIMD; else skip "$cc -m32" "no 32-bit C library"; fi
    good "$cc: every declared function is there" $cc -std=c99 $warnings -I"$repo" -o "$build/all" "$here/all_functions.c"
    good "$cc: every declared function has an address" "$build/all"
    for level in -O0 -O1 -O2 -O3 -Os; do
        good "$cc $level" $cc -std=c99 $warnings -I"$repo" $level -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/level.o" "$repo/tunoffload.h"
    done

    good "$cc: freestanding, TUO_NO_LIBC" $cc -std=c99 $warnings -I"$repo" -O1 -ffreestanding -nostdinc -isystem "$($cc -print-file-name=include)" \
        -c -o "$build/no_libc.o" "$here/no_libc.c"
    symbols "$cc: TUO_NO_LIBC refers to no library" "$build/no_libc.o" \
        "own_memcpy own_memmove own_memset own_memcmp memcpy memmove memset memcmp _GLOBAL_OFFSET_TABLE_"
    good "$cc: plain object" $cc -std=c99 $warnings -I"$repo" -O2 -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/plain.o" "$repo/tunoffload.h"
    symbols "$cc: every symbol starts with tuo_, memory functions only" "$build/plain.o" \
        "memcpy memmove memset memcmp _GLOBAL_OFFSET_TABLE_"
    good "$cc: TUO_STATIC object" $cc -std=c99 $warnings -I"$repo" -O0 -DTUO_STATIC -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/static.o" \
        "$repo/tunoffload.h"
    symbols "$cc: TUO_STATIC exports nothing" "$build/static.o" "memcpy memmove memset memcmp _GLOBAL_OFFSET_TABLE_"
    if [ -s "$build/nm" ] && awk '$2 != "U" { found = 1 } END { exit !found }' "$build/nm"; then fail "$cc: TUO_STATIC exports something"; fi

    refused "$cc: TUO_NO_LIBC without replacements" "TUO_MEMCPY" $cc -std=c99 -I"$repo" -c -o "$build/x.o" "$here/no_libc_missing.c"
    refused "$cc: some replacements missing" "TUO_MEMCPY" $cc -std=c99 -I"$repo" -c -o "$build/x.o" "$here/no_libc_partial.c"
    refused "$cc: an ignored result" "unused" $cc -std=c99 -I"$repo" -Werror -c -o "$build/x.o" "$here/unchecked.c"
done

for cxx in $(present "${CXX:-c++}" g++ clang++); do
    can cc $cxx || { skip "$cxx" "cannot make a program"; continue; }
    for std in c++11 c++14 c++17 c++20 c++2b; do
        if can cc $cxx -std=$std; then one_cxx $cxx $std; else skip "$cxx $std" "not known to this compiler"; fi
    done
    one_cxx $cxx c++11 -DTUO_NO_SIMD
    one_cxx $cxx c++17 -DTUO_STATIC
    if can cc $cxx -m32; then one_cxx $cxx c++11 -m32; else skip "$cxx -m32" "no 32-bit C++ library"; fi
    good "$cxx: user of a C implementation" $cxx -std=c++11 $warnings -I"$repo" -c -o "$build/user.o" "$here/cxx_user.cc"
    good "$cxx: C implementation" "${CC:-cc}" -std=c99 -I"$repo" -c -o "$build/tu_a.o" "$here/tu_a.c"
    good "$cxx: linked with C" $cxx -o "$build/mixed" "$build/tu_a.o" "$build/user.o"
    good "$cxx: linked with C, runs" "$build/mixed"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
