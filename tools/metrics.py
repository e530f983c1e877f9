# SPDX-License-Identifier: Apache-2.0
"""Prints sizes and comment share of the C sources: metrics.py SRCDIR

Aims: functions median <= 15 lines, 90 % <= 50, none over 100; no file over
900; comments 15 to 20 %. Exit status 1 where a function or a file is over its
limit: the others are aims. Needs Universal Ctags.
"""
import glob
import json
import os
import re
import subprocess
import sys

LONGEST_FUNCTION = 100
LONGEST_FILE = 900


def functions(paths):
    """(lines, name, file) of every function, longest first."""
    command = ["ctags", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f",
               "--fields=+ne", "--output-format=json", "-f", "-"] + paths
    try:
        text = subprocess.run(command, stdout=subprocess.PIPE, check=True,
                              text=True).stdout
    except FileNotFoundError:
        sys.exit("metrics.py: no ctags; mend: apt-get install universal-ctags")
    found = []
    for line in text.splitlines():
        tag = json.loads(line)
        if "end" in tag:
            found.append((tag["end"] - tag["line"] + 1, tag["name"],
                          os.path.basename(tag["path"])))
    return sorted(found, reverse=True)


def shares(text):
    """Lines of comment alone, lines with code, of these with a comment too."""
    # Strings first, so that no comment begins inside of one.
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    marked = re.sub(r"/\*.*?\*/|//[^\n]*",
                    lambda m: re.sub(r"[^\n]+", "\1", m.group(0)),
                    text, flags=re.DOTALL)
    alone = code = both = 0
    for line in marked.splitlines():
        rest = line.replace("\1", "").strip()
        if rest:
            code += 1
            both += "\1" in line
        elif "\1" in line:
            alone += 1
    return alone, code, both


def percentile(sorted_down, share):
    return sorted_down[int(len(sorted_down) * (1 - share))][0]


def print_functions(found):
    print("functions: %d, median %d, 90 %% at most %d, longest %d"
          % (len(found), percentile(found, 0.5), percentile(found, 0.9),
             found[0][0]))
    for lines, name, file in found[:5]:
        print("    %4d  %s (%s)" % (lines, name, file))


def print_files(paths):
    """Prints them; the number of lines of the longest file."""
    alone = code = both = 0
    sizes = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        sizes.append((text.count("\n"), os.path.basename(path)))
        a, c, b = shares(text)
        alone, code, both = alone + a, code + c, both + b
    sizes.sort(reverse=True)
    print("files: %d, %d lines, longest %d (%s)"
          % (len(sizes), sum(size for size, _ in sizes), *sizes[0]))
    print("comments: %.1f %% of the lines that are not blank "
          "(%d lines alone, %d of %d lines of code carry one)"
          % (100.0 * alone / (alone + code), alone, both, code))
    return sizes[0][0]


def main():
    srcdir = sys.argv[1] if len(sys.argv) > 1 else "."
    paths = sorted(glob.glob(os.path.join(srcdir, "src", "*.[ch]")))
    found = functions(paths)
    print_functions(found)
    longest = print_files(paths)
    over = found[0][0] > LONGEST_FUNCTION or longest > LONGEST_FILE
    if over:
        print("over the limit: a function has at most %d lines, a file %d"
              % (LONGEST_FUNCTION, LONGEST_FILE))
    sys.exit(1 if over else 0)


main()
