"""Gives a new interpreter its own environment.

Python starts without `site`; boot() runs it for the interpreter's virtual
environment, and makes private what CPython shares in a process: os.environ,
the streams, signals. Called once, before any application is loaded.
"""

import os
import sys

_python = sys.executable  # of this Python, not of a virtual environment
_refused = []
_refused_late = []  # by requests; each is said once
_load = {"going": True}

_REFUSALS = (
    "does not support loading in subinterpreters",
    "can only be loaded into one interpreter per process",
    "do not yet support subinterpreters",
    "may only be initialized once per interpreter process",
    "cannot load module more than once per process",
    "failed to import from subinterpreter",
)


# What C libraries read from the environment of the process.
_FOR_LIBRARIES = (b"SSL_CERT_FILE", b"SSL_CERT_DIR", b"TZ", b"ORACLE_HOME", b"TNS_ADMIN",
                  b"NLS_LANG")
_process = {}  # the environment of the process
_said = []
_notices = []  # a stream at level warn


def _is_for_libraries(key):
    if key.startswith(b"PG") and key[2:].isalpha() and key[2:].isupper():
        return True
    return key in _FOR_LIBRARIES or key.startswith((b"LD_", b"KRB5"))


def _warn_of_variable(key, value):
    """In place of putenv: says so once where a library would have to see it, and
    the process does not have that value anyway."""
    if _said or not _is_for_libraries(key) or _process.get(key) == value:
        return
    _said.append(key)
    name = os.fsdecode(key)
    print(
        "os.environ[%r] is set in this interpreter alone; libraries in C do not see it. "
        "Mend: WSGIProcessEnv %s VALUE in httpd's configuration" % (name, name),
        file=(_notices or [sys.stderr])[0],
    )


def _set_up_environment(env):
    """os.environ is this interpreter's alone: putenv would reach all others.

    Child processes that take the environment of the C library get this one.
    """
    _process.update((os.fsencode(key), os.fsencode(value)) for key, value in os.environ.items())
    os.putenv = _warn_of_variable
    os.unsetenv = lambda key: None
    os.reload_environ = lambda: None
    os.environ.update(env)
    _mend_child_processes()


def _environment_list():
    return [
        os.fsencode(key) + b"=" + os.fsencode(value) for key, value in os.environ.items()
    ]


def _with_environment(spawn):
    """Since 3.13 no environment means that of the C library, and subprocess
    spawns so where it can."""

    def spawn_with_environment(path, argv, env=None, **options):
        options.setdefault("setsigmask", ())
        return spawn(path, argv, os.environ if env is None else env, **options)

    return spawn_with_environment


def _mend_child_processes():
    """A child process gets os.environ, and a signal mask of its own.

    httpd's threads block all signals, and a child of one would inherit that:
    Popen.terminate() would never end it.
    """
    import _posixsubprocess
    from _signal import SIG_SETMASK, pthread_sigmask

    fork_exec = _posixsubprocess.fork_exec

    def fork_exec_with_environment(args, programs, close_fds, pass_fds, cwd, env, *rest):
        if env is None:
            env = _environment_list()
        blocked = pthread_sigmask(SIG_SETMASK, ())
        try:
            return fork_exec(args, programs, close_fds, pass_fds, cwd, env, *rest)
        finally:
            pthread_sigmask(SIG_SETMASK, blocked)

    def system(command):
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, setsigmask=())
        return os.waitpid(pid, 0)[1]

    _posixsubprocess.fork_exec = fork_exec_with_environment
    os.system = system
    os.posix_spawn = _with_environment(os.posix_spawn)
    os.posix_spawnp = _with_environment(os.posix_spawnp)


def _set_up_site(home):
    """What `site` does at the start of python3, for this environment."""
    import site

    if home:
        sys.prefix = sys.exec_prefix = home
        sys.executable = os.path.join(home, "bin", "python3")
        if not os.path.exists(sys.executable):
            sys.executable = os.path.join(home, "bin", "python")
    site.ENABLE_USER_SITE = False
    site.main()


def _add_path(path):
    """The directories come first in sys.path, in their order, with their
    .pth files, as mod_wsgi's WSGIPythonPath does."""
    import site

    before = list(sys.path)
    for directory in path.split(":"):
        if directory:
            site.addsitedir(directory)
    sys.path[:] = [entry for entry in sys.path if entry not in before] + before


def _set_up_modules(options):
    """The streams of `polywsgi`, what it offers, and `mod_wsgi`."""
    import polywsgi

    set_up_hooks(polywsgi, options["processes"], options["threads"])  # noqa: F821  of hooks.py
    sys.stdout = sys.__stdout__ = polywsgi._Stream("stdout")
    _notices.append(sys.stdout)
    sys.stderr = sys.__stderr__ = polywsgi._Stream("stderr")


_TRIAL_LIMIT = 20  # seconds
# Run by python3: does the extension load in an interpreter with its own GIL?
_TRIAL = """
import json, os, sys
import _datetime, _interpreters
name, path, sys_path = json.loads(sys.argv[1])
source = '''
import _imp, sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
sys.path[:] = %r
_imp.create_dynamic(ModuleSpec(%r, ExtensionFileLoader(%r, %r), origin=%r))
''' % (sys_path, name, name, path, path)
config = _interpreters.new_config("isolated", allow_threads=True, allow_daemon_threads=True)
failed = _interpreters.exec(_interpreters.create(config), source)
os._exit(3 if failed and "interpreter" in failed.msg else 0)
"""


