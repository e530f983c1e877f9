#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""polywsgi: what mod_polywsgi serves, and whether it would load.

    polywsgi check     tries each application as httpd's run-time user
    polywsgi config    tells what is mounted where
    polywsgi status, stacks, wait-ready
                       ask the children of a running httpd

It asks `httpd -t -D DUMP_POLYWSGI` and reads no configuration file itself. The
tree's tools/command.py makes the program of this file: it fills in the values
below, and with them the Python parts of the module, so that an application is
loaded here as it is in httpd.
"""

import argparse
import json
import os
import pwd
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

VERSION = ""
HTTPD = ""  # of the build
PARTS = []  # (name, source) of src/py and attempt.py
CONTROL = ""  # the source of control.py

FINE, FAILING, UNKNOWN = 0, 1, 2
PLACES = "/usr/sbin:/usr/local/sbin:/usr/local/apache2/bin:/sbin"
CONFIG_LIMIT = 60  # seconds for httpd -t
GRACE = 3  # and for what a process does besides loading
OUTPUT_LIMIT = 1 << 20  # bytes of a process that are kept
TAIL = 25  # lines of a traceback
BOOTSTRAP = """\
for name, source in job["parts"]:
    exec(compile(source, "<polywsgi %s>" % name, "exec"), globals())
