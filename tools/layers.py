# SPDX-License-Identifier: Apache-2.0
"""Checks the house rules that a script can see; prints TAP: layers.py SRCDIR

The floors stand in Makefile.in. A rule that fails names file and line.
"""
import glob
import os
import re
import sys

FLOORS = ("GROUND", "ENGINE", "GATEWAY", "FRONT")
# Headers without a .c of their own.
HEADERS = {"pw_python": "ENGINE", "pw_instance": "ENGINE", "pw_pool_inside": "GROUND",
           "pw_exchange": "GATEWAY", "pw_module": "FRONT"}
GENERATED = ("config.h", "pw_py.h")
HTTPD = re.compile(r"(httpd|http_\w+|ap_\w+|util_\w+|mod_\w+|scoreboard"
                   r"|mpm_common)\.h")
INCLUDE = re.compile(r'\s*#\s*include\s+[<"]([^>"]+)[>"]')
VERSION_IF = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(PY_VERSION_HEX"
                        r"|PY_M\w+_VERSION|Py_GIL_DISABLED|__clang__|__GNUC__"
                        r"|AP_SERVER_\w+|AP_MODULE_MAGIC\w*|MODULE_MAGIC\w*"
                        r"|APR_M\w+_VERSION)")
VERSION_FILES = ("pw_python.h", "pw_lock.h")
STATE_FILES = ("mod_polywsgi.c", "mod_wsgi.c", "pw_runtime.c",
               "pw_ghost.c")
# Tables that CPython's API wants without const; nothing writes to them.
PY_TABLES = re.compile(r"\b(PyModuleDef|PyMethodDef|PyMemberDef|PyGetSetDef"
                       r"|PyType_Slot|PyType_Spec|PyModuleDef_Slot)\b")
NOT_STATE = re.compile(r"(typedef|extern|struct|enum|union|AP_DECLARE_MODULE"
                       r"|APLOG_USE_MODULE|APR_DECLARE_OPTIONAL_FN"
                       r"|__attribute__|_Static_assert|static_assert)\b")
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
                    r"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


class Source:
    def __init__(self, path):
        self.path = path
        self.base = os.path.basename(path)
        self.noun = os.path.splitext(self.base)[0]
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.code = TOKENS.sub(blank, self.text)
        self.includes = []
        for number, line in enumerate(self.text.splitlines(), 1):
            found = INCLUDE.match(line)
            if found:
                self.includes.append((number, found.group(1)))

    def at(self, number, what):
        return "%s:%d: %s" % (self.base, number, what)

    def lines(self):
        return enumerate(self.code.splitlines(), 1)


def blank(found):
    """A comment becomes spaces, a literal keeps its quotes; lines stay."""
    text = found.group(0)
    hole = re.sub(r"[^\n]", " ", text)
    return '"' + hole[1:-1] + '"' if text[0] in "\"'" else hole


