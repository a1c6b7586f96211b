#!/usr/bin/env bash
# Static analysis: no finding in tunoffload.h (core and both backends, with and without vectors), in the examples that build here, and in the
# shell scripts. Usage: tests/checks/lint.sh BUILD_DIR [--quick] (from the repository's root).
# --quick: without clang's and gcc's analyzers, which take minutes.
# Each tool first has to see a defect in a file that is made here, so that one that does nothing is noticed.
# Debian packages: cppcheck clang-tidy-19 clang-19 clang-tools-19 (or clang-tidy clang) gcc libc6-dev shellcheck; for the examples also
#   libdpdk-dev liblwip-dev pkg-config
set -u
mkdir -p "$1" || exit 2
build=$(cd "$1" && pwd)/lint
cd "$(dirname "$0")/../.." || exit 2

# What is not asked, and why. A check that is listed nowhere here is in force.
tidy_checks="-*,bugprone-*,cert-*,misc-*,portability-*,performance-*" # its analyzer is asked by itself, below
while read -r check reason; do
    [ -n "$reason" ] && tidy_checks="$tidy_checks,-$check"
done <<'END'
bugprone-easily-swappable-parameters   a pointer and two lengths in a row is how C passes bytes
bugprone-casting-through-void          a cast by way of void * is what says that alignment was thought of (-Wcast-align)
bugprone-assignment-in-if-condition    assignments in conditions stand in parentheses and are compared
bugprone-implicit-widening-of-multiplication-result  such offsets are bounded by the parser; tests/checks/san_test.sh sees what wraps
bugprone-misplaced-widening-cast       a uint64_t is cast to unsigned long long only to be printed
bugprone-reserved-identifier           _GNU_SOURCE and _POSIX_C_SOURCE are there to be defined
cert-dcl37-c                           the same check by another name
cert-dcl51-cpp                         the same check by another name
cert-err33-c                           what stdout or stderr does not take cannot be said anywhere else; files are checked when closed
cert-int09-c                           the last member of an enum lets it hold any int
misc-include-cleaner                   the examples get system headers by way of tunoffload.h, as its users do
END

cppcheck_suppressions=()
while read -r check reason; do
    [ -n "$reason" ] && cppcheck_suppressions+=("--suppress=$check")
done <<'END'
missingIncludeSystem                 system headers are not read; the project's own are
unmatchedSuppression                 each file has some of these only
checkersReport                       a count of the checks, not a finding
unusedFunction                       functions that lwIP calls, by their names
unusedStructMember                   members that the caller reads, or that another configuration does
variableScope                        variables are declared where the block starts that they belong to
redundantContinue                    `continue` is how an empty loop body is written
funcArgNamesDifferent:*lwip_tun.c    functions of lwIP, whose headers call the arguments otherwise
unassignedVariable:*core*.c           written by a vector store through a cast
unassignedVariable:*tunoffload.h the same, included
ctuuninitvar:*tunoffload.h           takes the address of an array in a structure that is filled for a use of its bytes
shadowVariable:*tunoffload.h         an example's own variables may have the names of parameters
knownConditionTrueFalse:*core*.c      takes a uint16_t cast of ~x for a constant
knownConditionTrueFalse:*tunoffload.h the same, included
END

shellcheck_excluded=
while read -r check reason; do
    [ -n "$reason" ] && shellcheck_excluded="${shellcheck_excluded:+$shellcheck_excluded,}$check"
done <<'END'
SC2046 a substitution without quotes shall give several words: flags, names of targets, numbers
SC1007 VAR= command, with a space: the command runs with an empty VAR
END

gcc_off=
while read -r check reason; do
    [ -n "$reason" ] && gcc_off="$gcc_off -Wno-analyzer-$check"
done <<'END'
use-of-uninitialized-value  does not see that a split with segments left hands one out; clang's analyzer and the memory sanitizer ask it, too
END

. tests/lib/counts.sh

# first NAME...: the first that is installed.
first() { local c; for c in "$@"; do command -v "$c" && return; done; }

rm -rf "$build"
mkdir -p "$build"
sources=() # "file|flags"
# The header as a file of its own, as analyzers start from functions of the main file only. Its assertions tell them what holds.
unit() { # unit NAME DEFINE...
    local name=$1 flags="-I. -DTUNOFFLOAD_IMPLEMENTATION -DTUO_ASSERT(c)=((c)?(void)0:__builtin_trap())"
    shift
    for define in "$@"; do flags="$flags -D$define"; done
    cp tunoffload.h "$build/$name.c"
    sources+=("$build/$name.c|$flags")
}
unit core_plain TUO_NO_SIMD
if [ "$(uname -s)" = Linux ]; then unit core_and_linux TUNOFFLOAD_TUN TUNOFFLOAD_UDP; else unit core; fi

for example in examples/*.c; do
    flags="-I."
    case $example in
        */dpdk_*) flags="$flags $(pkg-config --cflags libdpdk 2> /dev/null | sed 's/-I/-isystem /g')" ;;
        */lwip_*) flags="$flags $(pkg-config --cflags lwip 2> /dev/null | sed 's/-I/-isystem /g')" ;;
    esac
    # shellcheck disable=SC2086 # words are wanted
    if ${CC:-cc} -std=c99 $flags -fsyntax-only "$example" > "$build/log" 2>&1; then
        sources+=("$example|$flags")
    else
        skip "$example" "does not build here: $(grep -m 1 error "$build/log")"
    fi
