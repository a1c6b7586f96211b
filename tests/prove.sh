#!/bin/sh
# The proofs in tests/proofs/. Usage: sh tests/prove.sh BUILD_DIR [--deep] [--only PATTERN] (from the repository's root).
#
# CBMC: each harness has a line
#     PROOF name [deep] [unwind=n] [models=64,32,be] [calls=function:contract,...] [cover=function,...] [objects=n] [checks=no-pointer-overflow]
# in the comment above it; name is its function. calls: replaced by contracts of proof.h (goto-instrument --replace-calls). models: pointers of
# 64 or 32 bits, big-endian. deep: only with --deep. A proof passes if CBMC finds that no check of any kind can fail: bounds, pointers and
# their arithmetic, division, shifts, signed overflow, enough unwindings, and what the harness PROVEs.
# Coverage: of the blocks of the functions under proof (cover=), how many does some execution of the harness reach?
#
# Planted bugs: each of tests/proofs/bugs/*.sed is applied to a copy of the header, and then the proof that it names must fail:
#     # proof: NAME     which one
#     # breaks: REGEX   what fails then (basic regular expression for the violated property)
# A sed script that changes nothing is a failure.
#
# Frama-C: tests/proofs/eva_*.c; see there.
#
# Tools: CBMC 6 or newer and CaDiCaL from PATH, or Debian's of the suite below into BUILD_DIR, by private package lists; frama-c by apt if root.
# What cannot be had is skipped, and a failure under CI=true. Last line: "N passed, N failed, N skipped".
set -u
suite=trixie
seconds=${PROVE_SECONDS:-1500} # for one run of a tool, which takes a few seconds on an idle machine
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [--deep] [--only PATTERN]" >&2; exit 2; }
mkdir -p "$1/prove/bin" || exit 2
build=$(cd "$1" && pwd)/prove; shift
deep=0 only= task=
while [ $# -gt 0 ]; do
    case $1 in
        --deep) deep=1 ;;
        --only) only=$2; shift ;;
        --task) task="$2 $3 $4"; shift 3 ;; # from this script itself
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
PATH=$build/bin:$PATH
checks='--pointer-check --bounds-check --div-by-zero-check --signed-overflow-check --undefined-shift-check --pointer-primitive-check
        --pointer-overflow-check --unwinding-assertions'
flags='-ffreestanding -I tests/proofs'

# ---------------------------------------------------------------------------------------------------------------- one task

# result STATUS NAME MODEL TEXT: the line of one task, for the sum at the end and for who looks on.
result() {
    printf '%-5s %-26s %-6s %s\n' "$@" | tee -a "$build/results"
}

