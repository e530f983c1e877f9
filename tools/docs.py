# SPDX-License-Identifier: Apache-2.0
"""Checks that code and documentation say the same; prints TAP: docs.py SRCDIR

Directives, log codes with their texts and severities, states and counters are
compared in both directions. A failure names what is missing where.
"""
import glob
import os
import re
import sys

ENTRY = ("Severity", "Text", "Cause", "Outcome", "Mend")
PAGE = ("| Syntax |", "| Default |", "| Context |", "| Since |",
        "## Meaning", "## Example", "## Pitfalls")
LEVELS = {"ERR": "error", "WARN": "warn", "WARNING": "warn", "CRIT": "crit",
          "NOTICE": "notice", "INFO": "info"}
CODE = re.compile(r"PW\d{4}")
LEVEL = re.compile(r"(?:PW_LOG|APLOG)_(%s)\b|\b(complain|pw_request_fault)\("
                   % "|".join(LEVELS))
FORMAT = re.compile(r"%(?:%|-?[\d.*]*(?:l|z)*[a-z])")


class Source:
    """All C and Python sources, without comments."""

    def __init__(self, srcdir):
        self.srcdir = srcdir
        self.files = {}
        for path in sorted(glob.glob(os.path.join(srcdir, "src", "*.[ch]"))
                           + glob.glob(os.path.join(srcdir, "src", "py",
                                                    "*.py"))):
            text = read(path)
            if path.endswith((".c", ".h")):
                text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            self.files[os.path.basename(path)] = text

    def codes(self):
        """code -> list of (file, text of the file, where in it)."""
        found = {}
        for name, text in self.files.items():
            for hit in CODE.finditer(text):
                found.setdefault(hit.group(), []).append(
                    (name, text, hit.start()))
        return found


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def level_of(text, at):
    """The severity of the record whose code stands at `at`."""
    after = re.match(r'PW\d{4}",\s*PW_LOG_(\w+)', text[at:])
    if after:
        return LEVELS[after.group(1)]
    begin = text.rfind(";", 0, at) + 1
    hits = list(LEVEL.finditer(text, begin, at))
    if not hits:
        return None
    if hits[-1].group(2):
        return "crit" if hits[-1].group(2) == "complain" else "error"
    return LEVELS[hits[-1].group(1)]


def format_of(text, at):
    """The format string that begins with the code, or None where the code
    stands alone. Literals that are joined, and macros between, are one."""
    parts = re.match(r'((?:[^"\\]|\\.)*)"((?:\s*(?:[A-Z_]+\s*)?'
                     r'"(?:[^"\\]|\\.)*")*)', text[at:])
    whole = parts.group(1)
    rest = parts.group(2)
    whole += "".join(
        ("%s" if piece[0] else "") + piece[1] for piece in
        re.findall(r'([A-Z_]+)?\s*"((?:[^"\\]|\\.)*)"', rest))
    # A macro's value ends in "%" APR_..._FMT " ...": it took the conversion.
    whole = whole.replace("%%s", "%s").replace('\\"', '"')
    whole = whole[len("PW0000"):].strip()
    return whole or None


def matches(said, written):
    """Does the documented text fit the format string?"""
    words = FORMAT.split(written)
    signs = FORMAT.findall(written)
    pattern = re.escape(words[0])
    for sign, word in zip(signs, words[1:], strict=True):
        pattern += ("%" if sign == "%%" else "(?:.*)") + re.escape(word)
    return re.fullmatch(pattern, said) is not None


def documented(text):
    """code -> {"Severity": ..., ...} in the order of the page."""
    entries = {}
    for block in re.split(r"(?m)^### (?=PW\d{4}$)", text)[1:]:
        fields = re.findall(r"(?m)^- (\w+): (.*)$", block)
        entries.setdefault(block[:6], []).append(dict(fields))
    return entries


def every_code_is_described(source, docs):
    entries = documented(docs["errors.md"])
    codes = source.codes()
    bad = ["%s of %s is not in docs/errors.md" % (code, codes[code][0][0])
           for code in codes if code not in entries]
    bad += ["%s of docs/errors.md is not in the sources" % code
            for code in entries if code not in codes]
    return bad


def every_code_is_one_event(source, _docs):
    return ["%s stands in %s" % (code, ", ".join(n for n, _t, _a in places))
            for code, places in source.codes().items() if len(places) > 1]


def entries_are_whole(_source, docs):
    entries = documented(docs["errors.md"])
    bad = []
    for code, found in entries.items():
        if len(found) > 1:
            bad.append("%s has two entries" % code)
        bad += ["%s has no %s" % (code, field) for field in ENTRY
                if not found[0].get(field)]
    if list(entries) != sorted(entries):
        bad.append("docs/errors.md is not in order")
    return bad


