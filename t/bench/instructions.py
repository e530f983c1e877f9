#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per request, ours against a bare C handler in the same httpd.

    t/bench/instructions.py --module DIR/mod_polywsgi.so [--httpd P] [--apxs P]

Runs httpd (event, one child, -X) under callgrind, sends requests over one
keep-alive connection, and divides the difference of two runs of different
length by the difference of their requests: start and stop cancel out. Counts,
not seconds: a busy machine does not change them. --only 'pw_stats_*' counts what
runs in these functions: the counters.
"""

import argparse
import http.client
import os
import re
import shutil
import subprocess
import tempfile
import time

from servers import Settings, build_bare, free_port
from workloads import BROWSER

# So long that what differs between two starts (str hashes are seeded) counts little.
SHORT, LONG = 200, 5200

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


def total(settings, path, headers, count, only=None):
    out = os.path.join(settings.root, "callgrind.out")
    port = free_port()
    conf = os.path.join(settings.root, "httpd.conf")
    with open(conf, "w") as f:
        f.write(CONF.format(root=settings.root, port=port,
                            module=os.path.abspath(settings.module),
                            modules=settings.query("LIBEXECDIR")))
    some = ["--collect-atstart=no", "--toggle-collect=" + only] if only else []
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out] + some
        + [settings.httpd, "-X", "-f", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = connect(port, process)
        ask(connection, path, headers, count)
        connection.close()
    finally:
        process.terminate()
        process.wait()
    with open(out) as f:
        return int(re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M).group(1))


def per_request(settings, path, headers, only=None):
    few = total(settings, path, headers, SHORT, only)
    many = total(settings, path, headers, LONG, only)
    return (many - few) / (LONG - SHORT)


def rows(args):
    """(headers, instructions of the bare handler, of ours) for each kind."""
    root = tempfile.mkdtemp(prefix="pw-bench-")
    os.chmod(root, 0o755)
    settings = Settings(root, args.module, args.httpd, args.apxs)
    try:
        build_bare(settings)
        with open(os.path.join(root, "hello.py"), "w") as f:
            f.write(HELLO)
        only = getattr(args, "only", None)
        return [(name, per_request(settings, "/bare", headers, only),
                 per_request(settings, "/wsgi", headers, only))
                for name, headers in (("minimal", {}), ("a browser's", BROWSER))]
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--httpd", default="/usr/sbin/apache2")
    parser.add_argument("--apxs", default="apxs")
    parser.add_argument("--only", metavar="PATTERN", help="in functions of these names")
    print("%-18s %10s %10s %10s" % ("headers", "bare", "polywsgi", "over bare"))
    for name, bare, ours in rows(parser.parse_args()):
        print("%-18s %10d %10d %10d" % (name, bare, ours, ours - bare))


if __name__ == "__main__":
    main()
