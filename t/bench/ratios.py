#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the hot path is held to: ratios with goals, one command for each.

    t/bench/ratios.py --module DIR/mod_polywsgi.so [RATIO ...]

RATIO: bytes file upload scaling fairness ticket syscalls; by default all. Each is
the median of interleaved rounds in one httpd, so that a busy machine changes
both sides. See t/bench/README.md.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from statistics import median

import bench
from measure import Meter, interleaved, middle, ratio
from servers import HERE, ours, prepare
from workloads import MIB, Request, Workload

# EnableMMAP, EnableSendfile.
WAYS = (("on", "off"), ("off", "off"), ("off", "on"))
SHORT, LONG = 500, 3000  # requests under strace


class Httpd:
    """One httpd with ours, the bare handler and static files: a context."""

    def __init__(self, args, mmap="on", sendfile="off"):
        self.args = args
        self.root = tempfile.mkdtemp(prefix="pw-ratios-")
        self.settings = bench.settings_of(args, self.root)
        self.settings.mmap, self.settings.sendfile = mmap, sendfile

    def __enter__(self):
        prepare(self.settings)
        self.meter = Meter(self.settings)
        self.found = {one.name: one for one in ours(self.settings)}
        bench.start(list(self.found.values()), {})
        return self

    def __exit__(self, *unused):
        self.found["ours"].servers[0].stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def compare(self, names, workload, seconds=None):
        return interleaved(self.meter, [self.found[name] for name in names], workload,
                           self.args.rounds, seconds or self.args.seconds)

    def compare_once(self, name, workload):
        return self.meter.run(self.found[name], workload, self.args.seconds)

    def turns(self, ms):
        """Turns of plain.compute that cost ours so many ms of CPU."""
        probe = Workload("probe", "", [Request("cpu?100000")], connections=1)
        cost = self.meter.run(self.found["ours"], probe, 1)["cpu"]
        return Request("cpu?%d" % (100000 * ms * 1000 / cost))


def says(name, value, goal, more=False, of=""):
    """Prints a ratio, and what it is of; returns it for the JSON."""
    good = value >= goal if more else value <= goal
    print("%-55s %6.2f   goal %s %.2f  %-6s  %s" % (name, value, ">=" if more else "<=", goal,
                                                  "met" if good else "MISSED", of), flush=True)
    return {"name": name, "value": value, "goal": goal, "met": good, "of": of}


def cost(name, rounds, other, goal):
    """The ratio of CPU times of a request."""
    of = "%.0f µs to %.0f µs" % (middle(rounds)["cpu"], middle(other)["cpu"])
    return says(name, ratio(rounds, other, "cpu"), goal, of=of)


def cost_of(httpd, page, name="ours"):
    """CPU of a request in µs."""
    return middle(httpd.compare([name], Workload(page, "", [Request(page)]))[name])["cpu"]


def tell_of_file(httpd, static):
    """What of the ratio no server can save: the call of an application, and what the
    application does to open the file."""
    hello = cost_of(httpd, "hello")
    called, opened = hello - cost_of(httpd, "hello", "bare"), cost_of(httpd, "opens") - hello
    print("    of the static file's %.0f µs: one line of text costs %.0f µs (%.2f) more than by\n"
          "    the bare handler, Python's open() and getsize() %.0f µs (%.2f)"
          % (static, called, called / static, opened, opened / static))


def by(httpd, page, connections):
    work = Workload(page, "", [Request(page)], MIB, connections=connections)
    return httpd.compare(["ours", "static"], work)


def against_static(args, page):
    for mmap, sendfile in WAYS:
        way = "EnableMMAP %s, EnableSendfile %s" % (mmap, sendfile)
        with Httpd(args, mmap, sendfile) as httpd:
            results = by(httpd, page, 8)
            if page == "file":
                tell_of_file(httpd, middle(results["static"])["cpu"])
                alone = by(httpd, page, 1)
                print("    by one connection, where no thread waits for the GIL: %.2f"
                      % ratio(alone["ours"], alone["static"], "cpu"))
        yield cost("%s 1 MiB, %s" % (page, way), results["ours"], results["static"], 1.05)


def upload(args):
    work = Workload("upload", "", [Request("upload", body=b"u" * MIB)])
    with Httpd(args) as httpd:
        results = httpd.compare(["ours", "bare"], work)
    yield cost("upload 1 MiB", results["ours"], results["bare"], 1.3)


def plain_rate(count, seconds=2):
    """What so many processes of python3 compute together, without a server."""
    code = ("import plain, time\n"
            "n, end = 0, time.monotonic() + %g\n"
            "while time.monotonic() < end:\n"
            "    n += 1\n"
            "    plain.compute(20000)\n"
            "print(n)" % seconds)
    crowd = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                              cwd=os.path.join(HERE, "apps")) for _ in range(count)]
    return sum(int(one.communicate()[0]) for one in crowd)


def two_httpds(httpds, one):
    """Requests a second of an application in each of two httpds, both together:
    two processes that share nothing, what the kernel has to give for threads."""
    half = Workload("scaling-two-httpds", "", [one], connections=4)
    results = httpds[0].meter.run_beside([httpd.found["ours"] for httpd in httpds], half, 2)
    return sum(result["rate"] for result in results)


