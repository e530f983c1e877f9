"""Says why an application does not load, in words for an administrator.

explain() looks at the exception and at the files around it, as the user that
applications run as, and gives the cause and the mend; or nothing, where the
exception says all there is to say. It changes nothing. The server and the
command polywsgi use the same.
"""

_GONE = {  # modules that the standard library had in an earlier Python
    "asynchat": "3.12", "asyncore": "3.12", "distutils": "3.12", "imp": "3.12",
    "smtpd": "3.12", "cgi": "3.13", "cgitb": "3.13", "crypt": "3.13",
    "imghdr": "3.13", "lib2to3": "3.13", "nntplib": "3.13", "pipes": "3.13",
    "sndhdr": "3.13", "telnetlib": "3.13", "uu": "3.13", "xdrlib": "3.13",
}


def printable(text):
    """Without control characters, and without what is no UTF-8."""
    return "".join(
        c if c.isprintable() else ascii(c)[1:-1].replace("\\\\", "\\") for c in str(text)
    )


def _minor():
    import sys

    return "%d.%d" % sys.version_info[:2]


# ---- permissions ----


def _user(uid):
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def _closed_directory(path):
    """The first directory on the way that this user may not enter, or None;
    the one behind a symbolic link, not the link."""
    import os
    import stat

    at, rest, links = "/", os.path.abspath(path).split("/"), 0
    while rest:
        name = rest.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at)
            continue
        step = os.path.join(at, name)
        try:
            mode = os.lstat(step).st_mode
        except PermissionError:
            return at
        except OSError:
            return None
        if not stat.S_ISLNK(mode):
            at = step
            continue
        links += 1
        if links > 40:
            return None
        target = os.readlink(step)
        at = "/" if target.startswith("/") else at
        rest = target.split("/") + rest
    return None


def _quote(path):
    import shlex

    return shlex.quote(path)


def closed(path):
    """(cause, mend) where this user may not read the file or list the
    directory, or does not get there; else None."""
    import os
    import stat

    at = _closed_directory(path)
    verb, rights = "enter", "x"
    if at is None:
        at = os.path.realpath(path)
        directory = os.path.isdir(at)
        verb, rights = "read", "rx" if directory else "r"
        if not os.path.exists(at) or os.access(at, os.R_OK | (os.X_OK if directory else 0)):
            return None
    status = os.stat(at)
    user, owner = _user(os.geteuid()), _user(status.st_uid)
    cause = "%s: user %s may not %s %s (%04o, owner %s)" % (
        path, user, verb, at, stat.S_IMODE(status.st_mode), owner)
    if status.st_uid == os.geteuid():
        return cause, "chmod u+%s %s" % (rights, _quote(at))
    return cause, "setfacl -m u:%s:%s %s" % (user, rights, _quote(at))


# ---- modules ----


def _environment():
    """The virtual environment that is in force, or None."""
    import os
    import sys

    return sys.prefix if os.path.exists(os.path.join(sys.prefix, "pyvenv.cfg")) else None


def _details():
    import sys

    home = _environment()
    return "sys.path is %s; %s, Python %s" % (
        ":".join(sys.path) or "empty",
        "the environment is %s" % home if home else "no virtual environment",
        sys.version.split()[0])


def _names(directory):
    import os

    try:
        return os.listdir(directory)
    except OSError:
        return []


def _search_path(parent):
    import sys

    if not parent:
        return [entry for entry in sys.path if entry]
    return list(getattr(sys.modules.get(parent), "__path__", ()))


def _of_another_python(leaf, directories):
    """A compiled module of that name for another Python."""
    import importlib.machinery
    import os

    fitting = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for directory in directories:
        for name in sorted(_names(directory)):
            suffix = name[len(leaf):]
            if (name.startswith(leaf + ".") and suffix.endswith(".so")
                    and suffix not in fitting):
                return os.path.join(directory, name)
    return None


def _closed_on_path(leaf, directories):
    import os

    for directory in directories:
        found = closed(directory)
        for candidate in (leaf + ".py", os.path.join(leaf, "__init__.py")):
            found = found or closed(os.path.join(directory, candidate))
        if found:
            return found
    return None


def _in_another_library(name):
    """The environment's packages of another Python, where they have it."""
    import os

    home = _environment()
    lib = os.path.join(home, "lib") if home else ""
    for version in sorted(_names(lib)):
        packages = os.path.join(lib, version, "site-packages")
        if version != "python" + _minor() and name.split(".")[0] in _names(packages):
            return packages
    return None


def _beside_script(name, script):
    """The directory of the script, or one of two above, where it has it."""
    import os

    top, directory = name.split(".")[0], os.path.dirname(script or "")
    for _level in range(3):
        if directory in ("", "/"):
            break
        names = _names(directory)
        if top + ".py" in names or (
                top in names and os.path.isdir(os.path.join(directory, top))):
            return directory
        directory = os.path.dirname(directory)
    return None


