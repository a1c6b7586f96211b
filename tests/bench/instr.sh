#!/bin/sh
# Instructions per packet, counted by callgrind inside tests/bench/instr.c (not in libc, which differs by machine), compared with
# tests/bench/instructions.txt. More than 2 % above the committed figure is a failure; more than 2 % below is said.
#     tests/bench/instr.sh BUILD_DIR [--update]      from the repository's root; --update rewrites instructions.txt
# CC: the compiler (cc). HEADER_DIR: where tunoffload.h is (.). Figures of another compiler or machine are not compared: then
# nothing is checked, which under CI=true is a failure, as is a missing valgrind. Last line: "N passed, N failed, N skipped".
set -u
build=$1/instr
update=${2:-}
cc=${CC:-cc}
flags="-std=c99 -O2 -fno-stack-protector -U_FORTIFY_SOURCE"
committed=tests/bench/instructions.txt
percent=2

. tests/lib/counts.sh
give_up() { fail "instruction counts: $1"; finish; }
cannot() { skip "instruction counts" "$1"; finish; }

# "gcc 12.2.0", by the compiler's own macros: its name and --version say what the distribution wants.
compiler() {
    macros=$(printf '%s\n' '#ifdef __clang__' 'clang __clang_major__ __clang_minor__ __clang_patchlevel__' \
        '#else' 'gcc __GNUC__ __GNUC_MINOR__ __GNUC_PATCHLEVEL__' '#endif' | "$cc" -E -P -xc - | grep .) || return 1
    set -- $macros
    echo "$1 $2.$3.$4"
}

# recorded WORD: the value of a line "# WORD: value" in the committed file.
recorded() { sed -n "s/^# $1: //p" "$committed" 2> /dev/null; }

# inside FILE...: for each part that callgrind wrote, a line: instructions in this program, and outside it. Lines of cost are
# "position cost"; the one after calls= is what a call cost in all, and not to be added.
inside() {
    for part in "$@"; do
        awk '
            /^ob=/ { ours = $0 ~ "/instr$" }
            /^calls=/ { getline; next }
            /^[0-9]/ { if (ours) own += $2; else other += $2 }
            END { printf "%d %d\n", own, other }' "$part"
    done
}

# counts: lines "workload inside outside", instructions per unit. The parts of a workload are: what prepares it, N batches, 2 N
# batches.
counts() {
    rm -f "$build"/part*
    valgrind --tool=callgrind --callgrind-out-file="$build/part" --dump-before=instr_mark --dump-line=no --compress-strings=no \
        --compress-pos=no "$build/instr" > "$build/workloads" 2> "$build/valgrind.log" || return 1
    parts=$(seq 1 $(($(wc -l < "$build/workloads") * 3)) | sed "s|^|$build/part.|")
    inside $parts > "$build/totals"
    awk 'NR == FNR { own[NR] = $1; other[NR] = $2; next }
        { n = FNR * 3; units = $2 * $3
          printf "%s %.2f %.2f\n", $1, (own[n] - own[n - 1]) / units, (other[n] - other[n - 1]) / units }' \
        "$build/totals" "$build/workloads"
}

write_committed() {
    { echo "# Instructions per packet, segment or sum, without those in libc. Written by: make bench-instr UPDATE=--update"
      echo "# compiler: $now_compiler"
      echo "# machine: $now_machine"
      echo "# flags: $flags"
      awk '{ printf "%-32s %10.2f\n", $1, $2 }' "$build/counts"; } > "$committed"
}

# The table, and the counts.
compare() {
    grep -v '^#' "$committed" | awk -v percent=$percent '
        BEGIN { printf "%-32s %10s %10s %8s   %s\n", "instructions per packet", "now", "committed", "", "(in libc)" }
        NR == FNR { committed[$1] = $2; next }
        { seen[$1] = 1; note = ""; change = ""
          if (!($1 in committed)) { note = "FAIL not in the committed file"; failed++ }
          else { d = committed[$1] ? ($2 / committed[$1] - 1) * 100 : ($2 > 0) * 100; change = sprintf("%+.2f %%", d)
                 if (d > percent) { note = "FAIL more than before"; failed++ } else passed++
                 if (d < -percent) note = "better: update the file" }
          printf "%-32s %10.2f %10s %8s   %-9s %s\n", $1, $2, committed[$1], change, "(" $3 ")", note }
        END { for (name in committed) if (!(name in seen)) { print "FAIL " name ": committed, but not run"; failed++ }
              print passed + 0, failed + 0, 0 > sums }' sums="$build/sums" - "$build/counts"
    read -r p f s < "$build/sums" && add "$p" "$f" "$s" || fail "instruction counts: not compared"
    finish
}

mkdir -p "$build"
command -v valgrind > /dev/null 2>&1 || cannot "valgrind is not installed"
[ -f "$committed" ] || [ "$update" = --update ] || give_up "there is no $committed: run with --update"
now_compiler=$(compiler) || cannot "$cc does not work"
now_machine=$(uname -m)
"$cc" $flags -I"${HEADER_DIR:-.}" -o "$build/instr" tests/bench/instr.c || give_up "tests/bench/instr.c does not build"
counts > "$build/counts" || { tail -n 20 "$build/valgrind.log"; give_up "the run under valgrind failed"; }
if [ "$update" = --update ]; then
    write_committed && echo "$committed: written"
elif [ "$(recorded machine)" != "$now_machine" ] || [ "$(recorded flags)" != "$flags" ] ||
    [ "$(recorded compiler | cut -d. -f1)" != "${now_compiler%%.*}" ]; then
    echo "NOT COMPARED. committed: $(recorded compiler), $(recorded machine), $(recorded flags)"
    echo "                   here: $now_compiler, $now_machine, $flags"
    cannot "the committed figures are those of another compiler, machine or flags: nothing was compared"
fi
compare
