#!/bin/sh
# Compiles the header in every way that the manual allows. Usage: compile_test.sh BUILD_DIR REPOSITORY [C|C++]
# CC and CXX (default cc, c++) are tried, and gcc, g++, clang, clang++ besides, each in every language version it knows; and the newest
# clang that is here for what only clang says. Independent parts, the lanes at the end, run at the same time, one per processor.
set -u
build=$1 repo=$2 language=${3:-both}
here=$repo/tests/checks/compile
mkdir -p "$build"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Wswitch-enum -Werror"
# shellcheck source=tests/lib/counts.sh
. "$repo/tests/lib/counts.sh"

# What the public part may cause clang's -Weverything to say: WARNING REASON.
everything=-Weverything
while read -r warning reason; do
    [ -n "$reason" ] && everything="$everything -Wno-$warning"
done << 'END'
padded          the padding of structs is the ABI's; nothing is compared or sent as the bytes of a struct
END

# Bytes of stack that a function may take, as gcc -O2 makes it for x86_64 (callers may be threads with small stacks), and those that may
# take more: FUNCTION REASON.
stack_core=2048 stack_tun=4096 stack_udp=768
stack_exceptions=$(cat << 'END'
tuoi_tun_write_many	writes of more than 15 pieces, which is not a common path: 1024 iovecs
END
)

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

is_gcc() {
    "$1" -dM -E -x c /dev/null > "$build/predefined" 2> /dev/null
    grep -q ' __GNUC__ ' "$build/predefined" && ! grep -qE ' __(clang|TINYC)__ ' "$build/predefined"
}

# accepts LANGUAGE COMPILER OPTIONS...: does it know them?
accepts() {
    suffix=$1; shift
    "$@" -Werror -S -o "$build/accepts" -x $suffix /dev/null > /dev/null 2>&1 # -fsyntax-only leaves files in the current directory
}

# also LANGUAGE COMPILER: the warnings that this compiler has beyond those that all have.
also() { if accepts $1 $2 -Wreserved-identifier; then echo -Wreserved-identifier; fi; }

# The backends, both or one of them, of the header as a unit of its own.
both="-DTUNOFFLOAD_TUN -DTUNOFFLOAD_UDP"
backends="TUNOFFLOAD_TUN TUNOFFLOAD_UDP"
backend="-DTUNOFFLOAD_IMPLEMENTATION -fsyntax-only"

# one_c COMPILER VERSION MORE...: the units of one C configuration. A version of the language between the oldest and the newest changes
# what is accepted, not what is made of it: no program.
one_c() {
    cc=$1 std=$2; shift 2
    what="$cc $std${*:+ $*}"
    accepts c $cc -std=$std || { skip "$cc $std" "not known to this compiler"; return; }
    flags="-std=$std $warnings $(also c $cc) -I$repo $*"
    case $std$* in
        c11 | c17 | gnu99) good "$what: implementation, two units" $cc $flags -fsyntax-only "$here/tu_a.c" "$here/tu_b.c" ;;
        *)
            good "$what: implementation, two units" $cc $flags -o "$build/two" "$here/tu_a.c" "$here/tu_b.c"
            good "$what: two units run" "$build/two"
            ;;
    esac
    if [ "$(uname -s)" = Linux ]; then
        good "$what: both backends" $cc $flags $after $both $backend -x c "$repo/tunoffload.h"
        for one in $backends; do good "$what: $one" $cc $flags $after -D$one $backend -x c "$repo/tunoffload.h"; done
    fi
}

# The 32-bit targets of a 64-bit compiler.
m32_c() {
    if can c $1 -m32; then one_c $1 c99 -m32; one_c $1 c11 -m32 -DTUO_NO_SIMD; else skip "$1 -m32" "no 32-bit C library"; fi
}

# macros COMPILER: what these change is not about the version: once.
macros() {
    cc=$1 flags="-std=c99 $warnings $(also c $1) -I$repo"
    good "$cc: TUO_STATIC object" $cc $flags -c -o "$build/static.o" "$here/static_unit.c"
    symbols "$cc: TUO_STATIC exports nothing" "$build/static.o" main "$memory" 1
    good "$cc: TUO_STATIC in two units" $cc $flags -o "$build/static" "$build/static.o" "$here/static_unit_b.c"
    good "$cc: TUO_STATIC in two units, runs" "$build/static"
    good "$cc: TUO_API and TUO_ASSERT" $cc $flags -o "$build/api" "$here/api_macro.c"
    good "$cc: TUO_API and TUO_ASSERT, runs" "$build/api"
}