def _shadow(parent):
    """The file that hides a package by its name."""
    import sys

    module = sys.modules.get(parent)
    if module is None or hasattr(module, "__path__"):
        return None
    return getattr(module, "__file__", None)


def _pip(name):
    import os

    home = _environment()
    what = "install the package that has it: %s -m pip install %s" % (
        _quote(os.path.join(home, "bin", "python")) if home else "python" + _minor(),
        name.split(".")[0])
    return what if home else (
        "name the virtual environment that has it by WSGIPythonHome, or " + what)


def _why_not_found(name, script):
    parent, _dot, leaf = name.rpartition(".")
    directories = _search_path(parent)
    said = "no module named '%s'" % name
    foreign = _of_another_python(leaf, directories)
    if foreign:
        return "%s: %s was compiled for another Python than %s" % (
            said, foreign, _minor()), "install the package anew with Python " + _minor()
    found = _closed_on_path(leaf, directories)
    if found:
        return "%s: %s" % (said, found[0]), found[1]
    packages = _in_another_library(name)
    if packages:
        return "%s: the environment has it for another Python, in %s; this is Python %s" % (
            said, packages, _minor()), "make the environment anew: python%s -m venv %s" % (
                _minor(), _quote(_environment()))
    hiding = _shadow(parent) if parent else None
    if hiding:
        return "%s: '%s' is %s, which is no package" % (said, parent, hiding), (
            "rename that file, if it hides a package of the same name")
    directory = _beside_script(name, script)
    if directory:
        return "%s: %s has it, but is not in sys.path" % (said, directory), (
            "WSGIPythonPath " + directory)
    if name in _GONE:
        return "%s: Python has it no more since %s" % (said, _GONE[name]), (
            "a release of the package that supports Python " + _minor())
    return said, _pip(name)


def _explain_import(error, script, refused):
    if error.name in refused:
        return None
    if isinstance(error, ModuleNotFoundError):
        return _why_not_found(error.name, script) if error.name else None
    words = str(error)
    if "cannot open shared object file" in words:
        library = words.split(":")[0]
        return words, "install the package of the system that has " + library
    if "undefined symbol: " in words and "Py" in words.split("undefined symbol: ")[1][:3]:
        return "%s: it was compiled for another Python than %s" % (words, _minor()), (
            "install the package anew with Python " + _minor())
    parent, _dot, leaf = (error.name or "").rpartition(".")
    return _closed_on_path(leaf, _search_path(parent)) if leaf else None


# ---- the rest ----


def _explain_syntax(error, script):
    if not error.filename:
        return None
    cause = "%s line %s: %s: %s" % (
        error.filename, error.lineno, type(error).__name__, error.msg)
    if error.text and error.text.strip():
        cause += ": " + error.text.strip()[:200]
    if error.filename == script:
        return cause, "correct that line"
    return cause, "correct that line; in a package, take a release for Python " + _minor()


def _explain_file(error):
    import errno
    import os

    name = error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if not isinstance(name, str) or not name:
        return None
    if error.errno in (errno.EACCES, errno.EPERM):
        return closed(name) or _unwritable(name)
    if error.errno == errno.ENOENT and not os.path.isabs(name):
        return "%s is not there: it is relative, and httpd stands in %s" % (
            name, os.getcwd()), "an absolute path, made from __file__ for example"
    return None


def _unwritable(name):
    import os

    at = name if os.path.exists(name) else os.path.dirname(name)
    user = _user(os.geteuid())
    if not at or os.access(at, os.W_OK):
        return None
    return "%s: user %s may not write to %s" % (name, user, at), (
        "give it to that user, or open it to it: setfacl -m u:%s:rw%s %s" % (
            user, "x" if os.path.isdir(at) else "", _quote(at)))


def _chain(error):
    """The exception and those that it was made from. One that was only in hand
    when it was raised says something of an import alone."""
    for _step in range(10):
        if error is None:
            return
        yield error
        if error.__cause__ is not None:
            error = error.__cause__
        elif isinstance(error, ImportError) and not error.__suppress_context__:
            error = error.__context__
        else:
            return


def _find(error, script, refused):
    for link in _chain(error):
        found = None
        if isinstance(link, SyntaxError):
            found = _explain_syntax(link, script)
        elif isinstance(link, ImportError):
            found = _explain_import(link, script, refused)
        elif isinstance(link, OSError):
            found = _explain_file(link)
        elif type(link).__name__ == "Closed":
            found = closed(script)
        if found:
            details = _details() if isinstance(link, ImportError) else ""
            return (*found, details)
    return None


def explain(error, script, refused):
    """(cause, mend, details or "") or None. refused: the extensions that did
    not load in this kind of interpreter; those are told elsewhere."""
    try:
        found = _find(error, script, refused)
    except Exception:
        return None
    return tuple(printable(text) for text in found) if found else None
