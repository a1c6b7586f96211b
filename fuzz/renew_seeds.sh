#!/bin/sh
# Renews fuzz/seeds/NAME.seeds from what fuzzing found (BUILD/fuzz/corpus/NAME) and what make_seeds makes: libFuzzer keeps the shortest inputs
# that cover as much as all of them together (-merge=1); of these, those that go deep, and a few that do not, as long as they fit into
# BYTES per target. Edges (make_seeds.c) stay in any case. Usage: fuzz/renew_seeds.sh BUILD BYTES [NAME...] from the repository's root,
# after `make seeds` and `make fuzz-short`.
set -u
build=$1 budget=$2; shift 2
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
sh fuzz/build.sh "$build/fuzz" "$@" || exit
for name in "$@"; do
    replay=$build/plain/replay_$name merged=$build/fuzz/merged/$name kept=$build/fuzz/kept/$name
    ${MAKE:-make} -s "$replay" || exit
    rm -rf "$merged" "$kept"; mkdir -p "$merged" "$kept" "$build/fuzz/corpus/$name"
    "$build/fuzz/fuzz_$name" -merge=1 -max_len=2048 "$merged" "$build/fuzz/committed/$name" "$build/fuzz/seeds/$name" "$build/fuzz/corpus/$name" \
        > "$build/fuzz/merged/$name.log" 2>&1 || { tail -n 3 "$build/fuzz/merged/$name.log"; exit 1; }
    for file in "$build/fuzz/seeds/$name"/edge-*; do
        if [ -f "$file" ]; then cp "$file" "$kept/"; fi
    done
    bytes=0 deep=0 shallow=0
    # shellcheck disable=SC2045 # in the order of their sizes; the names are hashes
    for file in $(ls -rS "$merged"); do
        size=$(wc -c < "$merged/$file")
        case $("$replay" "$merged/$file") in
            *" 1 went deep"*) deep=$((deep + 1)) ;;
            *) [ $((shallow * 6)) -lt $deep ] && [ "$size" -lt 200 ] || continue; shallow=$((shallow + 1)) ;;
        esac
        [ $((bytes + size)) -le "$budget" ] || break
        cp "$merged/$file" "$kept/$(cksum < "$merged/$file" | awk '{ printf "%08x", $1 }')"
        bytes=$((bytes + size))
    done
    "$build/replay" --pack "fuzz/seeds/$name.seeds" "$kept" || exit
    echo "$name: $(ls "$kept" | wc -l) seeds of $(ls "$merged" | wc -l) kept, $bytes bytes, $shallow of them shallow"
done
