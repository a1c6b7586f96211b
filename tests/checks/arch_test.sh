#!/usr/bin/env bash
# The core on processors and C libraries that this machine is not: other byte orders, strict alignment, NEON, 32 bits, musl, Windows, x86
# without newer instructions. Usage: tests/checks/arch_test.sh BUILD_DIR (from the repository's root).
# Unit tests that need no TUN device, the sweep, and the fuzz targets over their seeds; all in static programs whose undefined behaviour
# traps. What is missing is skipped, under CI=true it fails.
#   ARCHES="mips i386"  these targets only; by default all, with all programs on those that differ most (`everything` below) and a choice
#                       of them on the others. ARCHES=all: all programs on all
# Debian packages: qemu-user-static musl-tools gcc-mingw-w64-x86-64-posix wine64 gcc-s390x-linux-gnu libc6-dev-s390x-cross
#   gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross gcc-mips-linux-gnu libc6-dev-mips-cross gcc-mips64-linux-gnuabi64 libc6-dev-mips64-cross
#   gcc-sparc64-linux-gnu libc6-dev-sparc64-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
#   gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-i686-linux-gnu libc6-dev-i386-cross (not gcc-multilib: it removes cross compilers)
set -u
build=$1/arch
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
sanitize="-fsanitize=undefined -fsanitize-undefined-trap-on-error"
choice="test_sweep test_simd test_checksum test_vnet test_gso test_udp_plan replay_gro replay_udp_recv"
everything=${EVERYTHING-" s390x mips "} # names of targets
export WINEPREFIX="${TMPDIR:-/tmp}/tunoffload-wine.$UID" WINEDEBUG=-all WINEDLLOVERRIDES="winemenubuilder.exe=d;mscoree=d;mshtml=d;winedbg.exe=d"

# name | compiler | emulator | what it shows. An emulator of - is none; it may have arguments.
targets="\
s390x   | s390x-linux-gnu-gcc                     | qemu-s390x-static               | big-endian, 64 bits
ppc64   | powerpc64-linux-gnu-gcc                 | qemu-ppc64-static               | big-endian, 64 bits
mips    | mips-linux-gnu-gcc                      | qemu-mips-static                | big-endian, 32 bits, strict alignment
mips64  | mips64-linux-gnuabi64-gcc               | qemu-mips64-static              | big-endian, 64 bits, strict alignment
sparc64 | sparc64-linux-gnu-gcc                   | qemu-sparc64-static             | big-endian, 64 bits, strict alignment
aarch64 | aarch64-linux-gnu-gcc                   | qemu-aarch64-static             | NEON
armhf   | arm-linux-gnueabihf-gcc -mfpu=neon      | qemu-arm-static                 | NEON, 32 bits
riscv64 | riscv64-linux-gnu-gcc                   | qemu-riscv64-static             | no vectors
i386    | i686-linux-gnu-gcc                      | -                               | 32 bits
musl    | musl-gcc                                | -                               | another C library
windows | x86_64-w64-mingw32-gcc                  | /usr/lib/wine/wine64            | long has 32 bits
no-avx  | gcc                                     | qemu-x86_64-static -cpu qemu64  | x86-64 without AVX
avx2    | gcc                                     | qemu-x86_64-static -cpu max     | x86-64 with AVX2"

