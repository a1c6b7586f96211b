#!/bin/sh
# The proofs in tests/proofs/. Usage: sh tests/proofs/prove.sh BUILD_DIR [--quick|--deep] [--only PATTERN] (from the repository's root).
#
# CBMC: each harness has a line
#     PROOF name [deep|slow] [unwind=n] [models=64,32,be] [calls=function:contract,...] [cover=function,...] [objects=n]
# at the end of the comment above it, perhaps on several lines; name is its function. calls: replaced by contracts, of proof.h or the same
# file (goto-instrument --replace-calls). models: pointers of 64 or 32 bits, big-endian. deep: only with --deep; slow: not with --quick. A proof passes if CBMC finds
# that no check of any kind can fail: bounds, pointers and their arithmetic, division, shifts, signed overflow, enough unwindings, and what the
# harness PROVEs.
# quick: on 64 bits, the parser also big-endian; without coverage and planted bugs, which are half of the time.
# Coverage: of the blocks of the functions under proof (cover=), how many does some execution of the harness reach?
#
# Planted bugs: each of tests/proofs/bugs/*.sed is applied to a copy of the header, and then the proofs that it names must fail:
#     # proof: NAME...  which ones
#     # breaks: REGEX   what fails then (basic regular expression for the violated property)
# A sed script that changes nothing is a failure, and so is a proof without a planted bug.
#
# Frama-C: tests/proofs/eva_*.c; see there.
#
# Tools: CBMC 6 or newer and CaDiCaL from PATH, or Debian's of the suite below into BUILD_DIR, by private package lists; frama-c by apt if root.
# What cannot be had is skipped, and a failure under CI=true. Last line: "N passed, N failed, N skipped".
set -u
suite=trixie
seconds=${PROVE_SECONDS:-1500} # for one run of a tool, which takes a few seconds on an idle machine
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [--quick|--deep] [--only PATTERN]" >&2; exit 2; }
mkdir -p "$1/prove/bin" || exit 2
build=$(cd "$1" && pwd)/prove; shift
deep=0 quick=${PROVE_QUICK:-0} only='' task=''
while [ $# -gt 0 ]; do
    case $1 in
        --deep) deep=1 ;;
        --quick) quick=1; export PROVE_QUICK=1 ;;
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

# The PROOF lines, each on one line; a list may be broken behind a comma.
proof_lines() {
    awk '/PROOF [a-z]/ { on = 1; sub(/.*PROOF /, "") }
         on { end = sub(/ *\*\/.*/, ""); sub(/^ */, ""); text = text (text ~ /,$/ || text == "" ? "" : " ") $0 }
         on && end { print text; text = ""; on = 0 }' tests/proofs/*.c
}

