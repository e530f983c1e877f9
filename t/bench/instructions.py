#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per request, ours against a bare C handler in the same httpd.

    t/bench/instructions.py --module DIR/mod_polywsgi.so [--httpd P] [--apxs P]

Runs httpd (event, one child, -X) under callgrind, sends requests over one
keep-alive connection, and divides the difference of two runs of different
length by the difference of their requests: start and stop cancel out. Counts,
not seconds: a busy machine does not change them.
"""

import argparse
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT, LONG = 200, 1200

CONF = """\
ServerRoot {root}
PidFile {root}/httpd.pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {root}/error_log
LogLevel warn
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule bare_module {root}/mod_bare.so
LoadModule polywsgi_module {module}
ThreadsPerChild 4
StartServers 1
ServerLimit 1
MaxRequestWorkers 4
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DefaultRuntimeDir {root}
<Directory />
    AllowOverride None
</Directory>
<Location /bare>
    SetHandler bare
</Location>
WSGIScriptAlias /wsgi {root}/hello.py
"""

HELLO = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, world!\\n"]
"""

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "http://localhost/",
    "Cookie": "session=0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def query(apxs, name):
    return subprocess.check_output([apxs, "-q", name], text=True).strip()


def build_bare(apxs, root):
    source = shutil.copy(os.path.join(HERE, "mod_bare.c"), root)
    command = ["gcc", "-O2", "-fPIC", "-shared", "-o", os.path.join(root, "mod_bare.so"), source]
    command += query(apxs, "CFLAGS").split() + ["-I" + query(apxs, "INCLUDEDIR")]
    command += ["-I" + query(apxs, "APR_INCLUDEDIR"), "-D_GNU_SOURCE"]
    subprocess.check_call(command)


def connect(port, process):
    """Waits until httpd answers, at most two minutes: callgrind is slow."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.connect()
            return connection
        except OSError:
            time.sleep(0.1)
    raise SystemExit("httpd did not start")


def ask(connection, path, headers, count):
    for _ in range(count):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or body != b"Hello, world!\n":
            raise SystemExit("%s: %s %r" % (path, response.status, body[:80]))


def total(args, root, path, headers, count):
    out = os.path.join(root, "callgrind.out")
    port = free_port()
    conf = os.path.join(root, "httpd.conf")
    with open(conf, "w") as f:
        f.write(CONF.format(root=root, port=port, module=os.path.abspath(args.module),
                            modules=query(args.apxs, "LIBEXECDIR")))
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, args.httpd, "-X",
         "-f", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = connect(port, process)
        ask(connection, path, headers, count)
        connection.close()
    finally:
        process.terminate()
        process.wait()
    with open(out) as f:
        return int(re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M).group(1))


def per_request(args, root, path, headers):
    few = total(args, root, path, headers, SHORT)
    many = total(args, root, path, headers, LONG)
    return (many - few) / (LONG - SHORT)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    args = parser.parse_args()
    root = tempfile.mkdtemp(prefix="pw-bench-")
    os.chmod(root, 0o755)
    try:
        build_bare(args.apxs, root)
        with open(os.path.join(root, "hello.py"), "w") as f:
            f.write(HELLO)
        print("%-18s %10s %10s %10s" % ("headers", "bare", "polywsgi", "over bare"))
        for name, headers in (("minimal", {}), ("a browser's", BROWSER)):
            bare = per_request(args, root, "/bare", headers)
            ours = per_request(args, root, "/wsgi", headers)
            print("%-18s %10d %10d %10d" % (name, bare, ours, ours - bare))
            sys.stdout.flush()
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