"""


class CannotTell(Exception):
    """There is no answer: exit status 2."""


def printable(text):
    """Without control characters, whoever wrote it: see src/py/cause.py."""
    return "".join(
        c if c.isprintable() else ascii(c)[1:-1].replace("\\\\", "\\") for c in str(text)
    )


def say(text="", indent=""):
    sys.stdout.write(indent + printable(text) + "\n")


# ---- httpd ----


def find_httpd(named):
    path = os.environ.get("PATH", "") + ":" + PLACES
    for name in [named] if named else [HTTPD, "apache2", "httpd"]:
        found = shutil.which(name, path=path) if name else None
        if found:
            return found
    raise CannotTell("no httpd found%s. Mend: name it by --httpd PROGRAM"
                     % (": %s" % named if named else ""))


def environment(httpd):
    """The environment of httpd: that of Debian's envvars, or of those beside
    the program, as apachectl reads them."""
    name = "/etc/apache2/envvars"
    if os.path.basename(httpd) != "apache2" or not os.path.exists(name):
        name = os.path.join(os.path.dirname(httpd), "envvars")
    if not os.path.exists(name):
        return dict(os.environ)
    done = subprocess.run(["sh", "-c", '. "$1" >/dev/null && env -0', "sh", name],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=CONFIG_LIMIT)
    if done.returncode:
        raise CannotTell("%s: %s" % (name, decode(done.stderr).strip()))
    pairs = [os.fsdecode(pair).partition("=") for pair in done.stdout.split(b"\0")]
    return {key: value for key, _equals, value in pairs if key}


def decode(data):
    return data.decode("utf-8", "backslashreplace")


def read_map(args, *defines):
    """The resolved configuration, and the environment that httpd has."""
    httpd = find_httpd(args.httpd)
    env = environment(httpd)
    command = [httpd, "-t"]
    if args.file:
        command += ["-f", os.path.abspath(args.file)]
    for define in ("DUMP_POLYWSGI", *defines, *args.define):
        command += ["-D", define]
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=False,
                              capture_output=True, timeout=CONFIG_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotTell("%s: %s" % (" ".join(command), error)) from None
    if done.returncode:
        raise CannotTell("%s says:\n%s" % (" ".join(command), decode(done.stderr + done.stdout)))
    text = decode(done.stdout)
    if "{" not in text:
        raise CannotTell("%s prints no map: mod_polywsgi is not loaded in this configuration. "
                         "Mend: a2enmod polywsgi, or its LoadModule line" % " ".join(command))
    return json.loads(text[text.index("{"):]), env


# ---- config ----


def mount_of(mount):
    port = mount["port"]
    shown = ":%d" % port if port not in (0, 80, 443) else ""
    return "%s%s%s" % (mount["server"] or "", shown, mount["prefix"])


def target_of(app):
    if app["script"] is None:
        return "%s:%s" % (app["module"], app["callable"])
    return app["script"] + ("" if app["callable"] == "application" else " " + app["callable"])


def print_table(rows):
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())


def tell_finders(found):
    """What runs scripts that the configuration does not name one by one."""
    say()
    say("Scripts that requests find, in up to %d more interpreters of each child:"
        % found["interpreter_limit"])
    rows = [("MOUNT", "BELOW", "INTERPRETER", "FROM")]
    rows += [(mount_of(m), m["path"], m["group"] or "one for each file",
              "%s:%s" % (m["file"], m["line"])) for m in found["finders"]]
    rows.append(("any", "files with the handler wsgi-script", "one for each file", "-"))
    print_table(rows)


def tell_config(args):
    found, _env = read_map(args)
    if args.json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=True)
        say()
        return FINE
    say("Python %s, served as user %s" % (found["python"], found["user"]))
    say()
    rows = [("MOUNT", "APPLICATION", "INTERPRETER", "ISOLATION", "FROM")]
    for interp in found["interpreters"]:
        for app in interp["applications"]:
            rows += [(mount_of(m), target_of(app), interp["name"], interp["isolation"],
                      "%s:%s" % (m["file"], m["line"])) for m in app["mounts"]]
    print_table(rows)
    if found["may_find"]:
        tell_finders(found)
    say()
    rows = [("INTERPRETER", "ENVIRONMENT", "WSGIPythonPath", "VARIABLES")]
    for interp in found["interpreters"]:
        rows.append((interp["name"], interp["home"] or "-", interp["path"] or "-",
                     " ".join(interp["env"]) or "-"))
    print_table(rows)
    return FINE


# ---- check: the process ----


class User:
    """Who the applications are tried as."""

    def __init__(self, found):
        self.name = found["user"]
        self.options = {}
        if os.geteuid() == 0:
            self.options = self.become(found)

    def become(self, found):
        import grp

        try:
            entry = (pwd.getpwuid(int(self.name)) if self.name.isdigit()
                     else pwd.getpwnam(self.name))
            group = found["group"]
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except (KeyError, OverflowError):
            raise CannotTell("no user %s or no group %s on this machine"
                             % (self.name, found["group"])) from None
        return {"user": entry.pw_uid, "group": gid,
                "extra_groups": os.getgrouplist(entry.pw_name, gid)}


def python_of(found):
    """The python3 that belongs to the libpython of httpd."""
    if found["python_home"]:
        inside = os.path.join(found["python_home"], "bin",
                              "python" + found["python"].rpartition(".")[0])
        if os.path.exists(inside):
            return inside
    return found["executable"]


def has_ended(pid):
    """Without reaping it, so that its number is not another's."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def collect(pid, pipes, deadline):
    """The bytes of each pipe, until all are closed, the process has ended or
    its time is over (then None is among them)."""
    texts = {pipe: b"" for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        ended = False
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                texts[None] = b""
                break
            ready = selector.select(0 if ended else min(left, 0.05))
            if not ready and ended:
                break
            for key, _events in ready:
                data = os.read(key.fd, 65536)
                texts[key.fd] = (texts[key.fd] + data)[-OUTPUT_LIMIT:]
                if not data:
                    selector.unregister(key.fd)
            ended = ended or has_ended(pid)
    return texts


def flags_of(options):
    """python3's, for what the configuration says of Python as a whole."""
    flags = ["-O"] * options["optimize"] + ["-B"] * options["dont_write_bytecode"]
    for warning in options["warnings"]:
        flags += ["-W", warning]
    return flags


def run_attempt(python, job, env, user):
    """(result or None, what it printed, status or None where it hung)."""
    result_end, fd = os.pipe()
    env = dict(env, **job["options"]["env_values"])
    program = "import json, sys\njob = json.load(sys.stdin)\n%sattempt(job)\n" % BOOTSTRAP
    job = dict(job, fd=fd, bootstrap=BOOTSTRAP, parts=PARTS)
    with tempfile.TemporaryFile("w+", encoding="ascii") as stdin:
        json.dump(job, stdin)
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                [python, "-I", "-S", "-X", "utf8", *flags_of(job["options"]), "-c", program],
                stdin=stdin,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(fd,),
                start_new_session=True, env=env, cwd="/", **user.options)
        except OSError as error:
            os.close(result_end)
            raise CannotTell("%s: %s" % (python, error)) from None
        finally:
            os.close(fd)
    printed = process.stdout.fileno()
    try:
        texts = collect(process.pid, (result_end, printed),
                        time.monotonic() + job["limit"] + GRACE)
        hung = None in texts and not has_ended(process.pid)
    finally:
        kill_group(process.pid)
        process.wait()
        process.stdout.close()
        os.close(result_end)
    return read_result(texts[result_end]), decode(texts[printed]), (
        None if hung else process.returncode)