def read_floors(srcdir):
    """noun -> index of its floor, from the lists in Makefile.in."""
    with open(os.path.join(srcdir, "Makefile.in"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    floors = {noun: FLOORS.index(floor) for noun, floor in HEADERS.items()}
    for index, floor in enumerate(FLOORS):
        line = re.search(r"^%s = (.*)$" % floor, text, re.MULTILINE)
        for noun in line.group(1).split():
            floors[noun] = index
    return floors


def every_file_has_a_floor(sources, floors):
    return ["%s stands on no floor in Makefile.in" % s.base
            for s in sources if s.noun not in floors]


def includes_go_downward(sources, floors):
    bad = []
    for source in sources:
        own = floors.get(source.noun, len(FLOORS))
        for number, name in source.includes:
            theirs = floors.get(os.path.splitext(name)[0])
            if theirs is not None and theirs > own:
                bad.append(source.at(number, "includes %s from above" % name))
            elif name.startswith("pw_") and theirs is None \
                    and name not in GENERATED:
                bad.append(source.at(number, "includes unknown %s" % name))
    return bad


def python_h_in_one_place(sources, _floors):
    return [s.at(n, "includes " + name) for s in sources
            for n, name in s.includes
            if s.base != "pw_python.h" and name in
            ("Python.h", "structmember.h", "frameobject.h")]


def reach(name, by_name, seen):
    """All headers that a file includes, and theirs."""
    for _number, header in by_name[name].includes:
        if header not in seen:
            seen.add(header)
            if header in by_name:
                reach(header, by_name, seen)
    return seen


def no_python_on_ground_and_front(sources, floors):
    by_name = {source.base: source for source in sources}
    outer = (FLOORS.index("GROUND"), FLOORS.index("FRONT"))
    return ["%s reaches Python.h" % s.base for s in sources
            if floors.get(s.noun) in outer
            and "pw_python.h" in reach(s.base, by_name, set())]


def httpd_only_on_front(sources, floors):
    return [s.at(n, "includes " + name) for s in sources
            for n, name in s.includes
            if HTTPD.fullmatch(name)
            and floors.get(s.noun) != FLOORS.index("FRONT")]


def forbidden_words(sources, _floors):
    bad = []
    words = re.compile(r"\b(PyGILState_\w+|Py_Finalize\w*"
                       r"|static\s+PyTypeObject)\b")
    for source in sources:
        for number, line in source.lines():
            found = words.search(line)
            if found:
                bad.append(source.at(number, "uses " + found.group(0)))
    return bad


def version_ifs_in_one_place(sources, _floors):
    return [s.at(n, "#if on a version") for s in sources
            for n, line in s.lines()
            if VERSION_IF.match(line) and s.base not in VERSION_FILES]


def nothing_is_left_to_do(sources, _floors):
    words = re.compile(r"\b(TODO|XXX|FIXME)\b")
    return [s.at(n, "open question") for s in sources
            for n, line in enumerate(s.text.splitlines(), 1)
            if words.search(line)]


def is_constant(declaration):
    """const itself, and not merely a pointer to const."""
    head = declaration.split("=")[0]
    return "const" in head.rsplit("*", 1)[-1]


def statements(source):
    """(line, text, depth) of each statement; a function's head is dropped."""
    code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$",
                  lambda m: re.sub(r"[^\n]", "", m.group(0)),
                  source.code, flags=re.MULTILINE)
    depth = in_value = 0
    start, text, line = 1, "", 1
    for char in code:
        if not text.strip():
            start = line
        line += char == "\n"
        if char == "{":
            value = text.rstrip().endswith("=") or in_value
            if value or re.match(r"\s*(static |const )*(typedef|struct|enum"
                                 r"|union)\b[^()]*$", text):
                in_value += 1
                continue
            depth, text = depth + 1, ""
        elif char == "}":
            if in_value:
                in_value -= 1
                continue
            depth, text = depth - 1, ""
        elif char == ";" and not in_value:
            yield start, text.strip(), depth
            text = ""
        elif not in_value:
            text += char


def state_in_few_files(sources, _floors):
    bad = []
    for source in sources:
        if source.base in STATE_FILES or source.base.endswith(".h"):
            continue
        for number, whole, depth in statements(source):
            text = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", whole)
            head = text.split("=")[0]
            if depth and not text.startswith("static "):
                continue
            if not text or NOT_STATE.match(text) or PY_TABLES.search(head) \
                    or ("(" in head and "(*" not in head) \
                    or is_constant(text):
                continue
            bad.append(source.at(number, "mutable state: " +
                                 " ".join(head.split())))
    return bad


def heads_and_width(sources, _floors):
    bad = []
    for source in sources:
        if "SPDX-License-Identifier: Apache-2.0" not in source.text[:200]:
            bad.append("%s has no SPDX line at its head" % source.base)
        for number, line in enumerate(source.text.splitlines(), 1):
            if len(line) > 80:
                bad.append(source.at(number, "%d columns" % len(line)))
    return bad


def codes_are_unique(sources, _floors):
    """A code stands for one event: one label format, so one place."""
    bad, seen = [], {}
    for source in sources:
        if source.base.endswith(".h"):
            continue
        for number, line in enumerate(source.text.splitlines(), 1):
            for code in re.findall(r'"(PW\d{4})\b', line):
                place = source.at(number, code)
                if code in seen:
                    bad.append("%s, also in %s" % (place, seen[code]))
                seen[code] = place
    return bad


def python_names_are_unique(sources, _floors):
    """The parts of src/py share one namespace: the later of two would win."""
    bad, seen = [], {}
    src = os.path.dirname(sources[0].path)
    for path in sorted(glob.glob(os.path.join(src, "py", "*.py"))):
        with open(path, encoding="utf-8") as file:
            names = re.findall(r"(?m)^(?:(?:def|class) (\w+)|(\w+) = )",
                               file.read())
        for name in [function or value for function, value in names]:
            if name in seen:
                bad.append("%s is in %s and %s" % (name, seen[name],
                                                   os.path.basename(path)))
            seen[name] = os.path.basename(path)
    if len(seen) < 40:
        bad.append("found %d names in src/py" % len(seen))
    return bad


RULES = (
    ("every source file stands on a floor", every_file_has_a_floor),
    ("includes go only downward", includes_go_downward),
    ("Python.h enters through pw_python.h", python_h_in_one_place),
    ("GROUND and FRONT see no Python type", no_python_on_ground_and_front),
    ("httpd's headers stay on the FRONT", httpd_only_on_front),
    ("no PyGILState, no Py_Finalize, no static type", forbidden_words),
    ("#if on a version only in the shims", version_ifs_in_one_place),
    ("no open question in the source", nothing_is_left_to_do),
    ("mutable state only in a few files", state_in_few_files),
    ("every file has its head, no line is over 80", heads_and_width),
    ("every log code has one place", codes_are_unique),
    ("a name of src/py is in one file", python_names_are_unique),
)


def main():
    srcdir = sys.argv[1] if len(sys.argv) > 1 else "."
    paths = sorted(glob.glob(os.path.join(srcdir, "src", "*.[ch]")))
    sources = [Source(path) for path in paths]
    floors = read_floors(srcdir)
    failed = 0
    print("1..%d" % len(RULES))
    for number, (name, rule) in enumerate(RULES, 1):
        bad = rule(sources, floors)
        failed += bool(bad)
        print("%sok %d - %s" % ("not " if bad else "", number, name))
        for line in bad:
            print("#   " + line)
    sys.exit(1 if failed else 0)


main()
