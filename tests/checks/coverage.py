#!/usr/bin/env python3
"""Judge the coverage of the core of tunoffload.h: every line, both outcomes of every branch, and MC/DC of every decision (each condition
shown to decide alone). Usage: coverage.py EXPORT.json EXPORT.lcov HEADER EXCLUSIONS, the two exports as llvm-cov writes them.

EXCLUSIONS: lines `TEXT<tab>REASON`; a line of the header that contains TEXT need not be covered, nor, with `function NAME<tab>REASON`, the
body of that function. One that excuses nothing is an error, so that the list cannot outlive what it was for, unless it starts with `?`:
whether it is needed depends on the processor. The last line is the summary of the test scripts."""
import json
import sys


def core_of(header):
    """Line numbers from the first implementation section to the last before the Linux backend."""
    first = next(n for n, line in enumerate(header, 1) if ">>platform */" in line)
    end = next(n for n, line in enumerate(header, 1) if ">>linux */" in line)
    return range(first, end)


def read_exclusions(path):
    rows = []
    for line in open(path, encoding="ascii"):
        if line.strip() and not line.startswith("#"):
            text, reason = line.rstrip("\n").split("\t")
            assert text and reason, line
            rows.append(Exclusion(text.lstrip("?"), text.startswith("?")))
    return rows


class Exclusion:
    def __init__(self, text, optional):
        self.text, self.optional, self.used = text, optional, 0

    def covers(self, header, line):
        """Is line (a number) excused?"""
        if not self.text.startswith("function "):
            return self.text in header[line - 1]
        name = self.text.split()[1] + "("
        first = next(n for n, text in enumerate(header, 1)
                     if name in text and text[0] not in " /*#" and not text.endswith(";"))
        end = next(n for n, text in enumerate(header, 1) if n > first and text == "}")
        return first <= line <= end


def read_lines(path, core, header):
    """{line: count}, from lcov's records of the header; directives between lines of code are none."""
    counts, inside = {}, False
    for line in open(path, encoding="utf-8"):
        if line.startswith("SF:"):
            inside = line.rstrip().endswith("tunoffload.h")
        elif inside and line.startswith("DA:"):
            number, count = line[3:].split(",")[:2]
            if int(number) in core and not header[int(number) - 1].startswith("#"):
                counts[int(number)] = counts.get(int(number), 0) + int(count)
    return counts


def read_branches(file, core):
    """{(line, column, outcome): count}; a branch in a function that is inlined in several places appears once for each."""
    counts = {}
    for row in file["branches"]:
        if row[0] in core:
            for outcome, count in (("true", row[4]), ("false", row[5])):
                key = row[0], row[1], outcome
                counts[key] = counts.get(key, 0) + count
    return counts


def read_conditions(file, core):
    """{(line, column, condition): 1 if it was shown to decide alone}"""
    shown = {}
    for row in file.get("mcdc_records", []):
        if row[0] in core:
            for number, covered in enumerate(row[-1], 1):
                key = row[0], row[1], "condition %d" % number
                shown[key] = shown.get(key, 0) + bool(covered)
    return shown


def judge(name, counts, header, exclusions):
    """Print what is missing and not excused; returns whether that is nothing."""
    missing = [key for key, count in sorted(counts.items()) if count == 0]
    excused = 0
    for key in missing:
        line = key[0] if isinstance(key, tuple) else key
        text = header[line - 1]
        rows = [row for row in exclusions if row.covers(header, line)]
        if rows:
            rows[0].used += 1
            excused += 1
            continue
        where = ":".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
        print("  %s not covered: tunoffload.h:%s: %s" % (name, where, text.strip()[:100]))
    total, left = len(counts) - excused, len(missing) - excused
    ok = left == 0 and total > 0
    print("%s %s: %d of %d (%.2f %%; bar: 100 %%), %d excluded" %
          ("ok" if ok else "FAIL", name, total - left, total, 100.0 * (total - left) / max(total, 1), excused))
    return ok


def main():
    export, lcov, header_path, exclusions_path = sys.argv[1:]
    header = open(header_path, encoding="ascii").read().split("\n")
    core = core_of(header)
    exclusions = read_exclusions(exclusions_path)
    files = json.load(open(export, encoding="utf-8"))["data"][0]["files"]
    file = next(row for row in files if row["filename"].endswith("tunoffload.h"))
    results = [
        judge("lines", read_lines(lcov, core, header), header, exclusions),
        judge("branches", read_branches(file, core), header, exclusions),
        judge("MC/DC", read_conditions(file, core), header, exclusions),
    ]
    stale = [row.text for row in exclusions if not row.used and not row.optional]
    for text in stale:
        print("  excuses nothing: %s" % text)
    results.append(not stale)
    print("%s exclusions: %d, each with a reason and in use" % ("FAIL" if stale else "ok", len(exclusions)))
    print("%d passed, %d failed, 0 skipped" % (results.count(True), results.count(False)))
    sys.exit(results.count(False) > 0)


main()
