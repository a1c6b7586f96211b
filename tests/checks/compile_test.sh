#!/bin/sh
# Compiles the header in every way that the manual allows. Usage: compile_test.sh BUILD_DIR REPOSITORY [C|C++]
# CC and CXX (default cc, c++) are tried, and gcc, g++, clang, clang++ besides, each in every language version it knows.
set -u
build=$1 repo=$2 language=${3:-both}
here=$repo/tests/checks/compile
mkdir -p "$build"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
# shellcheck source=tests/lib/counts.sh
. "$repo/tests/lib/counts.sh"

# good NAME COMMAND...: the command must succeed without a word.
good() {
    name=$1; shift
    if "$@" > "$build/out" 2>&1 && [ ! -s "$build/out" ]; then ok "$name"
    else fail "$name"; echo "  $*"; head -n 12 "$build/out"; fi
}

# refused NAME TEXT COMMAND...: the command must fail and say why.
refused() {
    name=$1 text=$2; shift 2
    if "$@" > "$build/out" 2>&1; then fail "$name: was accepted"
    elif grep -q "$text" "$build/out"; then ok "$name"
    else fail "$name: refused for another reason"; head -n 12 "$build/out"; fi
}

# can SUFFIX COMPILER...: does it make a program from a file of this suffix, and does that run here?
can() {
    source=$build/can.$1; shift
    echo 'int main(void) { return 0; }' > "$source"
    "$@" -o "$build/can" "$source" > /dev/null 2>&1 && "$build/can"
}

# The compilers that exist, each once: cc is gcc or clang by another name, and then the first name is enough.
present() {
    for c in "$@"; do
        path=$(command -v "${c%% *}" 2> /dev/null) || continue
        echo "$(readlink -f "$path" 2> /dev/null || echo "$path")|$c"
    done | awk -F '|' '!seen[$1]++ { print $2 }'
}

# one_c COMPILER VERSION MORE...: the units of one C configuration. What these macros change is not about the version: once.
one_c() {
    cc=$1 std=$2; shift 2
    what="$cc $std${*:+ $*}"
    flags="-std=$std $warnings -I$repo $*"
    good "$what: implementation, two units" $cc $flags -o "$build/two" "$here/tu_a.c" "$here/tu_b.c"
    good "$what: two units run" "$build/two"
    if [ "$(uname -s)" = Linux ]; then
        good "$what: TUN backend" $cc $flags $after -DTUNOFFLOAD_TUN -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/tun.o" "$repo/tunoffload.h"
    fi
    [ "$std$*" = c99 ] || return 0
    good "$what: TUO_STATIC" $cc $flags -o "$build/static" "$here/static_unit.c" "$here/static_unit_b.c"
    good "$what: TUO_API and TUO_ASSERT" $cc $flags -o "$build/api" "$here/api_macro.c"
}

one_cxx() {
    cxx=$1 std=$2; shift 2
    what="$cxx $std${*:+ $*}"
    good "$what: implementation" $cxx -std=$std $warnings "$@" -I"$repo" -o "$build/cxx" "$here/cxx_unit.cc"
    good "$what: runs" "$build/cxx"
    if [ "$(uname -s)" = Linux ]; then
        good "$what: TUN backend" $cxx -std=$std $warnings "$@" $after -DTUNOFFLOAD_TUN -DTUNOFFLOAD_IMPLEMENTATION -x c++ -c \
            -o "$build/tun.o" "$repo/tunoffload.h"
    fi
}