def kill_group(pid):
    """The process, not reaped yet, and all that it has started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def read_result(data):
    """What the process says is not to be trusted: None if it is no result."""
    try:
        result = json.loads(data)
    except ValueError:
        return None
    return result if isinstance(result, dict) and "loaded" in result else None


# ---- check: the words ----


def died(status):
    if status is None:
        return "it was not done in time, and said nothing"
    if status < 0:
        return "its import ended the process by %s" % signal.Signals(-status).name
    return "its import ended the process, with status %d" % status


def refusal(names, isolation):
    return "the extension module %s does not load in an interpreter of this kind (%s)" % (
        ", ".join(str(name) for name in names), isolation)


def judge(result, status, job):
    """(cause, mend) of what has failed."""
    if result is None:
        return died(status), ""
    if result.get("hangs"):
        return "its import was not done after %g s" % job["limit"], (
            "see below what it waits for; a longer time is given by WSGIStartupTimeout")
    if result.get("refused"):
        return refusal(result["refused"], job["isolation"]), (
            "run it in the main interpreter, application-group=%{GLOBAL}")
    return result.get("cause") or result.get("summary") or "no reason given", (
        result.get("mend") or "")


def say_lines(text, indent):
    lines = str(text).splitlines()
    if len(lines) > TAIL:
        say("| ... %d lines left out ..." % (len(lines) - TAIL), indent)
    for line in lines[-TAIL:]:
        say("| " + line, indent)


def say_failure(label, result, status, printed, job):
    cause, mend = judge(result, status, job)
    say("FAILS  %s: %s" % (label, cause))
    indent = " " * 7
    if mend:
        say("mend: %s" % mend, indent)
    result = result or {}
    if result.get("details"):
        say(result["details"], indent)
    if result.get("summary") and result["summary"] != cause:
        say(result["summary"], indent)
    say_lines(result.get("trace") or "", indent)
    if printed.strip():
        say("it printed:", indent)
        say_lines(printed, indent)


def say_success(label, result, job):
    say("ok     %s (%s, %d ms)" % (label, job["isolation"], 1000 * result.get("seconds", 0)))
    if result.get("refused"):
        say("note: %s; its package went on without it, perhaps slower"
            % refusal(result["refused"], job["isolation"]), " " * 7)


def say_notes(result):
    for note in result.get("notes") or []:
        say("note: %s" % note[0], " " * 7)
        say("mend: %s" % note[1], " " * 13)


# ---- check ----


def job_of(found, interp, app, limit):
    return {
        "interpreter": interp["name"], "isolation": interp["isolation"],
        "home": interp["home"], "path": interp["path"], "env": interp["env_values"],
        "script": app["script"], "module": app["module"], "callable": app["callable"],
        "python": found["python"], "version": VERSION,
        "limit": limit or interp["startup_timeout"], "notes": [],
        "options": found["options"],
    }


def wanted(found, names):
    """The (interpreter, application) pairs to check."""
    pairs = [(interp, app) for interp in found["interpreters"]
             for app in interp["applications"]]
    for name in names:
        if not any(name in (interp["name"], app["label"]) for interp, app in pairs):
            raise CannotTell("no interpreter or application %s; see polywsgi config" % name)
    return [(interp, app) for interp, app in pairs
            if not names or interp["name"] in names or app["label"] in names]


def check_one(python, job, label, env, user):
    """1 where it would fail."""
    result, printed, status = run_attempt(python, job, env, user)
    loaded = result is not None and result["loaded"] is True
    if loaded:
        say_success(label, result, job)
    else:
        say_failure(label, result, status, printed, job)
    say_notes(result or {})
    sys.stdout.flush()
    return 0 if loaded else 1


def check(args):
    found, env = read_map(args, "DUMP_POLYWSGI_ENV")
    pairs = wanted(found, args.name)
    user = User(found)
    python = python_of(found)
    say("%d application%s, as user %s, with %s (%s)" % (
        len(pairs), "" if len(pairs) == 1 else "s", user.name, python, found["python"]))
    if not user.options:
        say("not root: httpd's children may be another user, who may read less")
    failing = 0
    for interp, app in pairs:
        failing += check_one(python, job_of(found, interp, app, args.timeout), app["label"],
                             env, user)
    say("%d fine, %d would fail" % (len(pairs) - failing, failing))
    return FAILING if failing else FINE


# ---- asking a running httpd ----


def load_control():
    module = types.ModuleType("control")
    exec(compile(CONTROL, "<polywsgi control>", "exec"), module.__dict__)
    return module


def socket_dir(args):
    if args.socket_dir:
        return args.socket_dir
    found, _env = read_map(args)
    if not found["interpreters"] and not found["may_find"]:
        raise CannotTell("no application is configured")
    return found["control_dir"]


def ask_children(control, args, command, argument=""):
    """Those that have answered, at least one; of others it tells why not."""
    directory = socket_dir(args)
    try:
        children = control.ask(directory, command, argument)
    except FileNotFoundError:
        children = []
    except OSError as error:
        raise CannotTell("%s: %s" % (directory, error.strerror)) from None
    if not children:
        raise CannotTell("no child of httpd has a socket in %s. Mend: start httpd; or see its "
                         "error log for PW0170 to PW0172" % directory)
    answered = [child for child in children if child.answer is not None]
    for child in children:
        if child.answer is None:
            complain("child %d %s" % (child.pid, child.error))
    if not answered:
        raise CannotTell("no child has answered")
    return answered


def complain(line):
    sys.stderr.write("polywsgi: %s\n" % printable(line))


def short(seconds):
    """A time for a column."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return "%.3g ms" % (1000 * seconds)
    return "%.3g s" % seconds if seconds < 100 else "%d s" % seconds