# level COMPILER OPTIONS...: the core, and with -DTUNOFFLOAD_TUN and -DTUNOFFLOAD_UDP the backends, as the options make it.
level() {
    cc=$1; shift
    accepts c $cc "$@" || return 0
    good "$cc $*" $cc -std=c99 $warnings "$@" -DTUNOFFLOAD_IMPLEMENTATION -x c -c -o "$build/level.o" "$repo/tunoffload.h"
}

# Objects of the core, and what can be seen in them.
objects() {
    cc=$1
    level $cc -Os
    symbols "$cc: every symbol starts with tuo_" "$build/level.o" 'tuo_[a-z0-9][a-z0-9_]*' "$memory"
    good "$cc: every declared function is there" $cc -std=c99 $warnings -I"$repo" -o "$build/all" "$here/all_functions.c" "$build/level.o"
    good "$cc: every declared function has an address" "$build/all"
    level $cc -O0 -fno-pic -fno-pie # data without relocations
    no_globals "$cc: no writable data in the core" "$build/level.o"
}

freestanding() {
    cc=$1
    good "$cc: freestanding, TUO_NO_LIBC" $cc -std=c99 $warnings -I"$repo" -O1 -ffreestanding -nostdinc \
        -isystem "$($cc -print-file-name=include)" -c -o "$build/no_libc.o" "$here/no_libc.c"
    symbols "$cc: TUO_NO_LIBC refers to no library" "$build/no_libc.o" 'tuo_[a-z0-9][a-z0-9_]*' "own_mem[a-z]*|$memory"
    compile="$cc -std=c99 -I$repo -Wfatal-errors -c -o $build/x.o"
    if [ "$(uname -s)" = Linux ]; then
        good "$cc: own TUO_CALLOC and TUO_FREE" $cc -std=c99 $warnings -I"$repo" -c -o "$build/own_memory.o" "$here/own_memory.c"
        asks_for "$cc: own TUO_CALLOC and TUO_FREE are all that is called" "$build/own_memory.o" 'own_calloc own_free' 'malloc calloc realloc free'
        refused "$cc: TUO_CALLOC without TUO_FREE" "TUO_FREE" $compile "$here/own_memory_half.c"
    fi
    refused "$cc: TUO_NO_LIBC without replacements" "TUO_MEMCPY" $compile "$here/no_libc_missing.c"
    refused "$cc: some replacements missing" "TUO_MEMCPY" $compile "$here/no_libc_partial.c"
    refused "$cc: TUNOFFLOAD_TUN too late" "define TUNOFFLOAD_TUN before the first" $compile "$here/tun_too_late.c"
    refused "$cc: TUNOFFLOAD_UDP too late" "define TUNOFFLOAD_UDP before the first" $compile "$here/udp_too_late.c"
    refused "$cc: an ignored result" "unused" $compile -Werror "$here/unchecked.c"
}

# stack COMPILER: no function of the core takes more than stack_core bytes of stack, none of the backends more than stack_tun, stack_udp.
stack() {
    cc=$1
    if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then level $cc -O2; skip "$cc -O2: stack" "bounds are of x86_64"; return; fi
    level $cc -O2 $both -fstack-usage
    border=$(awk '/^\/\* -+ >>linux \*\/$/ { print NR }' "$repo/tunoffload.h")
    udp=$(awk '/^\/\* -+ >>linux-udp \*\/$/ { print NR }' "$repo/tunoffload.h")
    echo "$stack_exceptions" | awk -F '\t' -v border="$border" -v udp="$udp" -v core=$stack_core -v tun=$stack_tun \
        -v socket=$stack_udp '
        NR == FNR { if (split($0, words, " ")) exempt[words[1]] = 1; next }
        {
            parts = split($1, at, ":") # file:line:column:function
            name = at[parts]
            sub(/\..*/, "", name) # .part.0, .constprop.0
            line = at[parts - 2] + 0
            where = line < border + 0 ? "core" : line < udp + 0 ? "tun" : "udp"
            bound = where == "core" ? core : where == "tun" ? tun : socket
            functions[where]++
            if ($2 > largest[where] + 0) { largest[where] = $2; by[where] = name }
            if ($3 == "dynamic") print "FAIL " name ": without bound"
            if ($2 + 0 <= bound) next
            if (name in exempt) needed[name] = 1
            else print "FAIL " name ": " $2 " bytes, " where " may take " bound
        }
        END {
            for (name in exempt) if (!(name in needed)) print "FAIL " name ": its exception is not needed"
            if (functions["core"] < 60 || functions["tun"] < 30 || functions["udp"] < 30) print "FAIL too few functions are seen"
            print "largest of the core " largest["core"] ", " by["core"] ", of TUN " largest["tun"] ", " by["tun"] \
                ", of UDP " largest["udp"] ", " by["udp"]
        }' - "$build/level.su" > "$build/stack"
    strange=$(sed -n 's/^FAIL \(.*\)/\1;/p' "$build/stack")
    figures=$(sed -n '$p' "$build/stack")
    if [ -z "$strange" ] && [ -n "$figures" ]; then ok "$cc -O2: stack: $figures"; else fail "$cc -O2: stack:" $strange "$figures"; fi
}

