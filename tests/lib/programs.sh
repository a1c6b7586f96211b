#!/bin/sh
# Runs test programs one after the other; the sum of their counts is the last line. Usage: programs.sh PROGRAM..., from the repository's
# root.
set -u
. tests/lib/counts.sh
for program; do
    "$program" > "$program.log" 2>&1
    add_program "$(basename "$program")" "$program.log" $?
done
finish