# ---- status ----


def row_of(name, total):
    instances = total.get("instances", {})
    served = total.get("served", {})
    return (name, total["state"], total["isolation"],
            " ".join("%d %s" % (instances[s], s) for s in sorted(instances)) or "-",
            total["running"], total["queued"], sum(served.values()), served.get("5xx", 0),
            sum(total.get("refused", {}).values()), total["exceptions"],
            short(total["p50"]), short(total["p99"]), total["last_error"] or "-")


def status(args):
    control = load_control()
    children = ask_children(control, args, "status")
    totals = control.add_up(children)
    if args.json:
        json.dump({"interpreters": totals,
                   "children": [{"pid": c.pid, "status": c.answer} for c in children]},
                  sys.stdout, indent=2, ensure_ascii=True)
        say()
        return FINE
    rows = [("INTERPRETER", "STATE", "ISOLATION", "INSTANCES", "RUNNING", "QUEUED", "SERVED",
             "5XX", "REFUSED", "EXCEPTIONS", "P50", "P99", "LAST ERROR")]
    rows += [row_of(name, totals[name]) for name in sorted(totals)]
    print_table(rows)
    say()
    rows = [("CHILD", "GENERATION", "AGE", "PYTHON", "IN FLIGHT", "OLDEST")]
    for child in children:
        rows += [row_of_child(control, child.pid, one, control.number(child.answer, "time"))
                 for one in control.items(child.answer, "children")[:1]]
    print_table(rows)
    return FINE


