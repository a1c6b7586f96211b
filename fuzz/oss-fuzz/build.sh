#!/bin/bash -eu
# Called by OSS-Fuzz in the repository's root with CC, CFLAGS, LIB_FUZZING_ENGINE and OUT set (google.github.io/oss-fuzz, "build.sh").
# Each target goes to $OUT with its dictionary and its seeds. CXX links, as some engines are C++; without it CC does. To try it:
#   OUT=$PWD/build/oss CC=clang CFLAGS='-g -O1 -fsanitize=fuzzer-no-link,address' LIB_FUZZING_ENGINE=-fsanitize=fuzzer,address \
#       bash fuzz/oss-fuzz/build.sh
work=$OUT/.work
mkdir -p "$work"
mutator=
case ${FUZZING_ENGINE:-libfuzzer} in libfuzzer) mutator=-DFUZZ_MUTATOR ;; esac

$CC -O1 -std=c99 -I. -Itests/lib -o "$work/make_seeds" fuzz/make_seeds.c
"$work/make_seeds" tests/captures "$work/seeds"
$CC -O1 -std=c99 -DREPLAY_ALONE -o "$work/replay" fuzz/replay.c

for source in fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    name=${target#fuzz_}
    # shellcheck disable=SC2086
    $CC ${CFLAGS:-} -std=c99 -I. -Itests/lib $mutator -c -o "$work/$target.o" "$source"
    # shellcheck disable=SC2086
    ${CXX:-$CC} ${CXXFLAGS:-${CFLAGS:-}} -o "$OUT/$target" "$work/$target.o" $LIB_FUZZING_ENGINE
    cp fuzz/tun.dict "$OUT/$target.dict"
    mkdir -p "$work/corpus/$name"
    for seeds in "fuzz/seeds/$name.seeds" "$work/seeds/$name"; do # edges are in both, under one name
        "$work/replay" --unpack "$work/corpus/$name" "$seeds"
    done
    rm -f "$OUT/${target}_seed_corpus.zip"
    if command -v zip > /dev/null; then
        (cd "$work/corpus/$name" && zip -q "$OUT/${target}_seed_corpus.zip" ./*)
    else
        (cd "$work/corpus/$name" && python3 -m zipfile -c "$OUT/${target}_seed_corpus.zip" ./*)
    fi
done
rm -rf "$work"
