# shellcheck shell=sh disable=SC2034
# The counts of checks: the one place of the shell scripts that prints and reads the last line of whatever checks something,
# "N passed, N failed, N skipped" (of C programs: counts.h). For sh and bash; sourced from the repository's root.
passed=0 failed=0 skipped=0

ok() { echo "ok $*"; passed=$((passed + 1)); }
fail() { echo "FAIL $*"; failed=$((failed + 1)); }
# skip NAME WHY: could not run; under CI=true a failure.
skip() {
    if [ "${CI:-}" = true ]; then fail "$1: could not run: $2"; else echo "SKIP $1: $2"; skipped=$((skipped + 1)); fi
}

# add PASSED FAILED SKIPPED
add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# counts_line PASSED FAILED SKIPPED: in words.
counts_line() { echo "$1 passed, $2 failed, $3 skipped"; }

# all_counts_of LOG: "PASSED FAILED SKIPPED" of each of the lines in it. counts_of LOG: of the last; status 1 if there is none.
all_counts_of() { sed -n 's/^\([0-9]\{1,9\}\) passed, \([0-9]\{1,9\}\) failed, \([0-9]\{1,9\}\) skipped$/\1 \2 \3/p' "$1"; }
counts_of() { all_counts_of "$1" | tail -n 1 | grep .; }

# add_program NAME LOG STATUS: adds the counts of a program, says them, and shows what failed or was skipped. A program without counts has
# failed, and so has one whose status says so while its counts do not.
add_program() {
    if ! program_counts=$(counts_of "$2"); then
        grep -E 'runtime error|ERROR|WARNING|SUMMARY|error:|violated' "$2" | head -n 12
        tail -n 40 "$2"; fail "$1: ended with status $3 and without counts"
        return
    fi
    program_name=$1 program_log=$2 program_status=$3
    # shellcheck disable=SC2086 # three words
    set -- $program_counts
    echo "$program_name: $(counts_line "$@")"
    add "$@"
    if [ "$2" -ne 0 ] || [ "$3" -ne 0 ]; then grep -E '^(FAIL|SKIP|  )|:[0-9]+:|FAILED|ERROR|runtime error' "$program_log" | head -n 60; fi
    if [ "$2" -eq 0 ] && [ "$program_status" -ne 0 ]; then tail -n 40 "$program_log"; fail "$program_name: status $program_status"; fi
}

# The last line, and the exit status.
finish() {
    counts_line "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}
