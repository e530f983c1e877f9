# SPDX-License-Identifier: Apache-2.0
"""Asks the children of an httpd on their control sockets, all at once.

A module of its own, which polywsgi.py makes of its text. What a child says is
not to be trusted: any program of the run-time user may have put the socket
there. So everything is taken out of an answer by text(), number() and items(),
which give what was asked for whatever there is, and is shown escaped.
"""
import json
import os
import re
import socket
import stat
import struct
import threading
import time

LIMIT = 5  # seconds for each child
ANSWER_LIMIT = 64 << 20  # bytes
BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)


class NotASocket(Exception):
    pass


class Child:
    """One that has a socket: its answer, or why there is none."""

    def __init__(self, name):
        self.name = name
        self.pid = int(name.partition(".")[0])
        self.answer = None
        self.error = "does not answer within %d s" % LIMIT
        self.dead = False
        self.closed = False  # it may not be asked


# ---- what an answer holds ----


def number(where, key):
    value = where.get(key) if isinstance(where, dict) else None
    fine = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if fine and abs(value) < 1 << 62 else 0


def text(where, key):
    value = where.get(key) if isinstance(where, dict) else None
    return value if isinstance(value, str) else ""


def part(where, key):
    value = where.get(key) if isinstance(where, dict) else None
    return value if isinstance(value, dict) else {}


