# SPDX-License-Identifier: Apache-2.0
"""What connections of every kind are tried with: the first segment of PATH_INFO
says what to do, anything else is answered with environ."""

import hashlib
import json
import os
import time

import polywsgi

PLAIN = [("Content-Type", "text/plain")]


def show(environ, start_response):
    """Environ as JSON."""
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    seen["interpreter"] = polywsgi.interpreter
    seen["url_scheme"] = environ["wsgi.url_scheme"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


def digest(environ, start_response):
    """Size and SHA-256 of the body."""
    h = hashlib.sha256()
    size = 0
    while piece := environ["wsgi.input"].read(65536):
        h.update(piece)
        size += len(piece)
    start_response("200 OK", PLAIN)
    return [b"%d %s" % (size, h.hexdigest().encode())]


def var(name):
    return os.path.join(os.path.dirname(__file__), "..", "var", name)


def unread(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"unread"]


def big(environ, start_response):
    """So many blocks of 64 KiB as the query says, each of one letter."""
    start_response("200 OK", PLAIN)
    return (bytes([65 + n % 26]) * 65536 for n in range(int(environ["QUERY_STRING"])))


def abort(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun"
    raise RuntimeError("on purpose")


def declared(environ, start_response):
    """Less than it declares."""
    start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    return [b"begun"]


def wait(environ, start_response):
    """The second piece when the file that the query names is there."""
    go = var(environ["QUERY_STRING"])
    start_response("200 OK", PLAIN)
    yield b"begun"
    while not os.path.exists(go):
        time.sleep(0.02)
    yield b"ended"


def endless(environ, start_response):
    """Makes the file that the query names when it is closed."""
    start_response("200 OK", PLAIN)
    try:
        while True:
            yield b"more "
            time.sleep(0.02)
    finally:
        with open(var(environ["QUERY_STRING"]), "w", encoding="ascii") as f:
            f.write("closed")


ACTIONS = (digest, unread, big, abort, declared, wait, endless)
BY_NAME = {f.__name__: f for f in ACTIONS}


def application(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1:2]
    return BY_NAME.get(name[0] if name else "", show)(environ, start_response)
