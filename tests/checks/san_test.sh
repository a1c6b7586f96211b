#!/usr/bin/env bash
# Sanitizers beyond those of `make test`. Usage: tests/checks/san_test.sh BUILD_DIR (from the repository's root).
#   integer  undefined, and clang's integer, implicit-conversion, local-bounds, nullability: in the header no unsigned number
#            wraps or loses bits but where TUOI_WRAPS says that it may
#   memory   no decision depends on a byte that nobody wrote
#   thread   the TUN backend: one thread that receives and one that sends, per queue (needs root and /dev/net/tun)
# The unit tests and the fuzz targets over their seeds, with the newest clang that has compiler-rt (SAN_CC: another one). That each check is
# in force is proven first, with planted defects.
# Debian packages: clang-19 libclang-rt-19-dev (or clang and its libclang-rt-N-dev), gcc libc6-dev
set -u
mkdir -p "$1" || exit 2
build=$(cd "$1" && pwd)/san
common="-g -fno-omit-frame-pointer -fno-sanitize-recover=all -std=c99 -pthread -I. -Itests/lib"
export UBSAN_OPTIONS=print_stacktrace=1
cd "$(dirname "$0")/../.." || exit 2

flags_of() {
    case $1 in
        integer) echo "-O0 -fsanitize=undefined,integer,implicit-conversion,local-bounds,nullability -fsanitize-ignorelist=$build/ignore" ;;
        memory) echo "-O1 -fsanitize=memory" ;;
        thread) echo "-O1 -fsanitize=thread" ;;
    esac
}

# one CONFIGURATION PROGRAM: build and run; what came of it is left in files.
one() {
    local configuration=$1 program=$2 out=$build/$1/$2 sources arguments=""
    case $program in
        test_*) sources=$(ls tests/*/"$program.c") ;;
        replay_*) sources="fuzz/fuzz_${program#replay_}.c fuzz/replay.c" arguments="--mutate 100 $build/seeds/${program#replay_} fuzz/seeds/${program#replay_}.seeds" ;;
    esac
    if grep -qx "${sources%% *}" "$build/sharing"; then
        sources="-DTUNOFFLOAD_IMPLEMENTATION_DONE $sources $build/$configuration/tunoffload.o"
    fi
    # shellcheck disable=SC2046,SC2086 # words are wanted
    if ! "$SAN_CC" $common $(flags_of "$configuration") -o "$out" $sources > "$out.log" 2>&1; then
        echo 1 > "$out.status"
        return
    fi
    # shellcheck disable=SC2086
    "$out" $arguments > "$out.log" 2>&1
    echo $? > "$out.status"
}

if [ "${2:-}" = --one ]; then # a job of the list below
    one "$3" "$4"
    exit
fi

. tests/lib/counts.sh

rm -rf "$build"
mkdir -p "$build/integer" "$build/memory" "$build/thread" "$build/planted"

# The tests and fuzz targets wrap as they like (random numbers, hashes). Their own names only: fuzz/../tunoffload.h is the header.
for check in unsigned-integer-overflow unsigned-shift-base implicit-unsigned-integer-truncation implicit-signed-integer-truncation \
    implicit-integer-sign-change; do
    printf '[%s]\nsrc:tests/*\nsrc:fuzz/../tests/*\nsrc:fuzz/../examples/*\nsrc:fuzz/*.c\nsrc:fuzz/[a-z]*.h\n' $check
done > "$build/ignore"

cat > "$build/planted.c" <<'END'
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
static uint32_t shared;
static void *race(void *unused) { shared++; return unused; }
int main(int argc, char **argv)
{
    const char what = argc > 1 ? argv[1][0] : '-';
    volatile uint32_t zero = (uint32_t)argc - 2, result = 0;
    uint8_t table[4] = { 0 };
    uint8_t *heap = malloc(4);
    pthread_t other;
    if (!heap) return 0;
    if (what == 'r') result = heap[4 + zero];                    /* read beyond */
    if (what == 'o') result = (uint32_t)((int32_t)zero + 0x7fffffff + argc); /* overflow */
    if (what == 'w') result = zero - 1;                          /* unsigned wrap */
    if (what == 's') result = (zero + 0x80000001u) << 1;         /* a bit shifted out */
    if (what == 't') { table[0] = zero + 256; result = table[0]; } /* bits lost */
    if (what == 'l') result = table[zero + 4];                   /* local bounds */
    if (what == 'u' && heap[zero]) puts("odd");                  /* not written */
    if (what == 'c') {
        if (pthread_create(&other, NULL, race, NULL) != 0) return 0;
        shared++;
        pthread_join(other, NULL);
    }
    free(heap);
    return (int)(result & 0);
}
END

# planted CONFIGURATION DEFECT...: each ends the program; without one it runs.
planted() {
    local configuration=$1 defect program=$build/planted/$1 bad=""
    shift
    # shellcheck disable=SC2046,SC2086
    if ! "$SAN_CC" $common $(flags_of "$configuration") -o "$program" "$build/planted.c" > "$program.log" 2>&1; then
        return 1
    fi
    "$program" -- > "$program.log" 2>&1 || return 1
    for defect in "$@"; do
        if { "$program" "$defect"; } > "$program.log" 2>&1; then bad="$bad $defect"; fi
    done
    if [ -z "$bad" ]; then ok "$configuration: planted defects are seen: $*"; else fail "$configuration: planted defects are missed:$bad"; fi
}

