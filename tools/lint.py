# SPDX-License-Identifier: Apache-2.0
"""Runs every static check: lint.py --srcdir DIR -- COMPILER-FLAGS

A tool that is missing is said, and is a failure unless LINT_OPTIONAL=1 stands
in the environment. Exit status 1 where a check failed.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys

MENDS = {
    "clang-format": "apt-get install clang-format",
    "clang-tidy": "apt-get install clang-tidy",
    "clang": "apt-get install clang",
    "cppcheck": "apt-get install cppcheck",
    "shellcheck": "apt-get install shellcheck",
    "ruff": "pip install ruff",
    "perl": "apt-get install perl",
}
RUFF = ["check", "--no-cache", "--isolated", "--line-length=100",
        "--target-version=py311", "--select=E,F,W,B,RET,SIM,UP,PLE",
        "--ignore=UP031,SIM105,SIM115"]


def tool(*names):
    """The first of these programs that exists, else None."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    return None


def tree(srcdir, *patterns):
    found = []
    for pattern in patterns:
        found += glob.glob(os.path.join(srcdir, pattern), recursive=True)
    return sorted(path for path in found if os.path.isfile(path)
                  and "/.quickstart/" not in path)


def shell_scripts(srcdir):
    scripts = []
    for path in tree(srcdir, "*", ".ci/*", "tools/*", "t/*", "t/soak/*"):
        with open(path, "rb") as file:
            first = file.readline()
        if first.startswith(b"#!") and b"sh" in first.split(b"/")[-1] \
                and os.path.basename(path) != "configure":
            scripts.append(path)
    return scripts


def run(command):
    """Nothing where the command succeeded, else what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace").strip()
    return (text or "status %d" % done.returncode) if done.returncode else ""


def over_all(command, files, after=()):
    """What the failing runs printed, one run for each file."""
    texts = [run(command + [file] + list(after)) for file in files]
    return "\n".join(text for text in texts if text)


def checks(srcdir, flags):
    """(tool's name, what it checks, its path, a function that runs it)."""
    c_files = tree(srcdir, "src/*.c", "t/unit/*.c", "t/fuzz/*.c", "t/bench/*.c",
                   "t/**/c-modules/**/*.c")
    units = tree(srcdir, "src/*.c")
    headers = tree(srcdir, "src/*.h")
    python = tree(srcdir, "**/*.py")
    perl = tree(srcdir, "t/**/*.t", "t/**/*.pm", "t/run", "t/TEST")
    clang_format = tool("clang-format-14", "clang-format")
    clang = tool("clang")
    clang_tidy = tool("clang-tidy")
    cppcheck = tool("cppcheck")
    yield ("clang-format", "layout", clang_format,
           lambda: run([clang_format, "--dry-run", "-Werror", "--style=file"]
                       + tree(srcdir, "src/*.[ch]", "t/unit/*.[ch]", "t/fuzz/*.[ch]",
                              "t/bench/*.[ch]")))
    yield ("clang", "warnings and thread safety", clang,
           lambda: over_all([clang, "-std=gnu11", "-fsyntax-only", "-Werror",
                             "-Wthread-safety", "-DPW_DEBUG"] + flags,
                            c_files))
    yield ("clang", "headers stand alone", clang,
           lambda: over_all([clang, "-std=gnu11", "-fsyntax-only", "-Werror",
                             "-x", "c"] + flags + ["-Wno-unused-function"],
                            headers))
    yield ("clang-tidy", "bugs", clang_tidy,
           lambda: over_all([clang_tidy, "--quiet"], units,
                            ["--", "-std=gnu11"] + flags))
    yield ("cppcheck", "bugs", cppcheck,
           lambda: run([cppcheck, "--quiet", "--error-exitcode=1",
                        "--enable=warning,performance,portability",
                        "--inline-suppr", "--std=c11", "--language=c",
                        "--suppress=missingInclude", "-I",
                        os.path.join(srcdir, "src"), "-I."] + units))
    yield ("shellcheck", "shell", tool("shellcheck"),
           lambda: run(["shellcheck", "-x"] + shell_scripts(srcdir)))
    yield ("ruff", "Python", tool("ruff"),
           lambda: run(["ruff"] + RUFF + python))
    yield ("perl", "Perl compiles", tool("perl"),
           lambda: over_all(["env", "PW_T_DIR=/nowhere", "PW_T_PORT=1",
                             "perl", "-I" + os.path.join(srcdir, "t/lib"),
                             "-c"], perl))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--srcdir", default=".")
    parser.add_argument("--only", help="run this tool alone")
    parser.add_argument("flags", nargs="*")
    args = parser.parse_args()
    optional = os.environ.get("LINT_OPTIONAL") == "1"
    passed = failed = 0
    for name, what, path, check in checks(args.srcdir, args.flags):
        if args.only and args.only != name:
            continue
        if not path:
            print("%s - %s (%s): not here; mend: %s"
                  % ("skipped" if optional else "not ok", name, what,
                     MENDS[name]))
            failed += not optional
            continue
        text = check()
        print("%s - %s (%s)" % ("not ok" if text else "ok", name, what))
        if text:
            print(text)
        failed += bool(text)
        passed += not text
        sys.stdout.flush()
    print("lint: %d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)


main()
