# SPDX-License-Identifier: Apache-2.0
"""What the benchmark asks for, without a framework: the end of the URL says it."""

import json
import os
import time

BIG = b"x" * (1 << 20)
FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                    "htdocs", "static", "file")
ROWS = [{"id": i, "name": "row %d" % i, "tags": ["a", "b"], "price": i / 4} for i in range(40)]


def compute(count):
    """Pure Python: so many turns of a loop."""
    x = 0
    for i in range(count):
        x = (x * 31 + i) & 0xFFFFFF
    return x


def hello(environ):
    return "text/plain", b"Hello, world!\n"


def as_json(environ):
    return "application/json", json.dumps({"rows": ROWS}).encode()


def big(environ):
    return "text/plain", BIG


def upload(environ):
    body = environ["wsgi.input"]
    total = 0
    while True:
        part = body.read(65536)
        if not part:
            return "text/plain", b"%d" % total
        total += len(part)


def sleep(environ):
    time.sleep(float(environ["QUERY_STRING"]) / 1000)
    return "text/plain", b"slept\n"


def cpu(environ):
    return "text/plain", b"%d" % compute(int(environ["QUERY_STRING"]))


def opens(environ):
    """What send_file asks of Python, and no file is sent."""
    os.path.getsize(FILE)
    open(FILE, "rb").close()
    return "text/plain", b"Hello, world!\n"


def send_file(environ, start_response):
    size = os.path.getsize(FILE)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
    return environ["wsgi.file_wrapper"](open(FILE, "rb"), 65536)


PAGES = {"hello": hello, "json": as_json, "bytes": big, "upload": upload, "sleep": sleep,
         "cpu": cpu, "opens": opens}


def application(environ, start_response):
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name == "file":
        return send_file(environ, start_response)
    kind, body = PAGES[name](environ)
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