# option KEY: of the PROOF line in $line.
option() { echo "$line" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# compile NAME MODEL INCLUDE_DIR OUT: a goto program of the harness and what it reaches.
compile() {
    file=$(grep -lE "PROOF $1( |$)" tests/proofs/*.c); line=$(grep -hE "PROOF $1( |$)" tests/proofs/*.c)
    case $2 in 32) model=-m32 ;; be) model=-mbig-endian ;; *) model= ;; esac
    gcc -E ${model%-mbig-endian} $flags -I "$3" "$file" -o "$4.i" && goto-cc $model "$4.i" --function "$1" -o "$4" || return 1
    for call in $(option calls | tr , ' '); do goto-instrument --replace-calls "$call" "$4" "$4" || return 1; done
    goto-instrument --drop-unused-functions --slice-global-inits "$4" "$4" || return 1
    run="$4 --unwind $(option unwind | grep . || echo 2)"
    if [ "$(option objects)" ]; then run="$run --object-bits $(option objects)"; fi
    all_checks=$checks
    case $(option checks) in no-pointer-overflow) all_checks=$(echo $checks | sed 's/--pointer-overflow-check//') ;; esac
}

# coverage NAME: "reached/all" blocks of the functions under proof.
coverage() {
    timeout $seconds cbmc $run --cover location --no-standard-checks > "$log.cover" 2>&1
    functions=$(option cover | tr , '|')
    grep -E "\.coverage\.[0-9]+\] .* function ($functions) block " "$log.cover" |
        awk '{ n++ } / SATISFIED$/ { s++ } END { printf "%d/%d blocks", s, n }'
}

do_proof() { # NAME MODEL
    log=$build/log/$1-$2
    start=$(date +%s)
    if ! compile "$1" "$2" . "$log.goto" > "$log" 2>&1; then tail -n 5 "$log"; result FAIL "$1" "$2" "does not compile"; return; fi
    timeout $seconds cbmc $run $all_checks --external-sat-solver cadical > "$log" 2>&1; status=$?
    took=$(($(date +%s) - start))
    count=$(grep -cE '^\[.*: SUCCESS$' "$log")
    if [ $status -eq 0 ] && grep -q '^VERIFICATION SUCCESSFUL' "$log" && [ "$count" -gt 0 ]; then
        covered=
        if [ "$2" = 64 ]; then covered=", $(coverage)"; fi
        case $covered in ", 0/"*) result FAIL "$1" "$2" "proves nothing$covered"; return ;; esac
        result ok "$1" "$2" "$count checks$covered, $took s"
    else
        grep -E ': (FAILURE|ERROR)$' "$log" | head -n 8 || tail -n 3 "$log"
        result FAIL "$1" "$2" "status $status, $(grep -cE ': FAILURE$' "$log") of $(grep -cE '^\[' "$log") checks failed, $took s; see $log"
    fi
}

do_bug() { # BUG -
    name=$(basename "$1" .sed)
    proof=$(sed -n 's/^# proof: //p' "$1"); breaks=$(sed -n 's/^# breaks: //p' "$1")
    log=$build/log/bug-$name dir=$build/bugs/$name
    start=$(date +%s)
    mkdir -p "$dir"
    sed -f "$1" tunoffload.h > "$dir/tunoffload.h"
    if cmp -s tunoffload.h "$dir/tunoffload.h"; then result FAIL "bug: $name" "" "changes nothing any more"; return; fi
    case $proof in
        eva_*) do_eva "tests/proofs/$proof.c" "$dir" > "$log" 2>&1; took=$(($(date +%s) - start))
               if grep -q '^alarm' "$log"; then result ok "bug: $name" "" "found by $proof, $took s"
               else result FAIL "bug: $name" "" "not found by $proof"; fi
               return ;;
    esac
    if ! compile "$proof" 64 "$dir" "$log.goto" > "$log" 2>&1; then tail -n 5 "$log"; result FAIL "bug: $name" "" "does not compile"; return; fi
    timeout $seconds cbmc $run $all_checks --external-sat-solver cadical --stop-on-fail > "$log" 2>&1; status=$?
    took=$(($(date +%s) - start))
    violated=$(sed -n '/^Violated property:/,$p' "$log" | sed -n '3p' | sed 's/^ *//')
    if [ $status -ne 10 ] || [ -z "$violated" ]; then
        result FAIL "bug: $name" "" "not found by $proof (status $status)"
    elif sed -n '/^Violated property:/,$p' "$log" | grep -q "$breaks"; then
        result ok "bug: $name" "" "found by $proof, $took s: $violated"
    else
        result FAIL "bug: $name" "" "$proof fails for another reason: $violated"
    fi
}

# do_eva FILE INCLUDE_DIR: prints "alarm ..." for whatever is not certain.
do_eva() {
    log=$build/log/$(basename "$1")-$(basename "$2").eva
    options=$(sed -n 's/^ *EVA //p' "$1")
    timeout $seconds frama-c -cpp-extra-args="-I$2 -I$(frama-c -print-share-path)/libc" -eva $options "$1" > "$log" 2>&1 ||
        echo "alarm: status $?"
    grep -E 'alarm|unknown|Unknown|invalid' "$log" | grep -vE '^ *0 alarms|valid +0 unknown +0 invalid|No errors or warnings' | sed 's/^/alarm: /'
    grep -qE '^ *0 alarms generated' "$log" || echo "alarm: no clean summary"
}

do_eva_proof() { # FILE -
    name=$(basename "$1" .c)
    start=$(date +%s)
    found=$(do_eva "$1" .); took=$(($(date +%s) - start))
    if [ -z "$found" ]; then
        result ok "$name" 64 "0 alarms, 0 unknown; $(sed -n 's/^ *\([0-9]* statements reached\).*/\1/p; s/.*Coverage estimation:.*//p' \
            "$build/log/$name.c-..eva" | head -n 1), $took s"
    else
        echo "$found" | head -n 8; result FAIL "$name" 64 "alarms, $took s"
    fi
}

if [ "$task" ]; then set -- $task; "do_$1" "$2" "$3"; exit 0; fi

# ------------------------------------------------------------------------------------------------------------------- tools

passed=0 failed=0 skipped=0
skip() { if [ "${CI:-}" = true ]; then echo "FAIL $1: could not run: $2"; failed=$((failed + 1)); else echo "SKIP $1: $2"; skipped=$((skipped + 1)); fi; }

has_cbmc() {
    for tool in cbmc goto-cc goto-instrument cadical; do command -v $tool > /dev/null || return 1; done
    [ "$(cbmc --version | cut -d. -f1)" -ge 6 ] 2> /dev/null
}

# The suite's packages, unpacked, with their own libc. The system's package lists are not touched.
fetch_cbmc() {
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | sed 's/#.*//' |
        grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')}
    work=$build/suite root=$build/suite/root
    why="not an amd64 Debian with apt"
    [ "$(uname -m)" = x86_64 ] && command -v apt-get > /dev/null && [ -r $keyring ] && [ "$mirror" ] || return 1
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" > "$work/sources.list"
    apt="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$work/lists -o Dir::Cache=$work/cache
         -o APT::Sandbox::User= -o APT::Update::Error-Mode=any -o APT::Architecture=amd64 -o Acquire::Languages=none"
    why="cannot be downloaded"
    apt-get $apt update > "$work/apt.log" 2>&1 || return 1
    (cd "$work" && apt-get $apt download cbmc minisat cadical libc6 libstdc++6 libgcc-s1) >> "$work/apt.log" 2>&1 || return 1
    for deb in "$work"/*.deb; do dpkg -x "$deb" "$root" || return 1; done
    libs=$root/usr/lib/x86_64-linux-gnu
    for tool in cbmc goto-cc goto-instrument cadical; do
        printf '#!/bin/sh\nexec %s --library-path %s:%s %s "$@"\n' "$libs/ld-linux-x86-64.so.2" "$root/usr/lib" "$libs" "$root/usr/bin/$tool" \
            > "$build/bin/$tool"
        chmod +x "$build/bin/$tool"
    done
    rm -rf "$work"/*.deb "$work/cache"
    why="does not run"
    has_cbmc
}

rm -rf "$build/log" "$build/bugs" "$build/results"
mkdir -p "$build/log"; : > "$build/results"; : > "$build/tasks"
wanted() { case $1 in *$only*) return 0 ;; *) return 1 ;; esac; }

cbmc=1 eva=1
has_cbmc || fetch_cbmc || { cbmc=0; skip "CBMC proofs" "CBMC $why"; }
if ! command -v frama-c > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends frama-c-base) > "$build/log/apt" 2>&1
    fi
    command -v frama-c > /dev/null || { eva=0; skip "Frama-C proofs" "frama-c is not installed"; }
fi
if [ $cbmc = 1 ]; then echo "CBMC $(cbmc --version), CaDiCaL $(cadical --version)"; fi
if [ $eva = 1 ]; then echo "Frama-C $(frama-c -version)"; fi

# ------------------------------------------------------------------------------------------------------------------- tasks

if [ $cbmc = 1 ]; then
    grep -hE 'PROOF [a-z]' tests/proofs/*.c | sed 's/.*PROOF //; s, *\*/,,' > "$build/proofs"
    while read -r name line; do
        case " $line " in *" deep "*) [ $deep = 1 ] || continue ;; esac
        wanted "$name" || continue
        for model in $(option models | tr , ' '); do echo "proof $name $model"; done
        if [ $deep = 1 ]; then for model in $(option deep_models | tr , ' '); do echo "proof $name $model"; done; fi
    done < "$build/proofs" >> "$build/tasks"
fi
for file in tests/proofs/eva_*.c; do [ $eva = 1 ] && wanted "$(basename "$file")" && echo "eva_proof $file -"; done >> "$build/tasks"
for file in tests/proofs/bugs/*.sed; do
    proof=$(sed -n 's/^# proof: //p' "$file")
    case $proof in eva_*) [ $eva = 1 ] || continue ;; *) [ $cbmc = 1 ] || continue ;; esac
    if [ $deep = 0 ] && grep -hE "PROOF $proof " tests/proofs/*.c | grep -q ' deep '; then continue; fi
    wanted "$proof" || wanted "$file" || continue
    echo "bug $file -"
done >> "$build/tasks"

start=$(date +%s)
xargs -L 1 -P 2 sh "$0" "$build/.." --task < "$build/tasks"
passed=$(grep -c '^ok ' "$build/results")
failed=$((failed + $(wc -l < "$build/tasks") - passed))
echo "$(grep -cv 'bug:' "$build/results") proofs, $(grep -c 'bug:' "$build/results") planted bugs, $(($(date +%s) - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
