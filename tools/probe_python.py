# SPDX-License-Identifier: Apache-2.0
"""Tells a build what this Python is, as lines of shell assignments.

Run by the candidate itself, so it has to parse with any Python; what it says
comes from that Python's own sysconfig and from nothing else. Exit status: 0
suitable; 3 not suitable, with the reason and the mend on standard error.
"""
import os
import sys
import sysconfig

OLDEST = (3, 11)
NEWEST = (3, 15)


def refuse(reason, mend):
    sys.stderr.write("%s: %s\n    mend: %s\n" % (sys.executable, reason, mend))
    sys.exit(3)


def find_library(variable, short):
    """The path of the shared libpython, or None. Debian keeps it in LIBDIR,
    others in LIBDIR/MULTIARCH, in LIBPL, or below the prefix."""
    arch = variable("MULTIARCH") or ""
    directories = []
    for base in (variable("LIBDIR"), variable("LIBPL"),
                 os.path.join(sys.base_prefix, "lib"),
                 os.path.join(sys.base_prefix, "lib64")):
        if base:
            directories += [base, os.path.join(base, arch)]
    names = [variable("INSTSONAME"), variable("LDLIBRARY"),
             "libpython%s.so.1.0" % short, "libpython%s.so" % short]
    for directory in directories:
        for name in names:
            path = os.path.join(directory, name or "")
            if name and ".so" in name and os.path.isfile(path):
                return path
    return None


def quoted(value):
    return "'" + str(value).replace("'", "'\\''") + "'"


def main():
    variable = sysconfig.get_config_var
    short = "%d.%d" % sys.version_info[:2]
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        refuse("Python %s is not supported" % short,
               "use CPython %d.%d to %d.%d (--with-python=PATH)"
               % (OLDEST + NEWEST))
    if sys.implementation.name != "cpython":
        refuse("%s is not CPython" % sys.implementation.name,
               "use CPython (--with-python=PATH)")
    if variable("Py_GIL_DISABLED"):
        refuse("this is a free-threaded build",
               "use an ordinary build of CPython %s" % short)
    library = find_library(variable, short)
    if not library:
        refuse("it has no shared libpython%s.so" % short,
               "apt-get install libpython%s-dev, or build CPython with "
               "--enable-shared" % short)
    include = sysconfig.get_path("include")
    if getattr(sys, "base_prefix", sys.prefix) != sys.prefix:
        include = variable("INCLUDEPY")
    if not os.path.isfile(os.path.join(include, "Python.h")):
        refuse("its header Python.h is not in %s" % include,
               "apt-get install libpython%s-dev" % short)
    arguments = variable("CONFIG_ARGS") or ""
    for name, value in (
            ("executable", getattr(sys, "_base_executable", sys.executable)),
            ("version", short),
            ("full_version", sys.version.split()[0]),
            ("include", include),
            ("library", library),
            ("libdir", os.path.dirname(library)),
            ("own_gil", "yes" if sys.version_info >= (3, 13) else "no"),
            ("optimized", "yes" if "enable-optimizations" in arguments
             else "no")):
        print("pw_py_%s=%s" % (name, quoted(value)))


main()
