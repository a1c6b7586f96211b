#!/usr/bin/env python3
"""Mutation test of the core of tunoffload.h: change one token of one line, and see a test fail.

Usage: mutate.py BUILD_DIR [--sample N] [--lines A-B] [--jobs N] [--list], from the repository's root. Needs tcc, which compiles a test in
a twentieth of a second (Debian: tcc). Without --sample, all mutants (an hour and a half on two cores); with it, N of them, chosen by a
hash, so that the choice is the same everywhere and changes with the code.

A mutant that does not compile is none. One that no test notices is a survivor: it must stand in tests/checks/mutants.txt with the reason why no
test can see it (mostly: it changes speed only, or compares with a value that cannot occur). What does not is looked at more closely, by
what takes longer: the same tests, the fuzz targets over their seeds, the sweep and test_simd, compiled by gcc with the address
sanitizer. If that does not kill it either, it counts against the score. The bar is 95 %; one survivor is no failure, however small the
sample, as it says little about the score. Vector code is not mutated here, as tcc does not compile it: test_simd.c compares each level
with the scalar one. The Linux backend is not either. The last line is the summary of the test scripts."""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

BAR = 95.0
TESTS = ["vnet", "regressions", "parse", "checksum", "flow_table", "gso", "gro_rules", "gro_tunnels", "gro_pieces", "device", "gro_modes",
         "captures", "sweep", "gro_property", "gro_hostile", "udp_plan", "conventions", "gro_order"]

# (pattern, replacements): each occurrence in a line makes one mutant per replacement.
OPERATORS = [
    (r"<=(?!=)", ["<", ">="]), (r"(?<![->])>=", [">", "<="]),
    (r"(?<=[\w)\]] )<(?= [\w(])", ["<=", ">="]), (r"(?<=[\w)\]] )>(?= [\w(*])", [">=", "<="]),
    (r"==", ["!="]), (r"!=", ["=="]), (r"&&", ["||"]), (r"\|\|", ["&&"]),
    (r"(?<=[\w)\]] )\+(?= )", ["-"]), (r"(?<=[\w)\]] )-(?= )", ["+"]), (r"\+=", ["-="]), (r"-=", ["+="]),
    (r"(?<=[\w)\]] )\*(?= [\w(])", ["+"]), (r"(?<=[\w)\]] )/(?= )", ["*"]), (r"(?<=[\w)\]] )%(?= )", ["/"]),
    (r"<<", [">>"]), (r">>", ["<<"]), (r"(?<=[\w)\]] )&(?= )", ["|"]), (r"(?<=[\w)\]] )\|(?= )", ["&"]),
    (r"\|=", ["&="]), (r"&=", ["|="]), (r"~", [""]), (r"!(?![=])", [""]), (r"\+\+", ["--"]),
    (r"(?<![\w.'\"])(\d+)(?=u?\b)(?!\w*x)", ["PLUS", "MINUS"]),
    (r"\bif \((?=.)", ["if (1 || ", "if (0 && "]),
    (r"\bbreak;", [";"]), (r"\bcontinue;", [";"]),
    (r"\breturn (?!TUO_OK|TUO_V_HELD|0;|1;)TUO_\w+;", ["return (0);"]),
]
STATEMENT = re.compile(r"^(\s+)(?:[\w>\-.\[\]()*]+ (?:[-+|&]?=) .*|[\w>\-.]+\(.*\)|[\w>\-.\[\]]+(?:\+\+|--));$")


