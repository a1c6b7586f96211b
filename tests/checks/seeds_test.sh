#!/bin/sh
# Files of seeds (fuzz/seeds/*.seeds, described in fuzz/replay.c): what is packed and unpacked stays what it was, and a damaged file is
# refused, with its line. Usage: tests/checks/seeds_test.sh BUILD_DIR REPLAY (from the repository's root); REPLAY: fuzz/replay.c compiled
# with REPLAY_ALONE.
set -u
build=$1 replay=$2
. tests/lib/counts.sh
rm -rf "$build"; mkdir -p "$build"

for file in fuzz/seeds/*.seeds; do
    name=$(basename "$file" .seeds)
    mkdir -p "$build/$name"
    if ! "$replay" --unpack "$build/$name" "$file" > "$build/log" 2>&1 ||
        ! "$replay" --pack "$build/$name.again" "$build/$name" >> "$build/log" 2>&1; then
        tail -n 3 "$build/log"; fail "$name: cannot be unpacked and packed"
    elif ! cmp "$file" "$build/$name.again" > "$build/log" 2>&1; then fail "$name: differs after unpacking and packing"
    elif [ ! -f "fuzz/fuzz_$name.c" ]; then fail "$name: seeds of no target"
    else ok "$name: the same after unpacking and packing"
    fi
done
for target in fuzz/fuzz_*.c; do
    name=$(basename "$target" .c); name=${name#fuzz_}
    if [ -f "fuzz/seeds/$name.seeds" ]; then ok "$name has seeds"; else fail "$name has no seeds"; fi
done

# Bytes of all values, no byte at all, and a length that fills its lines.
mkdir -p "$build/edges"
LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; i++) printf "\\%03o", i }' > "$build/octal"
printf "$(cat "$build/octal")" > "$build/edges/all"
: > "$build/edges/none"
head -c 96 "$build/edges/all" > "$build/edges/two_lines"
mkdir -p "$build/edges.again"
if "$replay" --pack "$build/edges.seeds" "$build/edges" && "$replay" --unpack "$build/edges.again" "$build/edges.seeds" &&
    [ "$(wc -c < "$build/edges/all")" -eq 256 ] && diff -r "$build/edges" "$build/edges.again" > "$build/log" 2>&1; then
    ok "edges: the same after packing and unpacking"
else
    fail "edges: not the same after packing and unpacking"
fi
awk '{ printf "%s\r\n", $0 }' "$build/edges.seeds" > "$build/returns.seeds"
if "$replay" --pack "$build/returns.again" "$build/returns.seeds" && cmp "$build/edges.seeds" "$build/returns.again" > "$build/log" 2>&1; then
    ok "carriage returns at the ends of lines are left out"
else
    fail "carriage returns at the ends of lines"
fi

# refused NAME TEXT FILE: it must end with status 2 and say so.
refused() {
    "$replay" --pack "$build/out" "$3" > "$build/log" 2>&1; status=$?
    if [ $status -eq 2 ] && grep -q "$2" "$build/log"; then ok "refused: $1"
    else cat "$build/log"; fail "$1: status $status, or another message than: $2"; fi
}
# damaged NAME TEXT SED_SCRIPT: the edges with that change.
damaged() {
    sed "$3" "$build/edges.seeds" > "$build/damaged.seeds"
    if cmp -s "$build/edges.seeds" "$build/damaged.seeds"; then fail "$1: changes nothing"; return; fi
    refused "$1" "$2" "$build/damaged.seeds"
}
damaged "no last line" "ends too early" '$d'
damaged "another count" "not as many" '$s/3/4/'
damaged "another version" "1: another version" '1s/1/2/'
damaged "a letter for a digit" "3: not a hexadecimal digit" '3s/^0/x/'
damaged "a missing digit" "3: the line does not fit" '3s/^0//'
damaged "a missing line" "does not fit" '4d'
damaged "a line too many" "neither" '12p'
damaged "another length" "does not fit" 's/two_lines 96/two_lines 95/'
damaged "a larger length" "does not fit" 's/two_lines 96/two_lines 97/'
damaged "an endless length" "longer than 1 MiB" 's/two_lines 96/two_lines 99999999/'
damaged "a path for a name" "a name that is none" 's/two_lines 96/..\/x 96/'
damaged "names out of order" "not behind the one" 's/input none/input a/'
damaged "the same name twice" "not behind the one" 's/input none/input all/'
damaged "something behind the end" "something follows" '$s/$/\nend 3/'
head -c 300 "$build/edges.seeds" > "$build/cut.seeds"
refused "cut short" "ends too early" "$build/cut.seeds"
mkdir -p "$build/odd"; : > "$build/odd/a name"
refused "a name with a space" "other characters" "$build/odd"
"$replay" "$build/edges.seeds" > "$build/log" 2>&1; status=$?
if [ $status -eq 2 ] && grep -q "no target" "$build/log"; then ok "nothing runs without a target"
else fail "without a target: status $status"; fi

# A target of one's own, and replay.c beside it.
if ${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror -I. -o "$build/harness" fuzz/harness.c fuzz/replay.c > "$build/log" 2>&1 &&
    "$build/harness" fuzz/seeds/vnet_header.seeds > "$build/log" 2>&1; then
    ok "fuzz/harness.c runs: $(head -n 1 "$build/log")"
else
    tail -n 5 "$build/log"; fail "fuzz/harness.c"
fi
finish
