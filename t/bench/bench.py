#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: ours, a bare C handler, httpd's static files, and peers.

    t/bench/bench.py --module DIR/mod_polywsgi.so [--json FILE]

See t/bench/README.md. Prints ratios to ours: rates and times of one machine in
one run. Exit status 1 where ours, the bare handler or httpd failed.
"""

import argparse
import glob
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps"))

import plain  # noqa: E402  (of apps)

import report  # noqa: E402
from measure import Meter, calibrate, interleaved, middle, proven  # noqa: E402
from peers import PEERS  # noqa: E402
from servers import CORES, Contestant, Settings, give, memory, ours, prepare  # noqa: E402
from workloads import Request, table  # noqa: E402

OWN = ("ours", "pool", "bare", "static")


def common_options(parser):
    """What ratios.py takes too."""
    parser.add_argument("--module", required=True, help="mod_polywsgi.so")
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5,
                        help="of a load; there are rounds x workloads x servers of them")
    parser.add_argument("--python-home", default=None,
                        help="virtual environment with Flask and Django; "
                        "default: the one of the tests, where they have made it")
    parser.add_argument("--libpython", default="",
                        help="libpython3.x.so.1.0 to load in place of the linked one")
    parser.add_argument("--json", help="file for all figures")


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common_options(parser)
    parser.add_argument("--peers", default=None,
                        help="names; '' for none; default: all that are installed")
    parser.add_argument("--workloads", default="", help="names; default: all")
    parser.add_argument("--rate", type=float, default=100, help="of the mix, requests a second")
    parser.add_argument("--mmap", default="on", help="EnableMMAP")
    parser.add_argument("--sendfile", default="off", help="EnableSendfile")
    parser.add_argument("--no-instructions", dest="instructions", action="store_false",
                        help="do not count instructions (valgrind; two minutes)")
    parser.add_argument("--quick", action="store_true",
                        help="does it work? One round, no instructions, no peers but those "
                        "of --peers, meaningless figures")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.instructions = 1, 0.3, False
    if args.peers is None:
        args.peers = "" if args.quick else ",".join(PEERS)
    return args


def test_home():
    """The virtual environment that t/run keeps, of this Python."""
    base = os.environ.get("PW_TEST_VENVS", "t-venvs")
    homes = glob.glob(os.path.join(os.path.abspath(base),
                                   "venvs-%s" % platform.python_version(), "web"))
    return homes[0] if homes else ""


def settings_of(args, root, sockets=""):
    home = test_home() if args.python_home is None else args.python_home
    return Settings(root=root, sockets=sockets, module=args.module, httpd=args.httpd,
                    apxs=args.apxs,
                    home=os.path.abspath(home) if home else "",
                    libpython=os.path.abspath(args.libpython) if args.libpython else "")


def contestants(settings, names):
    """(those there are, name -> why one is not there)."""
    found, absent = ours(settings), {}
    for name in names:
        peer = PEERS[name](settings)
        if isinstance(peer, Contestant):
            found.append(peer)
        else:
            absent[name] = peer
    return found, absent


def all_servers(found):
    """Each once, those behind a proxy before it."""
    servers = []
    for contestant in found:
        servers += [server for server in contestant.servers if server not in servers]
    return servers


def first_answers(contestant):
    """Waits until each of its applications answers: '' or why one does not."""
    pages = {"flask": "page", "django": "page"}
    usual = "bytes" if contestant.name == "static" else "hello"
    whys = [contestant.wait(Request(pages.get(app, usual), app)) for app in contestant.mounts]
    return "; ".join(why for why in whys if why)


def start(found, absent):
    """Starts all; a peer that does not answer is left out, and why."""
    for server in all_servers(found):
        server.start()
    for contestant in list(found):
        why = first_answers(contestant)
        if why:
            found.remove(contestant)
            absent[contestant.name] = why
            if contestant.name in OWN:
                raise SystemExit("%s: %s" % (contestant.title, why))


def versions(settings):
    line = subprocess.check_output([settings.httpd, "-v"], text=True).splitlines()[0]
    return {"httpd": line.partition(": ")[2], "python": platform.python_version(),
            "machine": "%s, %d cores" % (platform.machine(), CORES),
            "home": settings.home, "libpython": settings.libpython}


def run_workload(meter, found, workload, args):
    """Results by contestant, and what went wrong."""
    wrong = {}
    able = []
    for contestant in (one for one in found if one.does(workload)):
        why = proven(contestant, workload)
        if why:
            wrong[contestant.name] = why
        else:
            able.append(contestant)
    results = interleaved(meter, able, workload, args.rounds, args.seconds)
    return {"title": workload.title, "yardstick": workload.yardstick, "wrong": wrong,
            "connections": workload.connections, "offered": workload.rate,
            "results": {name: dict(middle(rounds), rounds=rounds)
                        for name, rounds in results.items()}}


def chosen(args, settings):
    turns = calibrate(plain.compute)
    names = [name for name in args.workloads.split(",") if name]
    everything = table(lambda ms: turns * ms, args.rate)
    unknown = set(names) - {workload.name for workload in everything}
    if unknown:
        raise SystemExit("no such workload: " + ", ".join(sorted(unknown)))
    return [workload for workload in everything if not names or workload.name in names]


def weigh(found):
    return {one.name: dict(memory(one.pids()), processes=len(one.pids()), title=one.title,
                           settings=one.settings) for one in found}


def had_errors(name, result):
    return any(workload["results"].get(name, {}).get("errors")
               for workload in result["workloads"].values())


def instructions(args):
    if not args.instructions:
        return None
    if not shutil.which("valgrind"):
        print("instructions: no valgrind", file=sys.stderr)
        return None
    import instructions as counter
    return counter.rows(args)


def run(args, settings):
    settings.mmap, settings.sendfile = args.mmap, args.sendfile
    settings.frameworks = tuple(name for name in ("flask", "django") if settings.imports(name))
    names = [name for name in args.peers.split(",") if name]
    found, absent = contestants(settings, names)
    servers = all_servers(found)  # also of those that start() leaves out
    meter = Meter(settings)
    result = {"versions": versions(settings), "rounds": args.rounds, "seconds": args.seconds,
              "workloads": {}}
    try:
        start(found, absent)
        for workload in chosen(args, settings):
            if not workload.apps() <= set(found[0].mounts):
                absent[workload.name] = "the home has no such framework"
                continue
            report.progress(workload.name)
            result["workloads"][workload.name] = run_workload(meter, found, workload, args)
        result["servers"] = weigh(found)
        result["logs"] = {one.name: one.servers[0].last_words() for one in found
                          if had_errors(one.name, result)}
    finally:
        for server in reversed(servers):
            server.stop()
    result["absent"] = absent
    result["instructions"] = instructions(args)
    return result


def failures(result):
    """What must not be: errors of ours, the bare handler or httpd."""
    lines = []
    for name, workload in result["workloads"].items():
        lines += ["%s, %s: %s" % (name, who, why) for who, why in workload["wrong"].items()
                  if who in OWN]
        lines += ["%s, %s: %d errors in %d requests"
                  % (name, who, one["errors"], one["requests"])
                  for who, one in workload["results"].items()
                  if who in OWN and (one["errors"] or not one["requests"])]
    return lines


def main():
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))
    args = options()
    root = tempfile.mkdtemp(prefix="pw-bench-")
    sockets = tempfile.mkdtemp(prefix="pw-", dir="/tmp")
    give(sockets)
    try:
        settings = settings_of(args, root, sockets)
        prepare(settings)
        result = run(args, settings)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)
    report.text(result)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(result, file, indent=1)
    bad = failures(result)
    for line in bad:
        print("FAILED " + line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
