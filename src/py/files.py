"""Which files are not on disk any more as this interpreter has loaded them."""

import os
import sys
from types import ModuleType

_objects = {}  # shared objects by their path: as they were when they were loaded
_sources = {}  # files of other modules, likewise


def file_stamp(path):
    """Another number when the file is another one; None: there is none."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return stamp_of(status)


def stamp_of(status):
    return hash((status.st_ino, status.st_size, status.st_mtime_ns))


def note_object(path, stamp):
    _objects.setdefault(path, stamp)


def note_source(path, stamp):
    """Of one that is loaded again where it has changed."""
    _sources[path] = stamp


def note_sources():
    """After a load. Nothing of a module is asked: it may be one that is lazy."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            path = object.__getattribute__(module, "__dict__").get("__file__")
            if type(path) is str and path not in _sources and path not in _objects:
                _sources[path] = file_stamp(path)


def _printable(path):
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _changed(stamps):
    """(path, stamp now) of those that are another file, or none."""
    for path, stamp in list(stamps.items()):
        now = file_stamp(path)
        if stamp is not None and now != stamp:
            yield path, now


def changed_object():
    """The path of such a shared object, or None."""
    for path, _now in _changed(_objects):
        return _printable(path)
    return None


def changed_sources():
    """The path of such a file, and a number above 0 for what all of them are
    now; or None."""
    from binascii import crc32

    changed = list(_changed(_sources))
    if not changed:
        return None
    return _printable(changed[0][0]), crc32(repr(changed).encode("utf-8", "backslashreplace")) | 1
