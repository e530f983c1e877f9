#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an instance costs in memory, and how long its stages take.

    t/bench/lives.py --module DIR/mod_polywsgi.so [--home VENV] [--replaced 50]

One httpd (event, one child). First the child's memory with 1, 2 and 4 instances,
after 200 requests; then one instance is replaced again and again under load, and
the stages are read from the log: made (the interpreter), loaded (the
application), drained (the calls that it still had) and ended. An application
without a framework, and Flask where --home has it.
"""

import argparse
import os
import re
import shutil
import statistics
import tempfile
import time
import urllib.request

from servers import Settings, home_lines, httpd, memory
from waits import FLASK

PLAIN = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

LINES = """\
LogLevel polywsgi:debug
<WSGIInterpreter one>
    WSGIInstances %d
    WSGIMaxRequests %d
</WSGIInterpreter>
WSGIScriptAlias / %s application-group=one
"""

STAGES = {"made": r"made in (\d+) ms", "loaded": r"PW0200 .* loaded in (\d+) ms",
          "drained": r"drained for (\d+) ms", "ended": r"ended in (\d+) ms"}


class Running:
    """One httpd with the application in so many instances: a context."""

    def __init__(self, args, script, instances=1, requests=0):
        self.root = tempfile.mkdtemp(prefix="pw-lives-")
        os.chmod(self.root, 0o755)
        settings = Settings(self.root, args.module, args.httpd, args.apxs, home=args.home)
        os.mkdir(self.root + "/htdocs")
        with open(self.root + "/app.py", "w") as file:
            file.write(script)
        self.server, self.port = httpd(
            settings, "lives", ["LoadModule polywsgi_module " + os.path.abspath(args.module)],
            home_lines(settings) + [LINES % (instances, requests, self.root + "/app.py")])

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *unused):
        self.server.stop()
        shutil.rmtree(self.root)

    def ask(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/" % self.port, timeout=60) as answer:
            if answer.read() != b"hello":
                raise SystemExit("another answer")

    def logged(self, pattern):
        with open(self.server.dir + "/error_log") as file:
            return re.findall(pattern, file.read())

    def wait_loaded(self, instances):
        end = time.monotonic() + 60
        while not os.path.exists(self.server.dir + "/error_log") \
                or len(self.logged(STAGES["loaded"])) < instances:
            if time.monotonic() > end:
                raise SystemExit("not loaded\n" + self.server.last_words())
            time.sleep(0.02)


def rss(args, script, instances):
    """MB of the processes, with so many."""
    with Running(args, script, instances) as running:
        running.wait_loaded(instances)
        for _ in range(200):
            running.ask()
        return memory(running.server.family())["Rss"] / 1024


def stages(args, script):
    """Name -> milliseconds of each, in order."""
    with Running(args, script, requests=20) as running:
        running.wait_loaded(1)
        end = time.monotonic() + 10 + args.replaced
        while len(running.logged(STAGES["ended"])) < args.replaced and time.monotonic() < end:
            for _ in range(20):
                running.ask()
        return {name: sorted(map(int, running.logged(pattern)))
                for name, pattern in STAGES.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--home", default="", help="a virtual environment that has Flask")
    parser.add_argument("--replaced", type=int, default=50, help="so many instances")
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    args = parser.parse_args()
    for name, script in [("no framework", PLAIN)] + ([("Flask", FLASK)] if args.home else []):
        sizes = [rss(args, script, n) for n in (1, 2, 4)]
        print("%-13s RSS of 1, 2, 4 instances: %.1f %.1f %.1f MB: %.1f MB each" % (
            (name,) + tuple(sizes) + ((sizes[2] - sizes[0]) / 3,)), flush=True)
        for stage, times in stages(args, script).items():
            if not times:
                print("    %-8s none: this Python's interpreters are not replaced" % stage)
                continue
            print("    %-8s median %4d ms, longest %4d ms, of %d" % (
                stage, statistics.median(times), times[-1], len(times)), flush=True)


if __name__ == "__main__":
    main()
