# shellcheck shell=bash
# Steps with counts, for .ci/run and .ci/nightly; sourced from the repository's root, by bash. A step is a command whose last line is
# "N passed, N failed, N skipped"; what it prints is shown when it has ended, and kept in build/log/NAME.log.
. tests/lib/counts.sh
mkdir -p build/log build/steps || exit 2

# step NAME COMMAND...: counts its summary. A step without one, or one that fails without a count of it, is a failure.
step() {
    local name=$1 log=build/log/$1.log started=$SECONDS status p=0 f=0 s=0 note=
    shift
    timed "$name" "$@"; status=$?
    if read -r p f s < <(counts_of "$log"); then
        if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1 note="FAIL $name: ended with status $status"; fi
    else
        p=0 f=1 s=0 note="FAIL $name: ended with status $status and without counts"
    fi
    result "$name" "$p" "$f" "$s" "$((SECONDS - started))" "$log" "$note"
}

# check NAME COMMAND...: the same of a command without counts: one check, passed if the status is 0.
check() {
    local name=$1 log=build/log/$1.log started=$SECONDS
    shift
    if timed "$name" "$@"; then result "$name" 1 0 0 "$((SECONDS - started))" "$log" ""
    else result "$name" 0 1 0 "$((SECONDS - started))" "$log" "FAIL $name"; fi
}

# timed NAME COMMAND...: with its output in the log, and its processor seconds in build/steps/.NAME.
timed() {
    local name=$1 TIMEFORMAT='%U %S'
    shift
    { time "$@" > "build/log/$name.log" 2>&1 < /dev/null; } 2> "build/steps/.$name"
}

# result NAME PASSED FAILED SKIPPED SECONDS LOG NOTE: whole, also where several steps run at a time.
result() {
    echo "$2 $3 $4 $5" > "build/steps/$1"
    {
        flock 9
        echo "==== $1: $(counts_line "$2" "$3" "$4"), $5 s"
        if [ "$3" -gt 0 ] || [ "$4" -gt 0 ]; then tail -n 400 "$6"; else tail -n 40 "$6"; fi
        if [ -n "$7" ]; then echo "$7"; fi
    } 9> build/steps.lock
}

# summary: what failed or was skipped, at the end, where it is seen; then the sum. 1 if anything failed.
summary() {
    local passed=0 failed=0 skipped=0 name p f s t cpu
    echo "==== seconds of each step, those of processors, and what failed or could not run"
    for name in build/steps/*; do
        read -r p f s t < "$name"
        add "$p" "$f" "$s"
        cpu=$(awk '{ printf "%d", $1 + $2 }' "build/steps/.${name##*/}" 2> /dev/null)
        printf '%5d s %5d s  %s: %s\n' "$t" "${cpu:-0}" "${name##*/}" "$(counts_line "$p" "$f" "$s")"
        if [ "$f" -gt 0 ] || [ "$s" -gt 0 ]; then
            grep -E '^(FAIL|SKIP)|[:.][0-9]+: .*(not true|is .*expected)|ERROR: |runtime error|\*\*\*' "build/log/${name##*/}.log" | head -n 20
        fi
    done
    counts_line "$passed" "$failed" "$skipped"
    [ $failed -eq 0 ]
}
