#!/bin/sh
# The pages. README.md: at most 200 lines, sentences of at most 25 words, code that is literally in a program of examples/ (which
# tests/examples/test_examples.c and the tests of the tunnels run). Examples: at most 100 lines, no warning by gcc and clang. The manual in
# the header: its examples compile and run, its list of contents is that of the sections. Tables and pictures: those of the committed figures.
# Usage: docs_test.sh BUILD_DIR REPOSITORY; CC from the environment.
set -u
build=$1 repository=$2
cc=${CC:-cc}
passed=0 failed=0 skipped=0
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
flags="-std=c99 -D_DEFAULT_SOURCE $warnings -I$repository"
rm -rf "$build"; mkdir -p "$build"

result() { # NAME STATUS
    if [ "$2" -eq 0 ]; then echo "ok $1"; passed=$((passed + 1)); else echo "FAIL $1"; failed=$((failed + 1)); fi
}

# --- README.md ---

readme=$repository/README.md
lines=$(wc -l < "$readme")
[ "$lines" -le 200 ]; result "README.md has at most 200 lines ($lines)" $?

# Each block of code is in the program whose name was last said, but for the space in front of its lines. A line /* ... */ stands for what
# is left out.
awk -v repository="$repository" '
    function bare(line) { sub(/^ +/, "", line); return line }
    function text_of(name,    text, line) {
        text = "\n"
        while ((getline line < (repository "/" name)) > 0) text = text bare(line) "\n"
        close(repository "/" name)
        return text
    }
    function look() {
        if (!index(text_of(program), "\n" part)) { print "  line " NR ": this is not in " program ":"; print part; bad++ }
        parts++; part = ""
    }
    inside && /^```$/ { look(); inside = 0; next }
    inside && $0 == "/* ... */" { look(); next }
    inside { part = part bare($0) "\n"; next }
    /^```/ { inside = 1; if ($0 != "```c" || program == "") { print "  line " NR ": code of what?"; bad++ } }
    { while (match($0, /examples\/[a-z_]*\.cc?/)) { program = substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH) } }
    END { print "  " parts + 0 " parts of programs"; exit bad || parts < 4 }' "$readme"
result "the code of README.md is that of the examples" $?

# Prose: what is no code, table, picture or heading. A line is a sentence, or a point of a list.
awk '
    /^```/ { code = !code; next }
    /^<picture>/ { picture = 1 }
    picture { if (/<\/picture>/) picture = 0; next }
    code || /^    / || /^[|#<]/ || /^$/ { next }
    {
        line = $0
        sub(/^- /, "", line)
        gsub(/\]\([^)]*\)/, "]", line)
        if (line ~ /[.?!] +[A-Z`]/) { print "  line " NR ": more than one sentence: " line; bad++ }
        words = split(line, word, / +/)
        if (words > most) { most = words; longest = line }
        if (words > 25) { print "  line " NR ": " words " words: " line; bad++ }
        gsub(/`[^`]*`/, "", line)
        if (gsub(/[;:]( |$)/, "", line) > 1) { print "  line " NR ": more than one colon or semicolon"; bad++ }
        sentences++
    }
    END { print "  " sentences " sentences; the longest has " most " words: " longest; exit bad || sentences < 20 }' "$readme"
result "sentences of README.md have at most 25 words" $?

# --- the examples ---

for name in write_gro read_gso own_buffers adopt_fd packet_socket tunnel; do
    source=$repository/examples/$name.c
    [ "$(wc -l < "$source")" -le 100 ] && [ "$(awk 'length > 120' "$source" | wc -l)" -eq 0 ]
    result "$name.c has at most 100 lines of 120 columns" $?
    for compiler in gcc clang; do
        if command -v $compiler > /dev/null; then
            # shellcheck disable=SC2086
            $compiler -std=c99 $warnings "-I$repository" -fsyntax-only "$source"; result "$name.c, $compiler: no warning" $?
        fi
    done
done
# The change to a daemon in examples/README.md: what was and what becomes of it.
for side in - +; do
    {
        echo '#define TUNOFFLOAD_TUN
#include "tunoffload.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
void daemon_loop(int tun_fd, int udp_fd), fail(const char *what), send_to_peer(int fd, const void *bytes, size_t len);
ssize_t receive_from_peer(int fd, void *bytes, size_t len);
int run_timers(void);'
        awk -v side="$side" '/^```$/ { inside = 0 } inside && (/^ / || index($0, side) == 1) { print substr($0, 2) } /^```diff$/ { inside = 1 }' \
            "$repository/examples/README.md"
    } > "$build/daemon.c"
    # shellcheck disable=SC2086
    grep -q tun_fd "$build/daemon.c" && $cc $flags -fsyntax-only "$build/daemon.c"; result "the daemon of examples/README.md, $side: no warning" $?
done
rm -f "$build/daemon.c"
source=$repository/examples/cpp.cc
[ "$(wc -l < "$source")" -le 100 ]; result "cpp.cc has at most 100 lines" $?
for compiler in g++ clang++; do
    if command -v $compiler > /dev/null; then
        # shellcheck disable=SC2086
        $compiler -std=c++17 $warnings "-I$repository" -fsyntax-only "$source"; result "cpp.cc, $compiler: no warning" $?
    fi
done

# --- the manual ---

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
        # shellcheck disable=SC2086
        $cc $flags -o "$build/example" "$source" 2>> "$build/log" && "$build/example" > "$build/out" 2>&1; status=$?
        [ $status -eq 0 ] || sed 's/^/  /' "$build/out"
        result "$(basename "$source") runs" $status
    fi
done
[ $count -ge 4 ]; result "at least 4 examples in the manual (found $count)" $?

sed -n 's/^       >>\([a-z0-9-]*\) .*/\1/p' "$repository/tunoffload.h" > "$build/contents"
sed -n 's/^\/\* -* >>\([a-z0-9-]*\).*/\1/p' "$repository/tunoffload.h" > "$build/sections"
cmp "$build/contents" "$build/sections"; result "contents list and sections agree, in order" $?
! LC_ALL=C grep -n '[^ -~]' "$repository/tunoffload.h"; result "header is ASCII without tabs" $?
awk '
    length > 120 { print FNR ": longer than 120"; bad = 1 }
    /^#endif \/\* TUNOFFLOAD_H/ { public_ended = 1 }
    { comment = inside || /\/\*/ } /\/\*/ { inside = 1 } /\*\// { inside = 0 }
    comment && !public_ended && length > 100 { print FNR ": comment beyond column 100"; bad = 1 }
    END { exit bad }' "$repository/tunoffload.h"
result "header has lines of 120 columns, and public comments of 100" $?

# --- figures ---

results=$repository/tests/bench/results
for name in micro e2e tunnel; do
    awk -v name="$name" '/^<!-- end -->/ { inside = 0 } inside { print } index($0, "<!-- " name ":") == 1 { inside = 1 }' \
        "$repository/tests/bench/README.md" > "$build/$name.have"
    sh "$repository/tests/bench/table.sh" "$results/$name.csv" | cmp - "$build/$name.have"
    result "$name table of tests/bench/README.md is that of tests/bench/results/$name.csv" $?
done
mkdir "$build/drawn" && cp "$results"/*.csv "$build/drawn"
# shellcheck disable=SC2086
$cc $flags -o "$build/plot" "$repository/tests/bench/plot.c" && "$build/plot" "$build/drawn"
for picture in "$results"/*.svg; do
    cmp "$picture" "$build/drawn/${picture##*/}"; result "${picture##*/} is drawn from the committed figures" $?
done

# --- the header ---

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

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