def mutable_lines(source):
    """(index, section) of the lines of code: no comments, directives, tables, vector code, Linux backend."""
    section, comment, vector = "", False, 0
    for index, line in enumerate(source):
        found = re.search(r"-- >>([\w-]+) \*/", line)
        if found:
            section = found.group(1)
        if section in ("", "platform", "wire", "names", "linux", "linux-tun", "linux-udp", "license") or "TUO_ASSERT" in line or "STATIC_ASSERT" in line:
            continue
        if re.match(r"#if.*(TUOI_HAVE_|TUOI_BASE_SSE2)", line):
            vector += 1
        elif vector and line.startswith("#if"):
            vector += 1
        elif vector and line.startswith("#endif"):
            vector -= 1
        if vector:
            continue
        text = line
        if comment:
            comment = "*/" not in text
            continue
        comment = text.rfind("/*") > text.rfind("*/")
        if text.lstrip().startswith(("/*", "*", "#", "//")):
            continue
        if text.startswith(("typedef", "static const", "enum", "struct", "}")) or not text.strip():
            continue
        if re.match(r'\s+(X\(|"[^"]*"\)? *\\?$|TUOI?_\w+ = .*?(,|\*/)$|TUOI?_\w+ = [^;]*$)', text): # rows of a list of names, values of an enum
            continue
        if re.match(r"    (const )?\w+ \**\w+\[\d+\](, \w+\[\d+\])*;", text): # arrays of a structure, of a size that others rely on
            continue
        yield index, section


def mutants_of(source):
    seen = set()
    for index, section in mutable_lines(source):
        line = source[index]
        code = line.split("/*")[0].rstrip() if "/*" in line else line
        rest = line[len(code):]
        for pattern, replacements in OPERATORS:
            for match in re.finditer(pattern, code):
                for replacement in replacements:
                    if match.group(0) == "!" and code[:match.start()].endswith("(void)"):
                        continue
                    if replacement in ("PLUS", "MINUS"):
                        number = int(match.group(1), 8 if re.match(r"0\d", match.group(1)) else 10)
                        truth = number == 1 and re.search(r"\breturn $", code[:match.start()])
                        if (replacement == "MINUS" and number == 0) or (replacement == "PLUS" and truth):
                            continue
                        replacement = str(number + (1 if replacement == "PLUS" else -1))
                    if replacement.startswith("if ("):
                        depth, end = 0, match.end() - 1 # close the parenthesis that is added
                        for at in range(match.end() - 1, len(code)):
                            depth += {"(": 1, ")": -1}.get(code[at], 0)
                            if depth == 0:
                                end = at
                                break
                        else:
                            continue
                        new = code[:match.start()] + replacement + "(" + code[match.end():end] + "))" + code[end + 1:]
                    else:
                        new = code[:match.start()] + replacement + code[match.end():]
                    if new != code and (index, new) not in seen:
                        seen.add((index, new))
                        yield index, section, new + rest
        statement = STATEMENT.match(code)
        if statement and not re.match(r"\s*(const|static|return|uint|int|size_t|tuo_\w+ \w+ =|tuoi_\w+ \*?\w+ =)\b", code):
            yield index, section, statement.group(1) + ";"