# msvc COMPILER LANGUAGE VERSION: clang for targets that say they are MSVC. Their C library is not here: stubs.
msvc() {
    for target in x86_64-pc-windows-msvc i686-pc-windows-msvc "i686-pc-windows-msvc -msse2"; do
        if accepts $2 "$1" --target=${target%% *}; then
            good "$1 $target $3" "$1" --target=$target -x $2 -std=$3 $warnings -Wreserved-identifier -fsyntax-only -I"$repo" \
                -isystem "$here/stubs" "$here/msvc.c"
        else skip "$1 $target $3" "not known to this compiler"; fi
    done
}

# newest_clang LANGUAGE VERSION...: what only clang says, as the newest one that is here says it.
newest_clang() {
    if [ -z "$newest" ]; then skip "clang's warnings" "no clang"; return; fi
    suffix=$1; shift
    for std in "$@"; do
        for tun in "" "$both"; do
            if [ -n "$tun" ] && [ "$(uname -s)" != Linux ]; then continue; fi
            good "$newest $std $everything${tun:+ $tun}: public part" "$newest" -x $suffix -std=$std $everything $tun -Werror \
                -fsyntax-only -I"$repo" "$here/public.c"
        done
    done
    for tun in "" "$both"; do
        if [ -n "$tun" ] && [ "$(uname -s)" != Linux ]; then continue; fi
        good "$newest $std${tun:+ $tun}" "$newest" -x $suffix -std=$std $warnings -Wreserved-identifier $tun -DTUNOFFLOAD_IMPLEMENTATION \
            -fsyntax-only "$repo/tunoffload.h"
    done
}

one_cxx() {
    cxx=$1 std=$2; shift 2
    what="$cxx $std${*:+ $*}"
    accepts c++ $cxx -std=$std || { skip "$cxx $std" "not known to this compiler"; return; }
    flags="-std=$std $warnings $(also c++ $cxx) -I$repo $*"
    case $std$* in
        c++14 | c++17 | c++20) good "$what: implementation" $cxx $flags -fsyntax-only "$here/cxx_unit.cc" ;;
        *)
            good "$what: implementation" $cxx $flags -o "$build/cxx" "$here/cxx_unit.cc"
            good "$what: runs" "$build/cxx"
            ;;
    esac
    if [ "$(uname -s)" = Linux ]; then
        good "$what: both backends" $cxx $flags $after $both $backend -x c++ "$repo/tunoffload.h"
        for one in $backends; do good "$what: $one" $cxx $flags $after -D$one $backend -x c++ "$repo/tunoffload.h"; done
    fi
}

m32_cxx() { if can cc $1 -m32; then one_cxx $1 c++11 -m32; else skip "$1 -m32" "no 32-bit C++ library"; fi; }

linked_with_c() {
    cxx=$1
    good "$cxx: user of a C implementation" $cxx -std=c++11 $warnings -I"$repo" -c -o "$build/user.o" "$here/cxx_user.cc"
    good "$cxx: C implementation" "${CC:-cc}" -std=c99 -I"$repo" -c -o "$build/tu_a.o" "$here/tu_a.c"
    good "$cxx: linked with C" $cxx -o "$build/mixed" "$build/tu_a.o" "$build/user.o"
    good "$cxx: linked with C, runs" "$build/mixed"
}

