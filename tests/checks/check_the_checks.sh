#!/bin/sh
# Does each check see what it is there for? Usage: check_the_checks.sh BUILD_DIR [PATTERN...], from the repository's root.
# tests/checks/planted/*.patch are bugs, one each. First line: `# caught by: COMMAND`, run in a copy of the tree. It must succeed there without the
# bug, and fail with it; a patch that no longer applies is a failure, too. Exit status 77 of a command: it could not run here (skipped,
# under CI=true a failure). Two at a time, each in a copy of the tree.
set -u

# --------------------------------------------------------------------------------------------------------------- one patch

result() { echo "$*" | tee -a "$build/results"; }
skip() { if [ "${CI:-}" = true ]; then result "FAIL $1: could not run"; else result "SKIP $1: could not run"; fi; }
in_tree() { (cd "$tree" && exec sh -c "$1") > "$tree.log" 2>&1; }

# sound COMMAND: succeeds without any bug. Each command is asked once, or twice at the same time; the answer is 0, 1 or 77.
sound() {
    key=$(printf '%s' "$1" | cksum | cut -d' ' -f1)
    if [ ! -e "$build/$key" ]; then
        in_tree "$1"; status=$?
        case $status in 0 | 77) ;; *) status=1; cp "$tree.log" "$build/$key.log" ;; esac
        echo $status > "$build/$key.$$" && mv "$build/$key.$$" "$build/$key"
    fi
    return "$(cat "$build/$key")"
}

try() {
    patch=$1 name=$(basename "$1" .patch) started=$(date +%s)
    command=$(sed -n '1s/^# caught by: //p' "$patch")
    if [ -z "$command" ]; then result "FAIL $name: no command"; return; fi
    sound "$command"; status=$?
    if [ $status -eq 77 ]; then skip "$name"; return; fi
    if [ $status -ne 0 ]; then tail -n 5 "$build/$key.log"; result "FAIL $name: fails without the bug: $command"; return; fi
    if ! patch -s -p1 -d "$tree" < "$patch" > "$tree.log" 2>&1; then cat "$tree.log"; result "FAIL $name: does not apply"; return; fi
    if in_tree "$command"; then result "FAIL $name: not caught by: $command"
    else result "ok $name is caught, $(($(date +%s) - started)) s"; fi
    patch -s -R -p1 -d "$tree" < "$patch"
}

if [ "$1" = --one ]; then # from below: in whichever of the two trees is free
    build=$2
    for tree in "$build/tree.1" "$build/tree.2"; do
        if mkdir "$tree.busy" 2> /dev/null; then try "$3"; rmdir "$tree.busy"; exit 0; fi
    done
    result "FAIL $3: no tree is free"; exit 0
fi

# --------------------------------------------------------------------------------------------------------------- all of them

build=$1/planted; shift
. tests/lib/counts.sh
rm -rf "$build"; mkdir -p "$build/tree.1" "$build/tree.2"
git ls-files -co --exclude-standard > "$build/files"
for tree in "$build/tree.1" "$build/tree.2"; do tar cf - -T "$build/files" | tar xf - -C "$tree"; done
: > "$build/results"
for patch in tests/checks/planted/*.patch; do
    wanted=$([ $# -eq 0 ] && echo yes)
    for pattern; do case $(basename "$patch") in *$pattern*) wanted=yes ;; esac; done
    if [ "$wanted" ]; then echo "$patch"; fi
done > "$build/list"
[ -s "$build/list" ] || { fail "no such patch in tests/checks/planted: $*"; finish; }
xargs -L 1 -P 2 sh "$0" --one "$build" < "$build/list"

passed=$(grep -c '^ok ' "$build/results") skipped=$(grep -c '^SKIP ' "$build/results")
failed=$(($(wc -l < "$build/list") - passed - skipped))
finish
