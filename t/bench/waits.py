#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The longest wait of a request while children come and go.

    t/bench/waits.py --module DIR/mod_polywsgi.so [--home VENV] [--apps 20]
                     [--preload on|off|wait]

One httpd (event), N applications, each in its own interpreter: Flask ones
where --home has Flask, else ones that import a usual set of the standard
library. Clients ask one application after the other, without a pause, each
request on a new connection; printed are the longest and the median wait

  steady   nothing happens
  restart  one graceful restart in the middle
  child    so many more clients that the MPM adds a child

and every request that failed (none may).
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

CONF = """\
ServerRoot {root}
PidFile {root}/httpd.pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {root}/error_log
LogLevel warn polywsgi:info
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule polywsgi_module {module}
StartServers 1
ServerLimit 8
ThreadsPerChild 16
MinSpareThreads 8
MaxSpareThreads 64
MaxRequestWorkers 64
DefaultRuntimeDir {root}
WSGIPreload {preload}
{home}
{mounts}
"""

FLASK = """\
import flask
application = flask.Flask(__name__)

@application.route("/")
def index():
    return "hello"
"""

PLAIN = """\
import json, logging, sqlite3, decimal, datetime, email, http.client, ssl, asyncio

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Load:
    """Closed-loop clients; keeps each request's seconds."""

    def __init__(self, port, apps, clients):
        self.port, self.apps = port, apps
        self.waits, self.errors = [], []
        self.stopping = False
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True)
                        for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        while not self.stopping:
            n += 1
            begin = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
                connection.request("GET", "/app%d/" % (n % self.apps),
                                   headers={"Connection": "close"})
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or body != b"hello":
                    self.errors.append("%d %r" % (response.status, body[:60]))
                connection.close()
            except OSError as error:
                self.errors.append(repr(error))
            self.waits.append(time.monotonic() - begin)

    def end(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        return self


def report(name, load):
    print("%-8s %7d requests  median %7.1f ms  longest %8.1f ms  failed %d %s" % (
        name, len(load.waits), statistics.median(load.waits) * 1000,
        max(load.waits) * 1000, len(load.errors), load.errors[:2] or ""))


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def wait_for(what, seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain: " + what)
        time.sleep(0.02)


def answers(port, apps):
    """1 when every application answers 200."""
    load = Load(port, apps, 0)
    try:
        for i in range(apps):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            connection.request("GET", "/app%d/" % i)
            if connection.getresponse().status != 200:
                return False
    except OSError:
        return False
    finally:
        load.end()
    return True


def measure(args, pid, port):
    wait_for("the applications", 90, lambda: answers(port, args.apps))
    load = Load(port, args.apps, 4)
    time.sleep(args.seconds)
    report("steady", load.end())

    load = Load(port, args.apps, 4)
    time.sleep(args.seconds / 2)
    os.kill(pid, signal.SIGUSR1)
    time.sleep(args.seconds)
    report("restart", load.end())

    before = len(children(pid))
    load = Load(port, args.apps, 14)
    wait_for("a child beside the %d" % before, 60, lambda: len(children(pid)) > before)
    time.sleep(args.seconds)
    report("child", load.end())
    print("children: %d before, %d after" % (before, len(children(pid))))


def configure(args, root, port):
    os.mkdir(os.path.join(root, "apps"))
    for i in range(args.apps):
        with open(os.path.join(root, "apps", "app%d.py" % i), "w") as f:
            f.write(FLASK if args.home else PLAIN)
    mounts = "\n".join("WSGIScriptAlias /app%d %s/apps/app%d.py" % (i, root, i)
                       for i in range(args.apps))
    modules = subprocess.check_output([args.apxs, "-q", "LIBEXECDIR"], text=True).strip()
    conf = os.path.join(root, "httpd.conf")
    with open(conf, "w") as f:
        f.write(CONF.format(root=root, port=port, modules=modules, mounts=mounts,
                            module=os.path.abspath(args.module),
                            preload=args.preload,
                            home="WSGIPythonHome " + args.home if args.home else ""))
    return conf


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--home", default="")
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--preload", default="on")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    args = parser.parse_args()
    root = tempfile.mkdtemp(prefix="pw-waits-")
    os.chmod(root, 0o755)
    port = free_port()
    httpd = subprocess.Popen([args.httpd, "-D", "FOREGROUND", "-f", configure(args, root, port)])
    try:
        measure(args, httpd.pid, port)
    finally:
        httpd.terminate()
        httpd.wait()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