def alone_and_beside(httpds, one):
    """Rounds of one application, of two, of a pool where there are pools; and what the
    machine has to give: to two httpds, and to plain Python."""
    httpd = httpds[0]
    app = httpd.found["ours"]
    two = Request(one.page, "second")
    loads = {"one": (app, [one]), "two applications": (app, [one, two])}
    if "pool" in httpd.found:
        loads["WSGIInstances 2"] = (httpd.found["pool"], [one])
    results = {name: [] for name in loads}
    apart, free = [], []
    for _ in range(httpd.args.rounds):
        for name, (contestant, requests) in loads.items():
            work = Workload("scaling-" + name.replace(" ", "-"), "", requests)
            results[name].append(httpd.meter.run(contestant, work, 2))
        apart.append(two_httpds(httpds, one) / results["one"][-1]["rate"])
        free.append(plain_rate(2) / plain_rate(1))
    print("    in the same rounds: two httpds with one application each, %.2f times one;"
          % median(apart))
    print("    two processes of python3 without a server, %.2f times one" % median(free))
    return results


def scaling(args):
    with Httpd(args) as first, Httpd(args) as second:
        results = alone_and_beside((first, second), first.turns(10))
    one = results.pop("one")
    for name, rounds in results.items():
        of = "%.0f to %.0f a second" % (middle(rounds)["rate"], middle(one)["rate"])
        yield cost("%s, 10 ms: CPU of a request" % name, rounds, one, 1.05)
        yield says("%s, 10 ms: throughput" % name, ratio(rounds, one, "rate"), 1.8, True, of)


def fairness(args):
    with Httpd(args) as httpd:
        for ms in (0.25, 10):
            work = Workload("fairness", "", [httpd.turns(ms)], connections=32)
            found = middle(httpd.compare(["ours"], work, 3)["ours"])
            yield says("32 clients, %g ms of CPU: p99 to median" % ms,
                       found["p99"] / max(found["p50"], 1), 2,
                       of="%.1f ms to %.1f ms" % (found["p99"] / 1000, found["p50"] / 1000))


def ticket(args):
    """The rate with the gate against a module that was built without it."""
    if not args.without:
        print("ticket: needs --without, a module built by `make CPPFLAGS=-DPW_NO_TICKET`")
        return
    other = argparse.Namespace(**dict(vars(args), module=args.without))
    with Httpd(args) as ours_, Httpd(other) as theirs:
        for ms in (0.25, 10):
            work = Workload("ticket", "", [ours_.turns(ms)], connections=32)
            rounds = [(ours_.compare_once("ours", work), theirs.compare_once("ours", work))
                      for _ in range(args.rounds)]
            mine, others = ([pair[side] for pair in rounds] for side in (0, 1))
            yield says("32 clients, %g ms of CPU: rate to that without the ticket" % ms,
                       ratio(mine, others, "rate"), 0.8, True,
                       "p99 %.0f ms to %.0f ms" % (middle(mine)["p99"] / 1000,
                                                   middle(others)["p99"] / 1000))


# ---- system calls ----


def strace(httpd, contestant, count):
    """Name -> number of system calls of the child while it answers so many."""
    child = contestant.servers[0].family()[-1]
    out = httpd.root + "/strace"
    tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-p", str(child),
                               "-o", out], stderr=subprocess.PIPE, text=True)
    tracer.stderr.readline()  # attached
    contestant.ask_often(Request("hello"), count)
    tracer.terminate()
    tracer.communicate()
    with open(out) as file:
        rows = re.findall(r"^\s*(\d+)\s+(\w+)$", file.read(), re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}


def calls_of(httpd, contestant):
    """Name -> system calls of a request: differences of two lengths."""
    few, many = strace(httpd, contestant, SHORT), strace(httpd, contestant, LONG)
    return {name: (many.get(name, 0) - few.get(name, 0)) / (LONG - SHORT)
            for name in set(few) | set(many)}


def syscalls(args):
    if not shutil.which("strace"):
        print("syscalls: no strace")
        return
    with Httpd(args) as httpd:
        bare, own = (calls_of(httpd, httpd.found[name]) for name in ("bare", "ours"))
    names = sorted(set(bare) | set(own), key=lambda name: -own.get(name, 0))
    for name in names:
        counts = own.get(name, 0), bare.get(name, 0)
        if max(counts) >= 0.01:
            print("    %-20s %6.2f   bare handler %6.2f" % ((name,) + counts))
    # One kind that is fewer makes up for no other. How often httpd's listener and
    # workers meet on a futex is chance, of the bare handler's requests too. The goal
    # leaves room for the CPU clock, read for one request in 64.
    more = sum(max(own.get(name, 0) - bare.get(name, 0), 0) for name in names
               if name != "futex")
    yield says("system calls of a request but futex, more than bare", more, 0.1)


RATIOS = {"bytes": lambda args: against_static(args, "bytes"),
          "file": lambda args: against_static(args, "file"),
          "upload": upload, "scaling": scaling, "fairness": fairness, "ticket": ticket,
          "syscalls": syscalls}


def main():
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bench.common_options(parser)
    parser.add_argument("--without", metavar="MODULE",
                        help="built by `make CPPFLAGS=-DPW_NO_TICKET`, for the ratio ticket")
    parser.add_argument("ratios", nargs="*", metavar="RATIO", help=" ".join(RATIOS))
    args = parser.parse_args()
    if not set(args.ratios) <= set(RATIOS):
        parser.error("a RATIO is one of: " + " ".join(RATIOS))
    found = []
    for name in args.ratios or RATIOS:
        found += RATIOS[name](args)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
