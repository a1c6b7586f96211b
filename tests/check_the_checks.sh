#!/bin/sh
# Does each check see what it is there for? Usage: check_the_checks.sh BUILD_DIR [PATTERN...], from the repository's root.
# tests/planted/*.patch are bugs, one each. First line: `# caught by: COMMAND`, run in a copy of the tree. It must succeed there without the
# bug, and fail with it; a patch that no longer applies is a failure, too. Exit status 77 of a command: it could not run here (skipped,
# under CI=true a failure).
set -u
build=$1/planted; shift
passed=0 failed=0 skipped=0
rm -rf "$build"; mkdir -p "$build/tree"
git ls-files -co --exclude-standard | tar cf - -T - | tar xf - -C "$build/tree"

pass() { echo "ok $1"; passed=$((passed + 1)); }
fail() { echo "FAIL $1"; failed=$((failed + 1)); }
skip() { if [ "${CI:-}" = true ]; then fail "$1: could not run"; else echo "SKIP $1: could not run"; skipped=$((skipped + 1)); fi; }
in_tree() { (cd "$build/tree" && exec sh -c "$1") > "$build/log" 2>&1; }

# sound COMMAND: succeeds without any bug. Each command is asked once; the answer is 0, 1 or 77.
sound() {
    key=$(printf '%s' "$1" | cksum | cut -d' ' -f1)
    if [ ! -e "$build/$key" ]; then
        in_tree "$1"; status=$?
        case $status in 0 | 77) ;; *) status=1; cp "$build/log" "$build/$key.log" ;; esac
        echo $status > "$build/$key"
    fi
    return "$(cat "$build/$key")"
}

for patch in tests/planted/*.patch; do
    name=$(basename "$patch" .patch) wanted=$([ $# -eq 0 ] && echo yes)
    for pattern; do case $name in *$pattern*) wanted=yes ;; esac; done
    [ "$wanted" ] || continue
    started=$(date +%s)
    command=$(sed -n '1s/^# caught by: //p' "$patch")
    if [ -z "$command" ]; then fail "$name: no command"; continue; fi
    sound "$command"; status=$?
    if [ $status -eq 77 ]; then skip "$name"; continue; fi
    if [ $status -ne 0 ]; then fail "$name: fails without the bug: $command"; tail -n 5 "$build/$key.log"; continue; fi
    if ! patch -s -p1 -d "$build/tree" < "$patch" > "$build/log" 2>&1; then fail "$name: does not apply"; cat "$build/log"; continue; fi
    if in_tree "$command"; then fail "$name: not caught by: $command"; else pass "$name is caught, $(($(date +%s) - started)) s"; fi
    patch -s -R -p1 -d "$build/tree" < "$patch"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
