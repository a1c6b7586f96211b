# shellcheck shell=sh disable=SC2034
# Counting of checks, for the scripts of tests/; sourced from the repository's root.
passed=0 failed=0 skipped=0

ok() { echo "ok $*"; passed=$((passed + 1)); }
fail() { echo "FAIL $*"; failed=$((failed + 1)); }
# skip NAME WHY: could not run; under CI=true a failure.
skip() {
    if [ "${CI:-}" = true ]; then fail "$1: could not run: $2"; else echo "SKIP $1: $2"; skipped=$((skipped + 1)); fi
}

# The last line, and the exit status.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
    exit
}