# asks_for NAME OBJECT THESE NOT_THOSE: the object refers to each symbol of the one list and to none of the other.
asks_for() {
    if ! command -v nm > /dev/null 2>&1; then skip "$1" "no nm"; return; fi
    nm -P -u "$2" | awk '{ sub(/^_/, "", $1); print $1 }' > "$build/asked"
    strange=
    for symbol in $3; do grep -qx "$symbol" "$build/asked" || strange="$strange not $symbol"; done
    for symbol in $4; do if grep -qx "$symbol" "$build/asked"; then strange="$strange $symbol"; fi; done
    if [ -n "$strange" ]; then fail "$1:$strange"; else ok "$1"; fi
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

c_compilers= cxx_compilers=
if [ "$language" != C++ ]; then
    for cc in $(present "${CC:-cc}" gcc clang); do
        if can c $cc; then c_compilers="$c_compilers $cc"; else fail "$cc: cannot make a program"; fi
    done
fi
if [ "$language" != C ]; then
    for cxx in $(present "${CXX:-c++}" g++ clang++); do
        if can cc $cxx; then cxx_compilers="$cxx_compilers $cxx"; else skip "$cxx" "cannot make a program"; fi
    done
fi
newest= number=40
while [ -z "$newest" ] && [ $number -gt 10 ]; do
    newest=$(command -v clang-$number > /dev/null 2>&1 && echo clang-$number)
    number=$((number - 1))
done
newest=${newest:-$(command -v clang > /dev/null 2>&1 && echo clang)}

# lane COMMAND...: in a directory of its own, by the first worker that comes here.
lane() {
    lane_count=$((lane_count + 1))
    mkdir "$top/lane.$lane_count" 2> /dev/null || return 0
    (
        build=$top/lane.$lane_count passed=0 failed=0 skipped=0
        "$@"
        finish
    ) > "$top/lane.$lane_count.log" 2>&1
}

# What every worker goes through, the longest first.
lanes() {
    lane_count=0
    for cc in $c_compilers; do
        if is_gcc $cc; then
            lane level $cc -O1 -fsanitize=address,undefined
            lane level $cc -O3 -fPIC $both # what may be interposed is not inlined: other warnings
            lane stack $cc
        else
            lane level $cc -O0 -fsanitize=address,undefined # -O1 takes four times as long, and says nothing more: not so gcc
            lane level $cc -O2
        fi
        lane level $cc -O3
        lane objects $cc
        lane level $cc -O1
        lane macros $cc
        lane freestanding $cc
        lane level $cc -march=native
        for std in c99 c11 c17 c2x gnu99; do lane one_c $cc $std; done
        lane one_c $cc c99 -DTUO_NO_SIMD
        case $(uname -m) in x86_64 | i?86) lane one_c $cc c99 -mavx2 ;; esac
        lane m32_c $cc
    done
    for cxx in $cxx_compilers; do
        lane one_cxx $cxx c++17 -DTUO_STATIC -O2
        for std in c++11 c++14 c++17 c++20 c++2b; do lane one_cxx $cxx $std; done
        lane one_cxx $cxx c++11 -DTUO_NO_SIMD
        lane m32_cxx $cxx
        lane linked_with_c $cxx
    done
    if [ "$language" != C++ ]; then
        lane newest_clang c c99 c11 c17
        for cc in $(present clang ${newest:+"$newest"}); do lane msvc $cc c c99; done
    fi
    if [ "$language" != C ]; then
        lane newest_clang c++ c++11 c++17 c++20
        for cc in $(present clang ${newest:+"$newest"}); do lane msvc $cc c++ c++17; done
    fi
    echo $lane_count > "$top/lanes"
}

top=$build
rm -rf "$top"/lane*
workers=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2)
while [ "$workers" -gt 0 ]; do
    lanes &
    workers=$((workers - 1))
done
wait

# What they said, in the order of the list, and the sums.
number=0
lane_count=$(cat "$top/lanes") || fail "no worker came to its end"
while [ $number -lt "${lane_count:-0}" ]; do
    number=$((number + 1))
    log=$top/lane.$number.log
    last=$(tail -n 1 "$log")
    case $last in
        *" passed, "*" failed, "*" skipped") ;;
        *) cat "$log"; fail "lane $number did not come to its end"; continue ;;
    esac
    sed '$d' "$log"
    set -- $last
    passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
done

finish