def row_of_child(control, pid, one, now):
    calls = control.items(one, "calls")
    oldest = max(calls, key=lambda call: control.number(call, "seconds"), default=None)
    return (pid, control.number(one, "generation"),
            "%d s" % max(now - control.number(one, "started"), 0), control.text(one, "python"),
            len(calls), words_of(control, oldest) if oldest else "-")


# ---- stacks ----

# Of a request that has no stack, by its phase.
OUTSIDE = {"body": "its body is read first",
           "queue": "it waits for a place, or for its application to load",
           "sending": "its response is on its way"}


def words_of(control, call):
    request = " ".join(word for word in (control.text(call, "method"),
                                         control.text(call, "path")) if word)
    return "%s, for %s" % (request or "a request", short(control.number(call, "seconds")))


def times_of(control, call):
    """Where its time went: each phase that is over, and the one it is in."""
    here = control.text(call, "phase")
    times = []
    for phase in ("queue", "attach"):
        if here in (phase, "body"):
            break
        times.append((phase, control.number(call, phase + "_seconds")))
    times.append((here, control.number(call, "phase_seconds")))
    return ", ".join("%s %s" % (phase, short(seconds)) for phase, seconds in times if phase)


def say_stack(control, where):
    frames = control.items(where, "stack")
    if where.get("cut"):
        say("  ... (outer calls left out)")
    for frame in reversed(frames):
        say('  File "%s", line %d, in %s' % (
            control.text(frame, "file"), control.number(frame, "line"),
            control.text(frame, "function")))
    return bool(frames)


def say_call(control, pid, call, why):
    say("child %d, %s: %s (%s)" % (
        pid, control.text(call, "application") or "?", words_of(control, call),
        times_of(control, call)))
    if not say_stack(control, call):
        say("  %s" % why)
    say()


def say_held(control, pid, instance):
    holder = control.part(instance, "holder")
    if not holder:
        who = "a thread that is no request's, or one request after the other"
    elif control.text(holder, "phase") == "load":
        who = "the thread that loads or ends %s" % control.text(holder, "interpreter")
    else:
        who = "%s: %s (%s)" % (control.text(holder, "application")
                               or control.text(holder, "interpreter"),
                               words_of(control, holder), times_of(control, holder))
    say("child %d, interpreter %s: no stacks within %d s. Its GIL is held, by a call that does "
        "not let go of it: %s" % (pid, control.text(instance, "interpreter"), 1, who))
    say()


def say_instance(control, pid, instance):
    """How many requests are in it."""
    calls = control.items(instance, "calls")
    why = "no Python code runs in it"
    if control.text(instance, "gil") == "held":
        say_held(control, pid, instance)
        why = "its stack cannot be had"
    own = control.part(instance, "own")
    loading = control.text(instance, "loading")
    if loading or control.items(own, "stack"):
        say("child %d, interpreter %s: %s" % (
            pid, control.text(instance, "interpreter"),
            "loads %s" % loading if loading else "its own thread"))
        if not say_stack(control, own):
            say("  %s" % why)
        say()
    for call in calls:
        say_call(control, pid, call, why)
    return len(calls)


def stacks(args):
    control = load_control()
    count = 0
    for child in ask_children(control, args, "stacks", args.name or ""):
        for instance in control.items(child.answer, "instances"):
            count += say_instance(control, child.pid, instance)
        others = control.items(child.answer, "others")
        for call in others:
            say_call(control, child.pid, call, OUTSIDE.get(
                control.text(call, "phase"), "it is in no interpreter now"))
        count += len(others)
    say("%d request%s in flight" % (count, "" if count == 1 else "s"))
    return FINE


# ---- wait-ready ----


def look(control, directory):
    """None: there is no socket yet."""
    try:
        return control.Readiness(control.ask(directory, "ready"))
    except FileNotFoundError:
        return control.Readiness([])
    except OSError as error:
        raise CannotTell("%s: %s" % (directory, error.strerror)) from None


