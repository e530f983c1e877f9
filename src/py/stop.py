"""Ends what an application has started, within a budget of seconds."""

import sys

_ran = []  # native ids of threads that were started here
_remembered = []  # threads that there were when the end began


def _run_bounded(function, seconds):
    """Runs it in a thread of its own: it may wait for threads for ever."""
    import _thread

    done = _thread.allocate_lock()
    done.acquire()

    def run():
        _ran.append(_thread.get_native_id())
        try:
            function()
        except Exception as error:
            print("at exit: %r" % error, file=sys.stderr)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    return done.acquire(timeout=max(0.0, seconds))


def _run_threading_handlers(threading, seconds):
    """concurrent.futures tells its workers to end, and joins them."""
    handlers = list(getattr(threading, "_threading_atexits", ()))

    def run():
        for handler in reversed(handlers):
            handler()

    if handlers:
        _run_bounded(run, seconds)


def _join_threads(threading, clock, deadline):
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            left = deadline - clock()
            if left > 0:
                thread.join(left)


def stop(budget):
    """As CPython ends: threads first, then atexit handlers; but a thread that
    does not end costs half the budget, not for ever."""
    from time import monotonic

    import atexit

    threading = sys.modules.get("threading")
    if threading is not None:
        deadline = monotonic() + budget / 2
        _run_threading_handlers(threading, budget / 4)
        _join_threads(threading, monotonic, deadline)
    try:
        atexit._run_exitfuncs()
    except BaseException as error:
        print("at exit: %r" % error, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue


def remember_threads():
    """Before the end begins: what is to be joined when it is over."""
    threading = sys.modules.get("threading")
    if threading is not None:
        ours = (threading._MainThread, threading._DummyThread)
        _remembered[:] = [t for t in threading.enumerate() if not isinstance(t, ours)]


def join_threads(seconds):
    """Joins those that were there, daemons too: a thread that has left Python's list
    may still be on its way out. Returns how many have not ended."""
    for thread in _remembered:
        thread.join(seconds)
    return sum(thread.is_alive() for thread in _remembered)


def ran_threads():
    """The native ids of the threads that stop() and hooks have run in."""
    return _ran


def threads():
    """(how many threads the application has, idents of those that threading
    knows). A _DummyThread is one of httpd's."""
    import _thread

    threading = sys.modules.get("threading")
    idents = []
    if threading is not None:
        ours = (threading._MainThread, threading._DummyThread)
        idents = [t.ident for t in threading.enumerate() if not isinstance(t, ours) and t.ident]
    return _thread._count(), idents
