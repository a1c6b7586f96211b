#!/bin/sh
# Compiles every code example of README.md (```c blocks) and of the manual in the header, and checks that the header's contents list and
# its section tags agree. Usage: docs_test.sh BUILD_DIR REPOSITORY; CC from the environment.
set -u
build=$1 repository=$2
cc=${CC:-cc}
passed=0 failed=0
flags="-std=c99 -D_DEFAULT_SOURCE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I$repository"
rm -rf "$build"; mkdir -p "$build"

result() { # NAME STATUS
    if [ "$2" -eq 0 ]; then echo "ok $1"; passed=$((passed + 1)); else echo "FAIL $1"; failed=$((failed + 1)); fi
}

awk -v dir="$build" '
    /^```c$/ { n++; file = dir "/readme_" n ".c"; next }
    /^```$/ { if (file) close(file); file = ""; next }
    file { print > file }' "$repository/README.md"
awk -v dir="$build" '
    /^ *\/\/ --- example / { file = dir "/" $4; next }
    /^ *\/\/ --- end/ { close(file); file = ""; next }
    file { sub(/^       /, ""); print > file }' "$repository/tunoffload.h"

count=0
for source in "$build"/*.c; do
    [ -e "$source" ] || continue
    count=$((count + 1))
    # shellcheck disable=SC2086
    $cc $flags -c -o "$build/example.o" "$source" 2> "$build/log"; status=$?
    [ $status -eq 0 ] || sed 's/^/  /' "$build/log"
    result "$(basename "$source") compiles" $status
    if grep -q 'int main(' "$source"; then
        $cc $flags -o "$build/example" "$source" 2>> "$build/log" && "$build/example" > "$build/out" 2>&1; status=$?
        [ $status -eq 0 ] || sed 's/^/  /' "$build/out"
        result "$(basename "$source") runs" $status
    fi
done
[ $count -ge 6 ]; result "at least 6 examples found (found $count)" $?

# The README's table is the header's list.
cat > "$build/table.c" <<'TABLE'
#include "tunoffload.h"
#include <stdio.h>
int main(void) {
#define ROW(name, text, source) printf("| `%s` | %s | %s |\n", #name, text, source);
    TUO_VERDICTS(ROW)
    return 0;
}
TABLE
$cc $flags -o "$build/table" "$build/table.c" && "$build/table" > "$build/table.want"
grep '^| `[A-Z]' "$repository/README.md" | cmp - "$build/table.want"; result "behaviour table of README.md is that of the header" $?

# Its figures are those of the committed measurements.
for name in micro e2e tunnel; do
    awk -v name="$name" '/^<!-- end -->/ { inside = 0 } inside { print } index($0, "<!-- " name ":") == 1 { inside = 1 }' \
        "$repository/README.md" > "$build/$name.have"
    sh "$repository/tests/bench/table.sh" "$repository/tests/bench/results/$name.csv" | cmp - "$build/$name.have"
    result "$name table of README.md is that of tests/bench/results/$name.csv" $?
done

sed -n 's/^       >>\([a-z0-9-]*\) .*/\1/p' "$repository/tunoffload.h" > "$build/contents"
sed -n 's/^\/\* -* >>\([a-z0-9-]*\).*/\1/p' "$repository/tunoffload.h" > "$build/sections"
cmp "$build/contents" "$build/sections"; result "contents list and sections agree, in order" $?
! LC_ALL=C grep -n '[^ -~]' "$repository/tunoffload.h"; result "header is ASCII without tabs" $?

# The compile matrix asks for every public function of the core, by this list.
sed '/^#ifdef TUNOFFLOAD_TUN$/q' "$repository/tunoffload.h" | sed -n 's/^TUO_API [^(]*[ *]\(tuo_[a-z0-9_]*\)(.*/\1/p' > "$build/declared"
grep -o 'X(tuo_[a-z0-9_]*)' "$repository/tests/checks/compile/use_all.h" | sed 's/X(\(.*\))/\1/' > "$build/used"
cmp "$build/declared" "$build/used" && [ "$(wc -l < "$build/declared")" -gt 60 ]
result "tests/checks/compile/use_all.h names every public function, in order" $?

# Sections call only upward: a function is named, outside comments and strings, in no section above the one that has its body.
sed -n '/^\/\* -* >>platform \*\/$/,$p' "$repository/tunoffload.h" | awk '
    /^\/\* -* >>[a-z0-9-]* *(\*\/)?$/ { section++; match($0, />>[a-z0-9-]*/); names[section] = substr($0, RSTART, RLENGTH) }
    {
        line = $0
        gsub(/"([^"\\]|\\.)*"/, "", line)
        text = ""
        while (line != "") {
            if (inside) { at = index(line, "*/"); if (!at) break; line = substr(line, at + 2); inside = 0 }
            at = index(line, "/*")
            if (!at) { text = text line; break }
            text = text substr(line, 1, at - 1); line = substr(line, at + 2); inside = 1
        }
        if (text ~ /^[A-Za-z]/ && match(text, /tuoi?_[a-z0-9_]*\(/)) { head = substr(text, RSTART, RLENGTH - 1) }
        if (head != "" && text ~ /(\{|\})$/) { if (!(head in body)) body[head] = section; head = "" }
        if (text ~ /;$/) head = ""
        while (match(text, /tuoi?_[a-z0-9_]+\(/)) {
            name = substr(text, RSTART, RLENGTH - 1)
            if (!((name, section) in used)) { used[name, section] = NR; uses[++count] = name SUBSEP section }
            text = substr(text, RSTART + RLENGTH)
        }
    }
    END {
        for (i = 1; i <= count; i++) {
            split(uses[i], use, SUBSEP)
            if (use[1] in body && body[use[1]] > use[2]) { print "  " names[use[2]] " calls " use[1] " of " names[body[use[1]]]; bad++ }
        }
        for (name in body) functions++
        print functions + 0 " functions in " section + 0 " sections"
        exit bad || functions < 300 || section < 15
    }' > "$build/upward"; status=$?
cat "$build/upward"; result "sections call only upward" $status

echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
