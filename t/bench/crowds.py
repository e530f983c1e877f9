#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clients of good applications feel of a bad one, and of slow clients.

    t/bench/crowds.py --module DIR/mod_polywsgi.so [bulkhead] [slow]

bulkhead: ten applications in one child, 200 clients. Nine answer; the tenth does
so too (before), then hangs in every request, then computes for ever in every
request, with half of the clients on it. Printed: the latency of the other nine.

slow: one application, one fast client; then 200 clients beside it that send a
body of 4 KB, or read an answer of 1 MiB, one byte a second.

Latencies in ms, and ratios to the first line of each: other work on the machine
is in all of them.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from servers import Settings, build_load, free_port, user_lines

CONF = """\
ServerRoot {root}
PidFile {root}/httpd.pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {root}/error_log
LogLevel warn
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule polywsgi_module {module}
ThreadLimit {threads}
ThreadsPerChild {threads}
StartServers 1
ServerLimit 1
AsyncRequestWorkerFactor 8
MaxRequestWorkers {threads}
MaxKeepAliveRequests 0
KeepAliveTimeout 60
ListenBacklog 1024
DefaultRuntimeDir {root}
{user}
{mounts}
"""

APP = """\
import os, time
HERE = os.path.dirname(__file__)

def application(environ, start_response):
    way = environ["PATH_INFO"][1:]
    if environ["SCRIPT_NAME"] == "/bad" and os.path.exists(HERE + "/hang"):
        while os.path.exists(HERE + "/hang"):
            time.sleep(0.05)
    while environ["SCRIPT_NAME"] == "/bad" and os.path.exists(HERE + "/loop"):
        sum(range(1000))
    if way == "read":
        len(environ["wsgi.input"].read())
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass
    body = b"x" * (1 << 20 if way == "large" else 100)
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


class Httpd:
    def __init__(self, args, threads, names):
        self.root = tempfile.mkdtemp(prefix="pw-crowds-")
        os.chmod(self.root, 0o755)
        settings = Settings(self.root, args.module, args.httpd, args.apxs)
        self.load = build_load(settings)
        for name in names:
            self.write(name + ".py", APP)
        self.port = free_port()
        self.write("httpd.conf", CONF.format(
            root=self.root, port=self.port, threads=threads, module=args.module,
            modules=settings.query("LIBEXECDIR"), user=user_lines(),
            mounts="\n".join("WSGIScriptAlias /%s %s/%s.py" % (n, self.root, n) for n in names)))
        self.process = subprocess.Popen([args.httpd, "-D", "FOREGROUND", "-f",
                                         self.root + "/httpd.conf"])
        for name in names:
            self.wait_for("/%s/" % name)

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w") as f:
            f.write(text)
        return os.path.join(self.root, name)

    def remove(self, name):
        os.unlink(os.path.join(self.root, name))

    def wait_for(self, path):
        for _try in range(600):
            try:
                with self.connect(b"GET %s HTTP/1.0\r\n\r\n" % path.encode()) as s:
                    if b" 200 " in s.recv(100):
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit("no answer from " + path)

    def connect(self, data=b"", small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(("127.0.0.1", self.port))
        s.sendall(data)
        return s

    def measure(self, paths, connections, seconds):
        files = [self.write("request%d" % n,
                            "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
                 for n, path in enumerate(paths)]
        said = subprocess.run([self.load, "-c", str(connections), "-t", str(seconds), "-w", "1",
                               str(self.port)] + files, check=True, stdout=subprocess.PIPE)
        return json.loads(said.stdout)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def show(name, got, first):
    print("%-28s %8d %7d %9.2f %9.2f %7.2f %7.2f" % (
        name, got["requests"], got["errors"], got["p50"] / 1000, got["p99"] / 1000,
        got["p50"] / first["p50"], got["p99"] / first["p99"]), flush=True)


def head(title):
    print("%-28s %8s %7s %9s %9s %7s %7s" % (
        title, "requests", "errors", "p50 ms", "p99 ms", "p50 x", "p99 x"))


def bulkhead(args):
    names = ["app%d" % n for n in range(9)] + ["bad"]
    good = ["/%s/" % name for name in names[:9]]
    httpd = Httpd(args, 64, names)
    try:
        head("bulkhead: nine of ten")
        first = httpd.measure(good, 100, args.seconds)
        show("the nine alone", first, first)
        for way in ("hang", "loop"):
            httpd.write(way, "")
            crowd = [httpd.connect(b"GET /bad/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                     for _n in range(100)]
            show("one %ss" % way, httpd.measure(good, 100, args.seconds), first)
            for s in crowd:
                s.close()
            httpd.remove(way)
            httpd.wait_for("/bad/")
    finally:
        httpd.stop()


def trickle(httpd, crowd, seconds, byte):
    """A byte a second of each, while the fast client is measured."""
    path = httpd.write("request-slow", "GET /app0/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    load = subprocess.Popen([httpd.load, "-c", "1", "-t", str(seconds), "-w", "1",
                             str(httpd.port), path], stdout=subprocess.PIPE)
    while load.poll() is None:
        there = 0
        for s in crowd:
            try:
                there += 1 if byte and s.send(b"x") or not byte and s.recv(1) else 0
            except OSError:
                continue
        if there != len(crowd):
            raise SystemExit("of %d slow clients only %d are there" % (len(crowd), there))
        time.sleep(1)
    return json.loads(load.stdout.read())


def slow(args):
    httpd = Httpd(args, 400, ["app0"])
    try:
        head("slow: one fast client")
        first = httpd.measure(["/app0/"], 1, args.seconds)
        show("alone", first, first)
        post = b"POST /app0/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n"
        crowd = [httpd.connect(post) for _n in range(200)]
        show("200 that send a byte a s", trickle(httpd, crowd, args.seconds, True), first)
        for s in crowd:
            s.close()
        get = b"GET /app0/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        crowd = [httpd.connect(get, small=True) for _n in range(200)]
        show("200 that read a byte a s", trickle(httpd, crowd, args.seconds, False), first)
        for s in crowd:
            s.close()
    finally:
        httpd.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("crowd", nargs="*", choices=[[], "bulkhead", "slow"])
    args = parser.parse_args()
    for name, run in (("bulkhead", bulkhead), ("slow", slow)):
        if not args.crowd or name in args.crowd:
            run(args)


if __name__ == "__main__":
    main()