# option KEY: of the PROOF line in $line.
option() { echo "$line" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# compile NAME MODEL INCLUDE_DIR OUT: a goto program of the harness and what it reaches.
compile() {
    file=$(grep -lE "PROOF $1( |$)" tests/proofs/*.c); line=$(proof_lines | grep -E "^$1 ")
    case $2 in 32) model=-m32 ;; be) model=-mbig-endian ;; *) model= ;; esac
    gcc -E ${model%-mbig-endian} $flags -I "$3" "$file" -o "$4.i" && goto-cc $model "$4.i" --function "$1" -o "$4" || return 1
    for call in $(option calls | tr , ' '); do goto-instrument --replace-calls "$call" "$4" "$4" || return 1; done
    goto-instrument --drop-unused-functions --slice-global-inits "$4" "$4" || return 1
    run="$4 --unwind $(option unwind | grep . || echo 2)"
    if [ "$(option objects)" ]; then run="$run --object-bits $(option objects)"; fi
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
    timeout $seconds cbmc $run $checks --external-sat-solver cadical > "$log" 2>&1; status=$?
    took=$(($(date +%s) - start))
    count=$(grep -cE '^\[.*: SUCCESS$' "$log")
    if [ $status -eq 0 ] && grep -q '^VERIFICATION SUCCESSFUL' "$log" && [ "$count" -gt 0 ]; then
        covered=
        if [ "$2" = 64 ] && [ $quick = 0 ]; then covered=", $(coverage)"; fi
        case $covered in ", 0/"*) result FAIL "$1" "$2" "proves nothing$covered"; return ;; esac
        result ok "$1" "$2" "$count checks$covered, $took s"
    else
        grep -E ': (FAILURE|ERROR)$' "$log" | head -n 8
        if [ $status -ne 10 ]; then tail -n 3 "$log"; fi
        result FAIL "$1" "$2" "status $status, $(grep -cE ': FAILURE$' "$log") of $(grep -cE '^\[' "$log") checks failed, $took s; see $log"
    fi
}

do_bug() { # BUG PROOF
    name=$(basename "$1" .sed) proof=$2 breaks=$(sed -n 's/^# breaks: //p' "$1")
    log=$build/log/bug-$name-$proof dir=$build/bugs/$name-$proof
    start=$(date +%s)
    mkdir -p "$dir"
    sed -f "$1" tunoffload.h > "$dir/tunoffload.h"
    if cmp -s tunoffload.h "$dir/tunoffload.h"; then result FAIL "bug: $name" "" "changes nothing any more"; return; fi
    case $proof in
        eva_*) found=$(do_eva "tests/proofs/$proof.c" "$dir" -eva-stop-at-nth-alarm 1); took=$(($(date +%s) - start))
               violated=$(printf '%s\n' "$found" | grep "$breaks" | head -n 1)
               if [ "$violated" ]; then result ok "bug: $name" "" "found by $proof, $took s: ${violated#alarm: }"
               else printf '%s\n' "$found" | head -n 4; result FAIL "bug: $name" "" "not found by $proof"; fi
               return ;;
    esac
    if ! compile "$proof" 64 "$dir" "$log.goto" > "$log" 2>&1; then tail -n 5 "$log"; result FAIL "bug: $name" "" "does not compile"; return; fi
    timeout $seconds cbmc $run $checks --external-sat-solver cadical --stop-on-fail > "$log" 2>&1; status=$?
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

# do_eva FILE INCLUDE_DIR OPTION...: prints "alarm: ..." for whatever is not certain. Frama-C looks for headers in the current directory first.
do_eva() {
    eva_file=$(pwd)/$1 eva_dir=$2 eva_log=$build/log/$(basename "$1" .c)-$(basename "$2").eva
    shift 2
    options=$(sed -n 's/ *\*\/$//; s/^ *EVA //p' "$eva_file")
    (cd "$eva_dir" && timeout $seconds frama-c -cpp-extra-args="-I$(frama-c -print-share-path)/libc" -eva $options "$@" "$eva_file") \
        > "$eva_log" 2>&1 || echo "alarm: status $?"
    sed -n '/^\[eva:alarm\]/,/assert/p; /[Uu]nknown\|[Ii]nvalid/p' "$eva_log" |
        grep -vE ' 0 unknown +0 invalid|specification for function Frama_C_make_unknown' | sed 's/^ */alarm: /'
    grep -qE '^ *0 alarms generated' "$eva_log" || echo "alarm: no clean summary"
}

do_eva_proof() { # FILE -
    name=$(basename "$1" .c)
    start=$(date +%s)
    found=$(do_eva "$1" .); took=$(($(date +%s) - start))
    if [ -z "$found" ]; then
        covered=$(sed -n 's/^ *In these functions, \([0-9]*\) statements reached (out of \([0-9]*\)).*/\1\/\2 statements/p' \
            "$build/log/$name-..eva")
        result ok "$name" 64 "0 alarms, 0 unknown; ${covered:-coverage not printed}, $took s"
    else
        printf '%s\n' "$found" | head -n 8; result FAIL "$name" 64 "alarms, $took s"
    fi
}

if [ "$task" ]; then set -- $task; "do_$1" "$2" "$3"; exit 0; fi

# ------------------------------------------------------------------------------------------------------------------- tools

. tests/lib/counts.sh

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

proof_lines > "$build/proofs"
deep_proofs=" $(sed -n 's/^\([a-z0-9_]*\) deep .*/\1/p' "$build/proofs" | tr '\n' ' ')"
slow_proofs=" $(sed -n 's/^\([a-z0-9_]*\) slow .*/\1/p' "$build/proofs" | tr '\n' ' ')"
planted=" $(sed -n 's/^# proof: //p' tests/proofs/bugs/*.sed | tr '\n' ' ')"

# runs PROOF: is it one of this run?
runs() {
    case $1 in eva_*) [ $eva = 1 ] ;; *) [ $cbmc = 1 ] ;; esac || return 1
    case $quick,$slow_proofs in 1,*" $1 "*) return 1 ;; esac
    case $deep_proofs in *" $1 "*) [ $deep = 1 ] ;; esac
}

while read -r name line; do
    case $planted in *" $name "*) ;; *) fail "$name: no bug is planted for it" ;; esac
    runs "$name" && wanted "$name" || continue
    models=$(option models | tr , ' ')
    case $quick,$name in 1,parse*) models=$(echo $models | sed 's/ 32\b//') ;; 1,*) models=${models%% *} ;; esac
    for model in $models; do echo "proof $name $model" >> "$build/tasks"; done
done < "$build/proofs"
for file in tests/proofs/eva_*.c; do
    name=$(basename "$file" .c)
    case $planted in *" $name "*) ;; *) fail "$name: no bug is planted for it" ;; esac
    if runs "$name" && wanted "$name"; then echo "eva_proof $file -" >> "$build/tasks"; fi
done
for file in tests/proofs/bugs/*.sed; do
    [ $quick = 0 ] || break
    for proof in $(sed -n 's/^# proof: //p' "$file"); do
        runs "$proof" || continue
        wanted "$proof" || wanted "$file" || continue
        echo "bug $file $proof"
    done
done >> "$build/tasks"

start=$(date +%s)
xargs -r -L 1 -P 2 sh "$0" "$build/.." --task < "$build/tasks"
proven=$(grep -c '^ok ' "$build/results")
add "$proven" $(($(wc -l < "$build/tasks") - proven)) 0
echo "$(grep -cv 'bug:' "$build/results") proofs, $(grep -c 'bug:' "$build/results") planted bugs, $(($(date +%s) - start)) s"
finish