strip() { local s=$1; s=${s#"${s%%[! ]*}"}; echo "${s%"${s##*[! ]}"}"; }

# field NUMBER TARGET
field() {
    local line
    line=$(grep -E "^$2 " <<< "$targets")
    strip "$(cut -d'|' -f"$1" <<< "$line")"
}

# flags_of TARGET: static and trapping, where that works (found out once, below).
flags_of() { cat "$build/$1/flags"; }

# compile TARGET OUT MORE...
compile() {
    local target=$1 out=$2
    shift 2
    # 64-bit offsets: a 32-bit readdir fails on large file systems.
    # shellcheck disable=SC2046 # words are wanted
    $(field 2 "$target") -O2 -std=c99 -D_FILE_OFFSET_BITS=64 $(flags_of "$target") -I. -Itests/lib -o "$out" "$@" || return
    [ -e "$out" ] || mv "$out.exe" "$out" # the name that was asked for
}

run() {
    local emulator
    emulator=$(field 3 "$1"); shift
    if [ "$emulator" = - ]; then "$@"; else $emulator "$@"; fi
}

# one TARGET PROGRAM: build and run; the outcome is left in a file.
one() {
    local target=$1 program=$2 dir=$build/$1 sources arguments="" counts
    case $program in
        test_*) sources=$(ls tests/*/"$program.c") ;;
        replay_*)
            sources="fuzz/fuzz_${program#replay_}.c fuzz/replay.c"
            arguments="--mutate 100 $build/seeds/${program#replay_} fuzz/seeds/${program#replay_}.seeds"
            ;;
    esac
    if grep -qx "${sources%% *}" "$build/sharing"; then sources="-DTUNOFFLOAD_IMPLEMENTATION_DONE $sources $dir/tunoffload.o"; fi
    # shellcheck disable=SC2086
    if ! compile "$target" "$dir/$program" $warnings $sources > "$dir/$program.log" 2>&1; then
        echo "FAIL $target $program: does not compile"; head -n 10 "$dir/$program.log"
        return
    fi
    # shellcheck disable=SC2086
    run "$target" "$dir/$program" $arguments 2>&1 | tr -d '\r' > "$dir/$program.log"
    local status=${PIPESTATUS[0]}
    # shellcheck disable=SC2086
    if [ "$status" = 0 ] && counts=$(counts_of "$dir/$program.log"); then
        echo "ok $target $program: $(counts_line $counts)$(grep '^levels tested' "$dir/$program.log" | sed 's/^/; /')"
    else
        echo "FAIL $target $program: status $status"; grep -E ':[0-9]+: |FAILED|violated' "$dir/$program.log" | head -n 10; tail -n 3 "$dir/$program.log"
    fi
}

cd "$(dirname "$0")/../.." || exit 2
. tests/lib/counts.sh
if [ "${2:-}" = --one ]; then # a job of the list below
    one "$3" "$4" > "$build/$3/$4.outcome" 2>&1
    exit
fi

# probe TARGET: which flags work there, and do they do what they are there for? 1: the target cannot be tested.
probe() {
    local target=$1 dir=$build/$1 compiler emulator
    compiler=$(field 2 "$target") emulator=$(field 3 "$target")
    mkdir -p "$dir"
    command -v "${compiler%% *}" > /dev/null || { skip "$target" "no ${compiler%% *}"; return 1; }
    [ "$emulator" = - ] || command -v "${emulator%% *}" > /dev/null || { skip "$target" "no ${emulator%% *}"; return 1; }
    cat > "$dir/probe.c" <<'END'
int main(int argc, char **argv) { volatile int most = 2147483647; (void)argv; most += argc - 1; return 0; }
END
    echo "-static $sanitize" > "$dir/flags"
    if ! compile "$target" "$dir/probe" "$dir/probe.c" > "$dir/probe.log" 2>&1 || ! run "$target" "$dir/probe" >> "$dir/probe.log" 2>&1; then
        echo "-static" > "$dir/flags"
        if ! compile "$target" "$dir/probe" "$dir/probe.c" > "$dir/probe.log" 2>&1 ||
            ! run "$target" "$dir/probe" >> "$dir/probe.log" 2>&1; then
            skip "$target" "makes no program that runs here: $(tail -n 1 "$dir/probe.log")"
            return 1
        fi
        skip "$target: undefined behaviour traps" "the compiler cannot"
    elif { run "$target" "$dir/probe" overflow; } >> "$dir/probe.log" 2>&1; then # not 0 if it trapped
        fail "$target: a planted overflow does not trap"
    else
        ok "$target: a planted overflow traps"
    fi
    case "$(field 4 "$target")" in
        *"strict alignment"*) ;;
        *) return 0 ;;
    esac
    # Without the sanitizer, which sees it, too.
    cat > "$dir/odd.c" <<'END'
#include <stdint.h>
static union { uint32_t word; unsigned char bytes[16]; } memory;
int main(int argc, char **argv) { (void)argv; return (int)*(volatile uint32_t *)(void *)(memory.bytes + argc); }
END
    # shellcheck disable=SC2086
    if ! $compiler -O1 -static -o "$dir/odd" "$dir/odd.c" > "$dir/odd.log" 2>&1; then
        fail "$target: the alignment probe does not compile"
    elif { run "$target" "$dir/odd"; } >> "$dir/odd.log" 2>&1; then
        fail "$target: a planted unaligned load is not seen"
    else
        ok "$target: a planted unaligned load is fatal"
    fi
}

rm -rf "$build"
mkdir -p "$build"
names=$(cut -d' ' -f1 <<< "$targets")
case ${ARCHES:-} in
    '') ;;
    all) everything=" ${names//$'\n'/ } " ;;
    *) names=${ARCHES// /$'\n'} ;;
esac
if [ "$(uname -m)" != x86_64 ]; then # only there these run without an emulator, or are about its instructions
    names=$(grep -vE '^(i386|no-avx|avx2|windows)$' <<< "$names")
fi

# shellcheck disable=SC2086
if ! ${CC:-cc} -O1 -std=c99 -I. -Itests/lib -o "$build/make_seeds" fuzz/make_seeds.c > "$build/log" 2>&1 ||
    ! "$build/make_seeds" tests/captures "$build/seeds" > "$build/log" 2>&1; then
    tail -n 5 "$build/log"; fail "fuzz seeds"
fi

sh tests/lib/sharing.sh > "$build/sharing"
programs=
for source in tests/core/test_*.c; do programs="$programs $(basename "$source" .c)"; done # tests/kernel is for a real kernel
for source in fuzz/fuzz_*.c; do
    if ! grep -q 'fake_tun.h' "$source"; then
        source=$(basename "$source" .c)
        programs="$programs replay_${source#fuzz_}"
    fi
done

jobs=
for target in $names; do
    if ! grep -qE "^$target " <<< "$targets"; then fail "$target: no such target"; continue; fi
    probe "$target" || continue
    # shellcheck disable=SC2086
    if ! compile "$target" "$build/$target/tunoffload.o" $warnings -c tests/lib/inside.c > "$build/log" 2>&1; then
        head -n 10 "$build/log"; fail "$target: the header does not compile"
        continue
    fi
    these=$choice
    case $everything in *" $target "*) these=$programs ;; esac
    case $target in no-avx | avx2) these="test_simd test_gro_modes" ;; esac
    for program in $these; do
        if [ "$target,$program" = windows,replay_pcap ]; then continue; fi # it reads files of memory (fmemopen), which Windows does not have
        jobs="$jobs$target $program"$'\n'
    done
done

export SWEEP_STEP=${SWEEP_STEP:-16} # emulated processors are slow
printf '%s' "$jobs" | xargs -r -P 2 -L 1 bash tests/checks/arch_test.sh "$1" --one
while read -r target program; do
    [ -n "$target" ] || continue
    cat "$build/$target/$program.outcome"
    if grep -q '^ok ' "$build/$target/$program.outcome"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done <<< "$jobs"
case $names in *windows*) if [ -x /usr/lib/wine/wineserver64 ]; then /usr/lib/wine/wineserver64 -k; rm -rf "$WINEPREFIX"; fi ;; esac
finish