def severities_are_right(source, docs):
    entries = documented(docs["errors.md"])
    bad = []
    for code, places in source.codes().items():
        _name, text, at = places[0]
        level = level_of(text, at)
        said = entries.get(code, [{}])[0].get("Severity")
        if said != level:
            bad.append("%s is %s, docs/errors.md says %s"
                       % (code, level, said))
    return bad


def texts_are_right(source, docs):
    entries = documented(docs["errors.md"])
    bad = []
    for code, places in source.codes().items():
        _name, text, at = places[0]
        written = format_of(text, at)
        said = entries.get(code, [{}])[0].get("Text", "").strip("`")
        if written and not matches(said, written):
            bad.append("%s: the code writes '%s'" % (code, written))
    return bad


def directives(source):
    rows = re.compile(r'AP_INIT_\w+\([\s\\]*"<?(\w+)"')
    return sorted({name for text in source.files.values()
                   for name in rows.findall(text)})


def every_directive_of_mod_wsgi_is_answered(source, docs):
    """Those that are not ours have no page, but a row of the table."""
    foreign = re.findall(r'PW_FOREIGN_ROW\([^"]*"<?(\w+)"',
                         source.files["pw_foreign.h"])
    rows = docs["migrating.md"]
    return ["%s is not in docs/migrating.md" % name for name in foreign
            if not re.search(r"(?m)^\| (?:`<?%s>?`|\[%s\]\()" % (name, name), rows)]


def every_directive_has_a_page(source, docs):
    pages = {os.path.basename(name)[:-3] for name in docs
             if name.startswith("directives/")} - {"README"}
    names = set(directives(source))
    bad = ["%s has no page" % name for name in names - pages]
    bad += ["docs/directives/%s.md is no directive" % name
            for name in pages - names]
    return bad


def pages_are_whole(source, docs):
    bad = []
    for name in directives(source):
        page = docs.get("directives/%s.md" % name, "")
        bad += ["docs/directives/%s.md has no '%s'" % (name, part)
                for part in PAGE if part not in page]
        if "(%s.md)" % name not in docs["directives/README.md"]:
            bad.append("docs/directives/README.md does not list %s" % name)
    return bad


def transitions(source):
    """state -> set of states, from the table in pw_pool.c."""
    table = re.search(r"transitions\[\] = \{(.*?)\};",
                      source.files["pw_pool.c"], re.DOTALL).group(1)
    return {state: set(re.findall(r"BIT\(PW_(\w+)\)", row)) for state, row in
            re.findall(r"\[PW_(\w+)\] = ([^,]*),", table)}


def states_are_right(source, docs):
    rows = dict(re.findall(r"(?m)^\| `([A-Z]+)` \|([^|]*)\|",
                           docs["internals.md"]))
    bad = []
    for state, follow in transitions(source).items():
        said = set(re.findall(r"`([A-Z]+)`", rows.get(state, "")))
        if state not in rows or said != follow:
            bad.append("docs/internals.md: %s -> %s" % (state, sorted(follow)))
    return bad


def counters_are_described(source, docs):
    names = re.findall(r"\bX\((\w+)\)", source.files["pw_metrics.h"])
    return ["docs/internals.md does not tell the counter %s" % name
            for name in names if "`%s`" % name not in docs["internals.md"]]


def links_lead_somewhere(source, docs):
    bad = []
    for name, text in docs.items():
        base = os.path.join(source.srcdir, "docs", os.path.dirname(name))
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if not os.path.exists(os.path.join(base, link)):
                bad.append("docs/%s: no %s" % (name, link))
    return bad


CHECKS = (every_code_is_described, every_code_is_one_event, entries_are_whole,
          severities_are_right, texts_are_right, every_directive_has_a_page,
          every_directive_of_mod_wsgi_is_answered, pages_are_whole,
          states_are_right, counters_are_described,
          links_lead_somewhere)


def main():
    srcdir = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), os.pardir)
    source = Source(srcdir)
    base = os.path.join(srcdir, "docs")
    docs = {os.path.relpath(path, base): read(path) for path in
            glob.glob(os.path.join(base, "**", "*.md"), recursive=True)}
    failed = 0
    print("1..%d" % (len(CHECKS) + 1))
    for number, check in enumerate(CHECKS, 1):
        bad = check(source, docs)
        print("%sok %d - %s" % ("not " if bad else "", number,
                                check.__name__.replace("_", " ")))
        for line in bad:
            print("# " + line)
        failed += bool(bad)
    # Checks that find nothing to check are worth nothing.
    seen = (len(source.codes()), len(directives(source)),
            len(transitions(source)))
    good = seen[0] >= 40 and seen[1] >= 11 and seen[2] == 7
    print("%sok %d - it has looked at %d codes, %d directives, %d states"
          % (("" if good else "not ", len(CHECKS) + 1) + seen))
    sys.exit(1 if failed or not good else 0)


main()