def items(where, key):
    value = where.get(key) if isinstance(where, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def numbers(where, key):
    value = where.get(key) if isinstance(where, dict) else None
    return [n for n in value if isinstance(n, int)] if isinstance(value, list) else []


# ---- asking ----


def find(directory):
    """The children with a socket. Where the directory may not be listed, those
    of all processes that have one."""
    try:
        names = os.listdir(directory)
    except PermissionError:
        names = [pid + ".sock" for pid in os.listdir("/proc") if pid.isdigit()
                 and os.path.exists(os.path.join(directory, pid + ".sock"))]
    names = [name for name in names if re.fullmatch(r"[1-9][0-9]{0,9}\.sock", name)]
    return [Child(name) for name in sorted(names, key=lambda name: int(name[:-5]))]


def connect(sock, path, deadline):
    """The kernel keeps a few who wait, and lets others in by turn: but only those
    who sleep in connect(). Python's own time limit would make it try once."""
    left = max(deadline - time.monotonic(), 0.001)
    limit = struct.pack("ll", int(left), int(left % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    try:
        sock.connect(path)
    except BlockingIOError:
        raise TimeoutError from None


def receive(sock, deadline):
    """Up to the end, b"" there. One who refuses may close without reading."""
    sock.settimeout(max(deadline - time.monotonic(), 0.001))
    try:
        return sock.recv(1 << 16)
    except ConnectionResetError:
        return b""


def open_socket(path):
    """Of the socket itself: a symbolic link could lead root to any other."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotASocket
    return fd


def exchange(fd, line, deadline):
    data, size = [], 0
    with socket.socket(socket.AF_UNIX) as sock:
        connect(sock, "/proc/self/fd/%d" % fd, deadline)
        try:
            sock.sendall(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has said why
        while size < ANSWER_LIMIT and (not data or data[-1]):
            data.append(receive(sock, deadline))
            size += len(data[-1])
    return b"".join(data)


def remove(path):
    """The socket of one that is no more."""
    try:
        os.unlink(path)
    except OSError:
        pass


def take(child, command, data):
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if text(answer, "error"):
        child.error = text(answer, "error")
        child.closed = "may not ask" in child.error
    elif number(answer, "protocol") != 1 or command not in answer:
        child.error = "says what is no answer"
    else:
        child.answer = answer[command]


def ask_one(child, directory, command, argument, deadline):
    path = os.path.join(directory, child.name)
    line = ("1 %s %s" % (command, argument)).strip() + "\n"
    try:
        fd = open_socket(path)
    except FileNotFoundError:
        child.dead = True
        return
    except (OSError, NotASocket):
        child.error = "has a file that is no socket, or cannot be opened"
        return
    try:
        take(child, command, exchange(fd, line.encode("utf-8", "replace"), deadline))
    except ConnectionRefusedError:
        child.dead = True
        remove(path)
    except PermissionError:
        child.closed = True
        child.error = "you may not ask: its socket is closed to you"
    except TimeoutError:
        pass  # as it is said
    except OSError as error:
        child.error = str(error)
    finally:
        os.close(fd)


def ask(directory, command, argument=""):
    """The children that live, each with its answer or error."""
    children = find(directory)
    deadline = time.monotonic() + LIMIT
    threads = [threading.Thread(target=ask_one, daemon=True,
                                args=(child, directory, command, argument, deadline))
               for child in children]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline + 0.5 - time.monotonic(), 0))
    return [child for child in children if not child.dead]


# ---- adding up ----

SUMS = ("accepted", "dropped", "exceptions", "loads", "load_failures", "in_flight", "queued",
        "running", "thread_states")
STATES = ("failing", "broken", "loading", "idle", "ready", "gone")  # the worst first


def add(total, more):
    for key in more:
        total[key] = total.get(key, 0) + number(more, key)


def quantile(buckets, share):
    """Within a bucket as Prometheus's histogram_quantile; None: nothing there."""
    counts = [number(buckets, key) for key in
              ("0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1", "0.5", "1", "5",
               "30", "+Inf")]
    rank, below = sum(counts) * share, 0
    if not sum(counts):
        return None
    for i, bound in enumerate(BOUNDS):
        if counts[i] > 0 and below + counts[i] >= rank:
            low = BOUNDS[i - 1] if i else 0
            return low + (bound - low) * (rank - below) / counts[i]
        below += counts[i]
    return BOUNDS[-1]


def add_interpreter(total, one):
    for key in SUMS:
        total[key] = total.get(key, 0) + number(one, key)
    for key in ("served", "refused"):
        add(total.setdefault(key, {}), part(one, key))
    times = part(part(one, "seconds"), "application")
    add(total.setdefault("buckets", {}), part(times, "buckets"))
    for instance in items(one, "instances"):
        state = text(instance, "state")
        states = total.setdefault("instances", {})
        states[state] = states.get(state, 0) + 1
    state = text(one, "state")
    worst = [s for s in STATES if s in (state, total.get("state"))]
    total["state"] = worst[0] if worst else state
    total["isolation"] = text(one, "isolation")
    total["last_error"] = text(one, "last_error") or total.get("last_error", "")


def add_up(children):
    """By name: what the children that answer have counted together."""
    totals = {}
    for child in children:
        for one in items(child.answer, "interpreters"):
            add_interpreter(totals.setdefault(text(one, "name"), {}), one)
    for total in totals.values():
        total["p50"] = quantile(total["buckets"], 0.5)
        total["p99"] = quantile(total["buckets"], 0.99)
    return totals


# ---- readiness ----


class Readiness:
    """What the children of the newest configuration say."""

    def __init__(self, children):
        answers = [(child, child.answer) for child in children if child.answer is not None]
        self.closed = bool(children) and all(child.closed for child in children)
        self.running = max((number(a, "running_generation") for _c, a in answers), default=-1)
        mine = [(c, a) for c, a in answers if number(a, "generation") == self.running]
        self.count = len(mine)
        expected = set()
        for _child, answer in mine:
            expected.update(numbers(answer, "children"))
        self.silent = sorted(expected - {child.pid for child, _a in mine})
        self.stopped = [c.pid for c, a in mine if a.get("started") is not True]
        self.apps = [(text(app, "application"), text(app, "state"), child.pid)
                     for child, answer in mine for app in items(answer, "applications")]

    def with_state(self, *states):
        return [app for app in self.apps if app[1] in states]

    def is_settled(self):
        return self.count > 0 and not self.silent and not self.with_state("loading")