# symbols NAME OBJECT DEFINED UNDEFINED [COUNT]: the global symbols that the object defines match the pattern DEFINED (private
# ones, tuoi_, are static) and are at least COUNT, by default 40; those that it asks for match UNDEFINED.
symbols() {
    if ! command -v nm > /dev/null 2>&1; then skip "$1" "no nm"; return; fi
    nm -P -g "$2" > "$build/nm" || { fail "$1: nm failed"; return; }
    strange=$(awk -v defined="$3" -v undefined="$4" -v least="${5:-40}" '
        $1 == "_GLOBAL_OFFSET_TABLE_" { next } # 32-bit position-independent code
        { name = $1 }
        $2 == "U" { if (name !~ "^_?(" undefined ")$") print "needs " name; next }
        { found++; if (name !~ "^_?(" defined ")$") print "defines " name }
        END { if (found < least) print "only " found + 0 " symbols" }' "$build/nm")
    if [ -n "$strange" ]; then fail "$1:" $strange; else ok "$1"; fi
}

# no_globals NAME OBJECT: nothing in it can be written.
no_globals() {
    if ! command -v nm > /dev/null 2>&1; then skip "$1" "no nm"; return; fi
    nm -P "$2" > "$build/nm" && grep -q ' [rR] ' "$build/nm" || { fail "$1: nm sees no tables"; return; }
    strange=$(awk '$2 ~ /^[bBdDcCsSgG]$/ { print $1 }' "$build/nm")
    if [ -n "$strange" ]; then fail "$1:" $strange; else ok "$1"; fi
}
memory='memcpy|memmove|memset|memcmp|bcmp'

# Where Debian keeps the kernel's <asm/> headers: a 32-bit build finds them only by being told, and they serve both widths.
after=
for directory in /usr/include/*-linux-gnu; do
    if [ -e "$directory/asm/errno.h" ]; then after="$after -idirafter $directory"; fi
done

c_compilers=$(present "${CC:-cc}" gcc clang) cxx_compilers=$(present "${CXX:-c++}" g++ clang++)
case $language in C) cxx_compilers= ;; C++) c_compilers= ;; esac

for cc in $c_compilers; do
    can c $cc || { fail "$cc: cannot make a program"; continue; }
    for std in c99 c11 c17 c2x gnu99; do
        if can c $cc -std=$std; then one_c $cc $std; else skip "$cc $std" "not known to this compiler"; fi
    done
    one_c $cc c99 -DTUO_NO_SIMD
    case $(uname -m) in x86_64 | i?86) one_c $cc c99 -mavx2 ;; esac
    if can c $cc -m32; then one_c $cc c99 -m32; one_c $cc c11 -m32 -DTUO_NO_SIMD; else skip "$cc -m32" "no 32-bit C library"; fi
    good "$cc: every declared function is there" $cc -std=c99 $warnings -I"$repo" -o "$build/all" "$here/all_functions.c"
    good "$cc: every declared function has an address" "$build/all"
    for level in "-O1 -fsanitize=address,undefined" -march=native -O0 -O1 -O2 -O3 -Os; do
        can c $cc $level || continue # no sanitizer libraries, or an option that this compiler does not know
        good "$cc $level" $cc -std=c99 $warnings $level -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/level.o" \
            "$repo/tunoffload.h"
    done

    good "$cc: freestanding, TUO_NO_LIBC" $cc -std=c99 $warnings -I"$repo" -O1 -ffreestanding -nostdinc \
        -isystem "$($cc -print-file-name=include)" -c -o "$build/no_libc.o" "$here/no_libc.c"
    symbols "$cc: TUO_NO_LIBC refers to no library" "$build/no_libc.o" 'tuo_[a-z0-9][a-z0-9_]*' "own_mem[a-z]*|$memory"
    symbols "$cc: every symbol starts with tuo_" "$build/level.o" 'tuo_[a-z0-9][a-z0-9_]*' "$memory"
    good "$cc: for data without relocations" $cc -std=c99 -fno-pic -fno-pie -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/data.o" \
        "$repo/tunoffload.h"
    no_globals "$cc: no writable data in the core" "$build/data.o"
    good "$cc: TUO_STATIC object" $cc -std=c99 $warnings -I"$repo" -c -o "$build/static.o" "$here/static_unit.c"
    symbols "$cc: TUO_STATIC exports nothing" "$build/static.o" main "$memory" 1

    compile="$cc -std=c99 -I$repo -c -o $build/x.o"
    refused "$cc: TUO_NO_LIBC without replacements" "TUO_MEMCPY" $compile "$here/no_libc_missing.c"
    refused "$cc: some replacements missing" "TUO_MEMCPY" $compile "$here/no_libc_partial.c"
    refused "$cc: TUNOFFLOAD_TUN too late" "before the first" $compile "$here/tun_too_late.c"
    refused "$cc: an ignored result" "unused" $compile -Werror "$here/unchecked.c"
done

for cxx in $cxx_compilers; do
    can cc $cxx || { skip "$cxx" "cannot make a program"; continue; }
    for std in c++11 c++14 c++17 c++20 c++2b; do
        if can cc $cxx -std=$std; then one_cxx $cxx $std; else skip "$cxx $std" "not known to this compiler"; fi
    done
    one_cxx $cxx c++11 -DTUO_NO_SIMD
    one_cxx $cxx c++17 -DTUO_STATIC -O2
    if can cc $cxx -m32; then one_cxx $cxx c++11 -m32; else skip "$cxx -m32" "no 32-bit C++ library"; fi
    good "$cxx: user of a C implementation" $cxx -std=c++11 $warnings -I"$repo" -c -o "$build/user.o" "$here/cxx_user.cc"
    good "$cxx: C implementation" "${CC:-cc}" -std=c99 -I"$repo" -c -o "$build/tu_a.o" "$here/tu_a.c"
    good "$cxx: linked with C" $cxx -o "$build/mixed" "$build/tu_a.o" "$build/user.o"
    good "$cxx: linked with C, runs" "$build/mixed"
done

finish
