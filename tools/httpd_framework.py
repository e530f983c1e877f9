# SPDX-License-Identifier: Apache-2.0
"""Compares two verbose logs of httpd's test framework, test by test:
httpd_framework.py WITHOUT.log WITH.log

What differs is printed, and makes the exit status 1; so does a log without
results. "not ok" counts the tests that a file itself expects to fail, too.
"""

import re
import sys

FILE = re.compile(r"^(t/\S+\.t) \.+")
TEST = re.compile(r"^(not )?ok (\d+)\b(.*)")


class File:
    """The results of one test file, by number, and the harness's verdict."""

    def __init__(self):
        self.tests = {}
        self.verdict = "?"


def verdict(line):
    """The harness's own line after a file, or None."""
    if line.startswith("skipped"):
        return "skipped"
    if line == "ok":
        return "ok"
    if line.startswith(("Dubious", "Failed ")):
        return "failed"
    return None


def parse(path):
    files = {}
    current = None
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in map(str.rstrip, log):
            if line.startswith("Test Summary Report"):
                break
            begin = FILE.match(line)
            if begin:
                current = files.setdefault(begin.group(1), File())
                line = line[begin.end() :].strip()
            if current is None:
                continue
            test = TEST.match(line)
            if test:
                bad = test.group(1) and "# TODO" not in test.group(3)
                current.tests[int(test.group(2))] = "not ok" if bad else "ok"
            else:
                current.verdict = verdict(line) or current.verdict
    return files


def count(name, files):
    tests = [r for f in files.values() for r in f.tests.values()]
    verdicts = [f.verdict for f in files.values()]
    print(
        "%-8s %d files (%d ok, %d failed, %d skipped), %d tests (%d ok, %d not ok)"
        % (
            name,
            len(files),
            verdicts.count("ok"),
            len(files) - verdicts.count("ok") - verdicts.count("skipped"),
            verdicts.count("skipped"),
            len(tests),
            tests.count("ok"),
            tests.count("not ok"),
        )
    )
    return len(tests)


def differences(old, new):
    """Lines, one for each result that is another."""
    for path in sorted({*old, *new}):
        a, b = old.get(path, File()), new.get(path, File())
        if a.verdict != b.verdict:
            yield "%s: %s without, %s with" % (path, a.verdict, b.verdict)
        for number in sorted({*a.tests, *b.tests}):
            was, now = (f.tests.get(number, "none") for f in (a, b))
            if was != now:
                yield "%s test %d: %s without, %s with" % (path, number, was, now)


def main():
    old, new = (parse(path) for path in sys.argv[1:3])
    made = [count(name, files) for name, files in (("without", old), ("with", new))]
    found = list(differences(old, new))
    print("\n".join(found))
    print("%d differences" % len(found))
    return 1 if found or not all(made) else 0


if __name__ == "__main__":
    sys.exit(main())