def _spawn_trial(job):
    """The id of a process of this Python, which may have been copied to where
    WSGIPythonHome says: then its program and its library are there."""
    inside = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    python = inside if os.access(inside, os.X_OK) else _python
    libraries = [os.environ.get("LD_LIBRARY_PATH"), os.path.join(sys.base_prefix, "lib")]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    return os.posix_spawn(
        python, [python, "-I", "-S", "-c", _TRIAL, job],
        dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join(filter(None, libraries))),
        file_actions=null)


def _crashes(spec):
    """Before 3.14.4 an extension that refuses may leave the heap damaged (cpython
    144601), which ends the process sooner or later. There one that is not Python's
    own is tried in a process of its own first."""
    if sys.version_info >= (3, 14, 4) or "lib-dynload" in str(spec.origin):
        return False
    import json
    from signal import SIGKILL
    from time import monotonic, sleep

    try:
        pid = _spawn_trial(json.dumps([spec.name, spec.origin, sys.path]))
    except OSError:
        return True  # it cannot be tried
    end = monotonic() + _TRIAL_LIMIT
    done, status = os.waitpid(pid, os.WNOHANG)
    while not done and monotonic() < end:
        sleep(0.005)
        done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, SIGKILL)
        os.waitpid(pid, 0)
    return not done or status != 0


def _watch_extensions(isolation):
    """A refused extension is often hidden by its package: note it where it
    happens."""
    import _imp

    create = _imp.create_dynamic

    def create_dynamic(spec, file=None):
        try:
            if isolation == "own-gil" and _crashes(spec):
                raise ImportError(
                    "module %s does not support loading in subinterpreters" % spec.name,
                    name=spec.name, path=spec.origin)
            stamp = file_stamp(spec.origin)  # noqa: F821  of files.py
            module = create(spec) if file is None else create(spec, file)
            note_object(spec.origin, stamp)  # noqa: F821  of files.py
            return module
        except ImportError as error:
            if any(words in str(error) for words in _REFUSALS):
                _note_refusal(spec.name)
            raise

    _imp.create_dynamic = create_dynamic


def _note_refusal(name):
    """For the records of the load that is going on; a line of its own where a
    request asks for the module."""
    if _load["going"]:
        _refused.append(name)
    elif name not in _refused_late:
        _refused_late.append(name)
        print(
            "the extension module %s does not load in an interpreter of this kind. Mend: run "
            "the application in the main interpreter, application-group=%%{GLOBAL}" % name,
            file=(_notices or [sys.stderr])[0],
        )


def loading():
    """A load begins."""
    _refused.clear()
    _load["going"] = True


def refused():
    """The extensions that refused since the load began, which is over."""
    names = list(dict.fromkeys(_refused))
    _refused.clear()
    _load["going"] = False
    return names


def _ignore_signals():
    """Signals belong to httpd. A handler that an application sets is ignored,
    and said so, instead of an exception that keeps it from starting. So is a
    timer: without the handler its signal ends the process."""
    import _signal

    def ignore(signalnum, handler):
        print("signal.signal(%s) is ignored: signals belong to httpd" % signalnum,
              file=sys.stderr)
        return _signal.getsignal(signalnum)

    def no_alarm(seconds):
        print("signal.alarm(%s) is ignored: signals belong to httpd" % seconds, file=sys.stderr)
        return 0

    def no_timer(which, seconds, interval=0.0):
        print("signal.setitimer(%s) is ignored: signals belong to httpd" % which,
              file=sys.stderr)
        return (0.0, 0.0)

    _signal.signal = ignore
    _signal.alarm = no_alarm
    _signal.setitimer = no_timer


def _mend_current_frames():
    """Before 3.14.8, sys._current_frames() in one interpreter aborts the
    process while another runs (cpython 158364). Profilers call it."""
    if sys.version_info >= (3, 14, 8):
        return

    def current_frames():
        import _thread

        return {_thread.get_ident(): sys._getframe(1)}

    sys._current_frames = current_frames


class _Restricted:
    """A standard stream that may not be used (WSGIRestrictStdin, -Stdout)."""

    def __init__(self, stream, directive):
        object.__setattr__(self, "_text", "sys.%s may not be used: %s is On" % (stream, directive))

    def __getattribute__(self, name):
        raise OSError(object.__getattribute__(self, "_text"))

    def __iter__(self):
        raise OSError(object.__getattribute__(self, "_text"))


def _restrict(options):
    if options["restrict_stdin"]:
        sys.stdin = sys.__stdin__ = _Restricted("stdin", "WSGIRestrictStdin")
    if options["restrict_stdout"]:
        sys.stdout = sys.__stdout__ = _Restricted("stdout", "WSGIRestrictStdout")
    if options["restrict_signal"]:
        _ignore_signals()


def boot(home, path, env, isolation, options):
    """A new interpreter of the server."""
    _set_up_modules(options)
    settle(home, path, env, isolation, options)


def settle(home, path, env, isolation, options):
    """All but those modules, in the order in which it depends on itself; the
    command polywsgi tries applications with the same."""
    sys.argv = ["polywsgi"]
    _set_up_environment(env)
    _restrict(options)
    if options["switch_interval"] > 0:
        sys.setswitchinterval(options["switch_interval"])
    if isolation != "main":
        _mend_current_frames()
        _watch_extensions(isolation)
    _set_up_site(home)
    if path:
        _add_path(path)
