"""Loads a WSGI application from its script file or module."""

import sys

_scripts = {}


class Closed(Exception):
    """The script is missing or may not be read: nothing of it has run."""


def _read(path):
    import os

    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            return file.read(), stamp_of(status)  # noqa: F821  of files.py
    except OSError as error:
        raise Closed("%s: %s" % (path, error.strerror)) from None


def _module_name(path):
    import binascii

    return "_polywsgi_script_%08x" % binascii.crc32(path.encode("utf-8", "surrogateescape"))


def _load_script(path):
    """The script runs once in an interpreter, for all its callables; again
    only where it has changed on disk since."""
    import importlib.machinery
    import types

    source, stamp = _read(path)
    if path in _scripts and _scripts[path][0] == stamp:
        return _scripts[path][1]
    name = _module_name(path)
    module = types.ModuleType(name)
    module.__file__ = path
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin=path)
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    _scripts[path] = (stamp, module)
    note_source(path, stamp)  # noqa: F821  of files.py
    return module


def _load_module(name):
    import importlib

    importlib.invalidate_caches()
    return importlib.import_module(name)


def _target(script, module, name):
    target = _load_script(script) if script else _load_module(module)
    if name is None:
        return target
    where = script or module
    for part in name.split("."):
        if not hasattr(target, part):
            raise AttributeError(
                "%s has no %r; WSGICallableObject or callable-object= names "
                "another callable than 'application'" % (where, name)
            )
        target = getattr(target, part)
    if not callable(target):
        raise TypeError("%s: %r is a %s, not a callable" % (where, name, type(target).__name__))
    return target


def load(script, module, name):
    """Returns the callable, or the module where there is no name. SystemExit and
    its kind pass through: the caller logs them like any other exception."""
    loading()  # noqa: F821  of boot.py
    before = load_begins()  # noqa: F821  of hooks.py
    try:
        return _target(script, module, name)
    except BaseException:
        load_failed(before)  # noqa: F821  of hooks.py
        raise