class Runner:
    def __init__(self, source, build):
        self.source, self.build, self.lock = source, build, threading.Lock()
        self.kills = collections.defaultdict(collections.Counter)
        self.tests = [name for name in TESTS if os.path.exists("tests/core/test_%s.c" % name)]
        self.seconds = {}

    def order(self, section):
        """First the test that kills most of this section's mutants per second."""
        with self.lock:
            kills = dict(self.kills[section])
        return sorted(self.tests, key=lambda name: -(kills.get(name, 0) + 0.5) / self.seconds[name])

    def call(self, command, timeout):
        # No start_new_session: it would undo the priority of the caller's. In the foreground: Ctrl-C reaches the mutant, too.
        return subprocess.call(["timeout", "--foreground", "-s", "KILL", "%.1f" % timeout] + command,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def measure(self):
        """Each test without a mutant: how long it takes. Returns those that tcc does not compile, which are left out, and those that fail."""
        foreign, failing = [], []
        for name in self.tests:
            program = self.build + "/probe"
            if self.call(self.compile(".", name, program), 30) != 0:
                foreign.append(name)
                continue
            started = time.monotonic()
            if self.call([program], 600) != 0: # ten seconds, on an idle machine
                failing.append(name)
            self.seconds[name] = time.monotonic() - started + 0.02
        self.tests = list(self.seconds)
        return foreign, failing

    @staticmethod
    def compile(directory, name, program):
        return ["tcc", "-w", "-DCHECK_STOP", "-I" + directory, "-Itests/lib", "tests/core/test_%s.c" % name, "-o", program]

    def judge(self, mutant):
        """'killed', 'survived', or 'none' for what does not compile."""
        index, section, new = mutant
        lines = self.source[:]
        lines[index] = new
        directory = tempfile.mkdtemp(dir=self.build)
        try:
            with open(directory + "/tunoffload.h", "w", encoding="ascii") as header:
                header.write("\n".join(lines))
            for name in self.order(section):
                program = directory + "/" + name
                if self.call(self.compile(directory, name, program), 30) != 0:
                    return mutant, "none"
                if self.call([program], 5 + 10 * self.seconds[name]) != 0: # longer: it does not end
                    with self.lock:
                        self.kills[section][name] += 1
                    return mutant, "killed"
            return mutant, "survived"
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    # What needs public functions only is compiled once, and linked with each mutant; the other four include it.
    LINKED = ["fuzz/fuzz_%s.c" % name for name in ("gro", "gso", "caps", "vnet_header", "flow_table", "udp_plan")] + \
             ["tests/core/test_%s.c" % name for name in ("gso", "gro_modes", "regressions", "device")]
    INCLUDING = ["tests/core/test_%s.c" % name for name in ("parse", "sweep", "simd", "gro_batch")]
    GCC = ["gcc", "-O0", "-w", "-std=c99", "-fsanitize=address", "-DCHECK_STOP", "-Itests/lib"]

    def prepare_closer_look(self):
        """Objects of the linked programs; 0 without gcc, its sanitizer or the seeds (make seeds)."""
        for source in self.LINKED + ["fuzz/replay.c"]:
            out = "%s/%s.o" % (self.build, os.path.basename(source)[:-2])
            if self.call(self.GCC + ["-I.", "-DTUNOFFLOAD_IMPLEMENTATION_DONE", "-c", "-o", out, source], 60) != 0:
                return 0
        return os.path.isdir(self.build + "/../fuzz/seeds")

    def closer_programs(self, directory):
        """(command to build it, command to run it) of each, the fast ones first."""
        for source in self.LINKED:
            name = os.path.basename(source)[:-2]
            command, objects = [directory + "/" + name], [self.build + "/" + name + ".o"]
            if name.startswith("fuzz_"):
                objects.append(self.build + "/replay.o")
                command += ["--mutate", "100", self.build + "/../fuzz/seeds/" + name[5:], "fuzz/seeds/" + name[5:] + ".seeds"]
            yield ["gcc", "-fsanitize=address", "-o", command[0], directory + "/tunoffload.o"] + objects, command
        for source in self.INCLUDING:
            program = directory + "/" + os.path.basename(source)[:-2]
            yield self.GCC + ["-I" + directory, "-o", program, source], [program]

    def look_closer(self, mutant):
        """The same for a survivor: is it killed by what takes longer?"""
        index, _, new = mutant
        lines = self.source[:]
        lines[index] = new
        directory = tempfile.mkdtemp(dir=self.build)
        header = directory + "/tunoffload.h"
        try:
            with open(header, "w", encoding="ascii") as out:
                out.write("\n".join(lines))
            self.call(self.GCC + ["-DTUNOFFLOAD_IMPLEMENTATION", "-x", "c", "-c", "-o", directory + "/tunoffload.o", header], 60)
            for build, run in self.closer_programs(directory):
                if self.call(build, 60) == 0 and self.call(run, 120) != 0:
                    return mutant, "killed by " + os.path.basename(run[0])
            return mutant, "survived"
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def read_allowed(path, source):
    """Of tests/checks/mutants.txt: `- line` or `* pattern of lines`, `+ mutated line` or `~ pattern of it`, `= reason`; returns a function that
    finds the reason, and the patterns that match no line of the source any more."""
    allowed, old, new = [], None, None
    for text in open(path, encoding="ascii"):
        kind, body = text[:1], text[2:].strip()
        pattern = re.compile(body if kind in "*~" else re.escape(body)) if kind in "-*+~" else None
        if kind in "-*":
            old, new = pattern, None
        elif kind in "+~":
            new = pattern
        elif kind == "=":
            assert old and new and body, text
            allowed.append((old, new, body))
    stale = [old.pattern for old, _, _ in allowed if not any(old.fullmatch(line.strip()) for line in source)]
    return lambda line, mutated: next((why for old, new, why in allowed if old.fullmatch(line) and new.fullmatch(mutated)), None), stale


def finish(passed, failed, skipped):
    """The last line, as tests/lib/counts.sh reads it, and the exit status."""
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(failed > 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--lines", default="1-999999")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if not shutil.which("tcc"):
        ci = os.environ.get("CI") == "true"
        print("%s mutate: no tcc" % ("FAIL" if ci else "SKIP"))
        finish(0, ci, not ci)
    source = open("tunoffload.h", encoding="ascii").read().split("\n")
    low, high = (int(part) for part in options.lines.split("-"))
    mutants = [mutant for mutant in mutants_of(source) if low <= mutant[0] + 1 <= high]
    total = len(mutants)
    if options.sample:
        mutants.sort(key=lambda m: hashlib.sha256(repr((source[m[0]], m[2])).encode()).hexdigest())
        mutants = mutants[:options.sample]
    if options.list:
        for index, section, new in mutants:
            print("%s:%d\n- %s\n+ %s" % (section, index + 1, source[index].strip(), new.strip()))
        return
    build = os.path.join(os.path.abspath(options.build), "mutate")
    shutil.rmtree(build, ignore_errors=True)
    os.makedirs(build)
    runner = Runner(source, build)
    allowed, stale = read_allowed("tests/checks/mutants.txt", source)
    left_out, failing = runner.measure()
    print("tests: %s%s" % (" ".join(runner.tests), "; not for tcc: " + " ".join(left_out) if left_out else ""), flush=True)
    if failing or not runner.tests:
        print("FAIL mutate: fails without any mutant: %s" % " ".join(failing or ["no test"]))
        finish(0, 1, 0)
    counts, excused, suspects, left = collections.Counter(), 0, [], 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutant, outcome in pool.map(runner.judge, mutants):
            counts[outcome] += 1
            if outcome == "survived":
                if allowed(source[mutant[0]].strip(), mutant[2].strip()):
                    excused += 1
                else:
                    suspects.append(mutant)
        if suspects and not runner.prepare_closer_look():
            print("no closer look: no gcc with the address sanitizer, or no seeds (make seeds)", flush=True)
        elif suspects and runner.look_closer((0, "", source[0]))[1] != "survived":
            print("FAIL mutate: the closer look kills the header without any mutant")
            finish(0, 1, 0)
        for (index, _, new), outcome in pool.map(runner.look_closer, suspects):
            counts["killed"] += outcome != "survived"
            left += outcome == "survived"
            print("%s tunoffload.h:%d\n- %s\n+ %s" % (outcome, index + 1, source[index].strip(), new.strip()), flush=True)
    judged = counts["killed"] + left
    score = 100.0 * counts["killed"] / max(judged, 1)
    ok = (score >= BAR or left <= 1) and judged > 0
    print("%s mutate: %d of %d mutants, %d do not compile, %d killed, %d survivors with a reason, %d without: score %.1f %% (bar %.0f %%)" %
          ("ok" if ok else "FAIL", len(mutants), total, counts["none"], counts["killed"], excused, left, score, BAR))
    for pattern in stale:
        print("  excuses nothing: %s" % pattern)
    print("%s tests/checks/mutants.txt: each entry is about a line of the header" % ("FAIL" if stale else "ok"))
    finish(ok + (not stale), (not ok) + bool(stale), 0)


main()