found=
for compiler in ${SAN_CC:-} clang-22 clang-21 clang-20 clang-19 clang; do
    command -v "$compiler" > /dev/null || continue
    export SAN_CC=$compiler
    if planted integer overflow wrap shift truncate local > "$build/log" 2>&1; then found=$compiler; break; fi
done
if [ -z "$found" ]; then skip "sanitizers" "no clang with compiler-rt"; finish; fi
echo "with $("$SAN_CC" --version | head -n 1)"
passed=0 failed=0
planted integer overflow wrap shift truncate local || fail "integer: cannot make a program"
memory=yes thread=yes
planted memory uninitialised || { skip "memory" "$SAN_CC makes no such program that runs"; memory=no; }
planted thread concurrent || { skip "thread" "$SAN_CC makes no such program that runs"; thread=no; }

# shellcheck disable=SC2086
if ! "$SAN_CC" -O1 -std=c99 -I. -Itests/lib -o "$build/make_seeds" fuzz/make_seeds.c > "$build/log" 2>&1 ||
    ! "$build/make_seeds" tests/captures "$build/seeds" > "$build/log" 2>&1; then
    tail -n 5 "$build/log"; fail "fuzz seeds"
fi

# Are the checks in force in the header? In a copy of the tree without its annotations each kind of program must end.
tree=$build/planted/tree
mkdir -p "$tree/tests/lib" "$tree/tests/core" "$tree/fuzz" "$tree/examples"
cp tests/lib/*.h "$tree/tests/lib"
cp tests/core/test_gro_property.c "$tree/tests/core"
cp fuzz/*.[ch] "$tree/fuzz"
cp examples/*.h "$tree/examples"
sed 's/^#define TUOI_WRAPS __attribute__.*/#define TUOI_WRAPS/' tunoffload.h > "$tree/tunoffload.h"
for sources in tests/core/test_gro_property.c "fuzz/fuzz_gro.c fuzz/replay.c"; do
    name=$(basename "${sources%% *}" .c)
    # shellcheck disable=SC2046,SC2086
    if ! (cd "$tree" && "$SAN_CC" $common $(flags_of integer) -o "$name" $sources) > "$tree/$name.log" 2>&1; then
        tail -n 5 "$tree/$name.log"; fail "integer: a header without TUOI_WRAPS does not compile"
    elif (cd "$tree" && if [ "$name" = fuzz_gro ]; then "./$name" "$build/seeds/gro"; else "./$name"; fi) > "$tree/$name.log" 2>&1; then
        fail "integer: a header without TUOI_WRAPS is not reported by $name"
    elif grep -q 'tunoffload.h:[0-9:]* runtime error: unsigned integer overflow' "$tree/$name.log"; then
        ok "integer: a header without TUOI_WRAPS is reported by $name"
    else
        tail -n 5 "$tree/$name.log"; fail "integer: $name ended for another reason"
    fi
done

# What needs a TUN device or network namespaces and what it does in the kernel is left to `make test`, which runs it under address and undefined:
#   test_kernel, test_tun*, test_udp_net  every byte that read() and the ioctls fill is known to the memory sanitizer, but nothing is added by it; the
#                           integer checks go over test_tun, test_tun_loop, test_udp
#   test_memory             stands in for malloc
#   test_examples           runs programs, which make builds beside it
jobs=
for source in tests/*/test_*.c fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    case $name in fuzz_*) name=replay_${name#fuzz_} ;; esac
    case $name in
        test_kernel | test_memory | test_examples | test_udp_net | test_tunnel_loops | test_tun_threads | test_udp_threads) continue ;;
        test_tun*) jobs="${jobs}integer $name"$'\n' ;;
        *)
            jobs="${jobs}integer $name"$'\n'
            # MEMORY_OF: a pattern of programs; by default all
            # shellcheck disable=SC2254
            case $memory,$name in yes,${MEMORY_OF:-*}) jobs="${jobs}memory $name"$'\n' ;; esac
            ;;
    esac
done
if [ $thread = yes ]; then jobs="${jobs}thread test_tun_threads"$'\n'"thread test_udp_threads"$'\n'; fi

sh tests/lib/sharing.sh > "$build/sharing"
for configuration in integer memory; do
    if [ $configuration,$memory = memory,no ]; then continue; fi
    # shellcheck disable=SC2046,SC2086
    if ! "$SAN_CC" $common $(flags_of $configuration) -c -o "$build/$configuration/tunoffload.o" tests/lib/inside.c \
        > "$build/log" 2>&1; then
        tail -n 5 "$build/log"; fail "$configuration: the header does not compile"
    fi
done

export SWEEP_STEP=${SWEEP_STEP:-16} # the whole sweep is for `make test`
printf '%s' "$jobs" | xargs -r -P 2 -L 1 bash tests/checks/san_test.sh "$1" --one
while read -r configuration name; do
    [ -n "$name" ] || continue
    add_program "$configuration $name" "$build/$configuration/$name.log" "$(cat "$build/$configuration/$name.status")"
done <<< "$jobs"
finish
