"""What applications want called: polywsgi.on_start and on_stop, and the same
under mod_wsgi's names.

C calls run_start() and run_stop() for one hook after the other, and writes the
records. A hook that is called in the end has a thread of its own, so that one
that hangs costs its share of the time and no more.
"""

import sys

import _thread

_lock = _thread.RLock()
_starts = []  # (name, hook): those of the load that is going on
_stops = []  # likewise, of polywsgi.on_stop
_subscribed = []  # likewise, of mod_wsgi: called with an event
_phase = {"loading": True, "over": False}

# Seconds that a hook has at least, but half of what is left for all.
_LEAST = 0.5

# The release of mod_wsgi whose names and arguments these are.
_MOD_WSGI = (6, 0, 0)


def _with_name(hook, what):
    """What the record of a failure calls it."""
    if not callable(hook):
        raise TypeError("%s takes a callable, not %r" % (what, hook))
    return str(getattr(hook, "__qualname__", type(hook).__qualname__)), hook


def on_start(hook):
    """Has the hook called once the application that is being loaded has loaded;
    at once where none is being loaded. Returns the hook."""
    named = _with_name(hook, "polywsgi.on_start")
    with _lock:
        if _phase["loading"]:
            _starts.append(named)
            return hook
    hook()
    return hook


def _add_to(hooks, hook, what):
    named = _with_name(hook, what)
    with _lock:
        if _phase["over"]:
            raise RuntimeError("%s: this interpreter is ending" % what)
        hooks.append(named)
    return hook


def on_stop(hook):
    """Has the hook called before this interpreter ends, the last registered
    first. Returns the hook."""
    return _add_to(_stops, hook, "polywsgi.on_stop")


def _subscribe_shutdown(callback):
    """Has callback(event, **kwds) called before this interpreter ends. Returns
    the callback."""
    return _add_to(_subscribed, callback, "mod_wsgi.subscribe_shutdown")


def _subscribe_events(callback):
    """The same: of mod_wsgi's events there is process_stopping alone."""
    return _add_to(_subscribed, callback, "mod_wsgi.subscribe_events")


def load_begins():
    """Returns what load_failed() wants to be given."""
    _phase["loading"] = True
    return len(_starts)


def load_failed(before):
    """What the failed application wanted called at its start is forgotten; what
    it has to close is not."""
    with _lock:
        del _starts[before:]
        _phase["loading"] = False


def _outcome(function, *args, **kwds):
    try:
        function(*args, **kwds)
    except BaseException as error:
        return error
    return None


def run_start():
    """Calls the next hook: (its name, what it raised or None). None: there was
    none left, and from now on they are called at once."""
    with _lock:
        if not _starts:
            _phase["loading"] = False
            return None
        name, hook = _starts.pop(0)
    return name, _outcome(hook)


def run_stop(seconds, reason):
    """Calls the next hook of the end and waits for its share of the seconds that
    are left for all: (its name, what it raised or None, whether it is done,
    milliseconds that it had). None: there was none left."""
    with _lock:
        share = max(seconds / (len(_subscribed) + len(_stops) or 1), min(_LEAST, seconds / 2))
        if _subscribed:
            name, callback = _subscribed.pop(0)
            args, kwds = ("process_stopping",), {"shutdown_reason": reason}
        elif _stops:
            (name, callback), args, kwds = _stops.pop(), (), {}
        else:
            _phase["over"] = True
            return None
    raised = []
    done = _run_bounded(  # noqa: F821  of stop.py
        lambda: raised.append(_outcome(callback, *args, **kwds)), share)
    return name, raised[0] if raised else None, done, int(share * 1000)


def _mod_wsgi(polywsgi, processes, threads):
    """The module that mod_wsgi's applications import: no package, as there."""
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    module = ModuleType("mod_wsgi", "What applications of mod_wsgi ask of it.")
    module.__spec__ = ModuleSpec("mod_wsgi", None, origin="mod_polywsgi")
    module.version = _MOD_WSGI
    module.process_group = ""
    module.application_group = (
        "" if polywsgi.isolation == "main" else polywsgi.interpreter)
    module.maximum_processes = processes
    module.threads_per_process = threads
    module.subscribe_shutdown = _subscribe_shutdown
    module.subscribe_events = _subscribe_events
    return module


def set_up_hooks(polywsgi, processes, threads):
    """Before site runs: a .pth file may import them."""
    for function in (on_start, on_stop):
        function.__module__ = "polywsgi"
        setattr(polywsgi, function.__name__, function)
    for function in (_subscribe_shutdown, _subscribe_events):
        function.__module__ = "mod_wsgi"
        function.__name__ = function.__qualname__ = function.__name__.lstrip("_")
    sys.modules["mod_wsgi"] = _mod_wsgi(polywsgi, processes, threads)
