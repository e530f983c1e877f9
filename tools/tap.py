# SPDX-License-Identifier: Apache-2.0
"""Runs programs that print TAP, and counts: tap.py PROGRAM ...

A program fails where a test of it fails, where its plan is missing or not
kept, where it ends by a signal or with another status than 0, and where it
does not end within --timeout seconds. No test at all is a failure.
"""
import argparse
import os
import re
import subprocess
import sys

RESULT = re.compile(r"(not )?ok\b(.*)")
PLAN = re.compile(r"1\.\.(\d+)\s*(#\s*skip.*)?", re.IGNORECASE)


def run(program, timeout):
    """The output of a program and what was wrong with its end, or None."""
    try:
        done = subprocess.run([os.path.abspath(program)], timeout=timeout,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired as late:
        return late.output or b"", "no end within %d s" % timeout
    wrong = None
    if done.returncode < 0:
        wrong = "ended by signal %d" % -done.returncode
    elif done.returncode > 0:
        wrong = "ended with status %d" % done.returncode
    return done.stdout, wrong


def count(text):
    """Numbers of passed and failed tests, and the planned number or None."""
    passed = failed = 0
    planned = None
    for line in text.splitlines():
        plan = PLAN.fullmatch(line.strip())
        result = RESULT.match(line)
        if plan:
            planned = int(plan.group(1))
        elif result:
            good = not result.group(1) or "# TODO" in result.group(2)
            passed += good
            failed += not good
    return passed, failed, planned


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout", type=int, default=300)
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    all_passed = all_failed = 0
    for program in args.programs:
        output, wrong = run(program, args.timeout)
        text = output.decode("utf-8", "replace")
        passed, failed, planned = count(text)
        if not wrong and planned != passed + failed:
            wrong = "planned %s tests, ran %d" % (planned, passed + failed)
        if wrong and not failed:
            failed = 1
        if wrong or failed:
            print(text)
        print("%s .. %s (%d passed, %d failed)"
              % (program, wrong or ("failed" if failed else "ok"),
                 passed, failed))
        all_passed += passed
        all_failed += failed
    print("unit tests: %d passed, %d failed" % (all_passed, all_failed))
    sys.exit(1 if all_failed or not all_passed else 0)


main()