def say_unready(ready):
    if not ready.count:
        complain("no child of httpd answers")
    for pid in ready.silent:
        complain("child %d does not answer yet" % pid)
    for label, _state, pid in ready.with_state("loading"):
        complain("%s is still loading in child %d" % (label, pid))


def wait_ready(args):
    control = load_control()
    directory = socket_dir(args)
    deadline = time.monotonic() + args.timeout
    ready = look(control, directory)
    while not ready.is_settled() and not ready.closed and time.monotonic() < deadline:
        time.sleep(0.1)
        ready = look(control, directory)
    if ready.closed:
        raise CannotTell("you may not ask: root may, the user who started httpd, and those "
                         "whom WSGIControlUser names")
    if not ready.is_settled():
        say_unready(ready)
        raise CannotTell("not ready within %g s" % args.timeout)
    for pid in ready.stopped:
        complain("Python did not start in child %d" % pid)
    for label, _state, pid in ready.with_state("failed"):
        complain("%s did not load in child %d; see httpd's error log" % (label, pid))
    failed = bool(ready.stopped or ready.with_state("failed"))
    say("%d loaded, %d failed, %d not asked for yet, in %d child%s" % (
        len(ready.with_state("loaded")), len(ready.with_state("failed")),
        len(ready.with_state("idle")), ready.count, "" if ready.count == 1 else "ren"))
    return FAILING if failed else FINE


# ---- the command line ----


def seconds(text):
    value = float(text)
    if not 0 < value < 86400:
        raise ValueError
    return value


def parse(argv):
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-f", dest="file", metavar="FILE", help="httpd's configuration file")
    common.add_argument("--httpd", metavar="PROGRAM", help="the httpd to ask")
    common.add_argument("-D", dest="define", metavar="NAME", action="append", default=[],
                        help="a define for httpd, as at its start")
    parser = argparse.ArgumentParser(
        prog="polywsgi", description="What mod_polywsgi serves, and whether it would load.",
        epilog="Exit status: 0 fine, 1 an application would fail, 2 cannot tell.")
    parser.add_argument("--version", action="version", version="polywsgi " + VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    checker = commands.add_parser("check", parents=[common],
                                  help="try each application as httpd's run-time user")
    checker.add_argument("name", nargs="*", help="interpreters or applications to try")
    checker.add_argument("--timeout", type=seconds, metavar="SECONDS",
                         help="for each import; default: its WSGIStartupTimeout")
    checker.set_defaults(run=check)
    teller = commands.add_parser("config", parents=[common],
                                 help="tell what is mounted where")
    teller.add_argument("--json", action="store_true", help="as httpd prints it")
    teller.set_defaults(run=tell_config)
    add_askers(commands, common)
    return parser.parse_args(argv)


def add_askers(commands, common):
    asking = argparse.ArgumentParser(add_help=False, parents=[common])
    asking.add_argument("--socket-dir", metavar="DIR",
                        help="where the children's sockets are; default: as httpd -t says")
    teller = commands.add_parser("status", parents=[asking],
                                 help="tell what the running children count")
    teller.add_argument("--json", action="store_true", help="all of it, as JSON")
    teller.set_defaults(run=status)
    dumper = commands.add_parser("stacks", parents=[asking],
                                 help="tell where each request in flight is in its code")
    dumper.add_argument("name", nargs="?", help="an interpreter or application")
    dumper.set_defaults(run=stacks)
    waiter = commands.add_parser("wait-ready", parents=[asking],
                                 help="wait until every application is loaded or has failed")
    waiter.add_argument("--timeout", type=seconds, default=60, metavar="SECONDS",
                        help="default: 60")
    waiter.set_defaults(run=wait_ready)


def main():
    args = parse(sys.argv[1:])
    try:
        return args.run(args)
    except CannotTell as error:
        for line in str(error).splitlines():
            complain(line)
        return UNKNOWN
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return UNKNOWN
    except KeyboardInterrupt:
        return UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