done

cat > "$build/planted.c" <<'END'
#include <stdlib.h>
int planted(int count);
int planted(int count)
{
    int table[4] = { 1, 2, 3, 4 };
    int *heap = malloc(4 * sizeof *heap);
    if (!heap) return 0;
    free(heap);
    if (count == 7) return heap[0];
    if (count == 8 || count == 8) return 1;
    return table[4];
}
END

# Each judge prints its findings about one file, and nothing else.
by_cppcheck() { # of the flags it knows directories only
    # shellcheck disable=SC2046
    cppcheck --quiet --enable=all --inconclusive --std=c99 --language=c --inline-suppr "${cppcheck_suppressions[@]}" \
        $(sed 's/-isystem */-I/g; s/ /\n/g' <<< "$2" | grep -E '^-I|^-D[A-Z_]*$') \
        -U__cplusplus -D__linux__ -D__x86_64__ -D__SSE2__ -D__GNUC__=12 --template='{file}:{line}: {severity}: {message} [{id}]' "$1" 2>&1 |
        grep -vE '^(/usr/|nofile)' # what a library's own headers are like
}
by_tidy() {
    # shellcheck disable=SC2086
    "$tidy" --quiet --checks="$tidy_checks" --header-filter='.*(tunoffload|pcap_[a-z]*)\.h$' "$1" -- -std=c99 $2 2> "$build/${1##*/}.tidy.err"
}
by_gcc() {
    # shellcheck disable=SC2086
    gcc -fanalyzer $gcc_off -O0 -std=c99 $2 -c -o "$build/${1##*/}.o" "$1" 2>&1
}
by_clang() {
    # shellcheck disable=SC2086
    "$clang" --analyze -Xanalyzer -analyzer-output=text -Xanalyzer -analyzer-disable-checker=optin.core.EnumCastOutOfRange -std=c99 $2 \
        -o "$build/${1##*/}.plist" "$1" 2>&1 | grep -v 'warnings\? generated\.$'
}

# judge TOOL FUNCTION DEFECT: DEFECT is what it must say of planted.c. Two files at a time.
judge() {
    local tool=$1 function=$2 source file
    if $function "$build/planted.c" "" | grep -qE "$3"; then ok "$tool sees a planted defect"
    else fail "$tool does not see a planted defect"; fi
    for source in "${sources[@]}"; do
        file=${source%%|*}
        # of an example that brings a library's headers along, gcc's analyzer makes gigabytes
        case $function,$file in by_gcc,examples/*) continue ;; esac
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        (
            started=$SECONDS
            $function "$file" "${source#*|}" > "$build/$function-${file##*/}.findings"
            echo "$((SECONDS - started))" > "$build/$function-${file##*/}.seconds"
        ) &
        judged+=("$tool|${file##*/}|$build/$function-${file##*/}")
    done
}
judged=()

tidy=$(first clang-tidy-19 clang-tidy)
clang=$(first clang-19 clang)
if command -v cppcheck > /dev/null; then judge cppcheck by_cppcheck 'arrayIndexOutOfBounds|deallocuse'; else skip cppcheck "not installed"; fi
if [ -n "$tidy" ]; then judge "${tidy##*/}" by_tidy 'misc-redundant-expression'; else skip clang-tidy "not installed"; fi
if [ "${2:-}" = --quick ]; then :
elif [ -n "$clang" ]; then judge "${clang##*/} --analyze" by_clang 'Use of memory after'; else skip "clang --analyze" "not installed"; fi
if [ "${2:-}" = --quick ]; then :
elif command -v gcc > /dev/null && gcc -fanalyzer -c -o "$build/analyzed.o" -x c /dev/null 2> "$build/log"; then
    judge "gcc -fanalyzer" by_gcc 'Wanalyzer-use-after-free'
else
    skip "gcc -fanalyzer" "no gcc that has it"
fi

wait
for one in "${judged[@]}"; do
    IFS='|' read -r tool file findings <<< "$one"
    if [ ! -e "$findings.seconds" ]; then fail "$tool: $file: did not end"
    elif [ ! -s "$findings.findings" ]; then ok "$tool: $file, $(cat "$findings.seconds") s"
    else fail "$tool: $file:"; sed "s|$PWD/||g" "$findings.findings" | head -n 30; fi
done

if command -v shellcheck > /dev/null; then
    printf '#!/bin/sh\ncd /tmp\nfor i in $(ls); do rm $1/x; done\n' > "$build/planted.sh"
    if shellcheck -x -S warning -e "$shellcheck_excluded" -f gcc "$build/planted.sh" | grep -q SC2164; then ok "shellcheck sees a planted defect"
    else fail "shellcheck does not see a planted defect"; fi
    for script in .ci/run .ci/install .ci/nightly $(find . -name '*.sh' -not -path './build*' -not -path './.git/*' | sort); do
        # -x: with what it sources, as tests/lib/counts.sh sets what it uses
        if shellcheck -x -S warning -e "$shellcheck_excluded" -f gcc "$script" > "$build/log" 2>&1; then ok "shellcheck: ${script#./}"
        else fail "shellcheck: ${script#./}:"; head -n 10 "$build/log"; fi
    done
else
    skip shellcheck "not installed"
fi
finish
