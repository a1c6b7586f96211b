#!/bin/sh
# What the corpus covers of the header: each target runs over the committed seeds, those that are made, and what fuzzing found so far;
# then llvm-cov says which lines and branches of the core none of them reached. Usage: fuzz/coverage.sh BUILD [NAME...] from the
# repository's root, after `make seeds`. Needs clang with compiler-rt, llvm-cov and llvm-profdata of the same version (Debian:
# clang-19 libclang-rt-19-dev llvm-19). Report: BUILD/fuzz/coverage/report.txt, lines that were not reached: missed.txt.
set -u
. tests/lib/counts.sh
build=$1; shift
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
dir=$build/fuzz/coverage
clang='' cov='' profdata=''
for v in -22 -21 -20 -19 '' -16 -15 -14; do
    if command -v "clang$v" > /dev/null && command -v "llvm-cov$v" > /dev/null && command -v "llvm-profdata$v" > /dev/null; then
        clang=clang$v cov=llvm-cov$v profdata=llvm-profdata$v; break
    fi
done
if [ -z "$clang" ]; then skip fuzz-coverage "no clang with llvm-cov and llvm-profdata"; finish; fi
rm -rf "$dir"; mkdir -p "$dir"
root=$PWD
case $dir in /*) ;; *) dir=$root/$dir ;; esac
status=0 first=''
for name in "$@"; do
    # Under one file name, the counts of the header's static functions add up over the targets.
    mkdir -p "$dir/$name"
    sed "s|\"\.\./|\"$root/|" "fuzz/fuzz_$name.c" > "$dir/$name/unit.c"
    (cd "$dir/$name" && "$clang" -std=c99 -O0 -g -w -I"$root" -I"$root/tests/lib" -I"$root/fuzz" -fprofile-instr-generate -fcoverage-mapping \
        -o unit unit.c "$root/fuzz/replay.c") > "$dir/$name/log" 2>&1 || { cat "$dir/$name/log"; status=1; continue; }
    first=${first:-$dir/$name/unit}
    set --
    for inputs in "fuzz/seeds/$name.seeds" "$build/fuzz/seeds/$name" "$build/fuzz/corpus/$name"; do
        if [ -n "$(ls "$inputs" 2> "$dir/ls")" ]; then set -- "$@" "$inputs"; fi
    done
    LLVM_PROFILE_FILE=$dir/$name/unit.profraw "$dir/$name/unit" "$@" > "$dir/$name/log" 2>&1 || { tail -n 3 "$dir/$name/log"; status=1; }
    echo "$name: $(grep '^replayed' "$dir/$name/log")"
done
"$profdata" merge -o "$dir/all.profdata" "$dir"/*/unit.profraw || status=1
objects=''
for unit in "$dir"/*/unit; do
    if [ "$unit" != "$first" ]; then objects="$objects -object $unit"; fi
done
# shellcheck disable=SC2086
"$cov" report "$first" $objects -instr-profile="$dir/all.profdata" --show-branch-summary "$root/tunoffload.h" \
    > "$dir/report.txt" 2> "$dir/cov.err" || status=1
# shellcheck disable=SC2086
"$cov" export "$first" $objects -instr-profile="$dir/all.profdata" -format=lcov "$root/tunoffload.h" \
    > "$dir/all.lcov" 2>> "$dir/cov.err" || status=1
# The core: what stands in front of the Linux backend. A line or branch counts if any target reached it.
core_end=$(grep -n '^/\* -* >>linux \*/' tunoffload.h | cut -d: -f1)
awk -F'[:,]' -v end="$core_end" -v missed="$dir/lines" '
    /^DA:/ && $2 < end { lines[$2] = 1; if ($3 > 0) hit[$2] = 1 }
    /^BRDA:/ && $2 < end { b = $2 "," $3 "," $4; branches[b] = 1; if ($5 > 0) taken[b] = 1 }
    END {
        for (i in lines) { n++; if (i in hit) h++; else print i > missed }
        for (b in branches) { m++; if (b in taken) t++ }
        printf "core: %d of %d lines (%.1f %%), %d of %d branches (%.1f %%)\n", h, n, 100 * h / n, t, m, 100 * t / m
    }' "$dir/all.lcov" > "$dir/core.txt"
touch "$dir/lines"
awk 'NR == FNR { missed[$1] = 1; next } FNR in missed { print FNR ": " $0 }' "$dir/lines" tunoffload.h > "$dir/missed.txt"
cat "$dir/report.txt" "$dir/core.txt"
echo "lines of the core that no input reached: $build/fuzz/coverage/missed.txt"
[ -s "$dir/report.txt" ] || status=1
if [ $status -eq 0 ]; then ok "fuzz-coverage"; else fail "fuzz-coverage"; fi
finish
