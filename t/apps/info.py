# SPDX-License-Identifier: Apache-2.0
"""Tells what it sees: environ, interpreter, process, thread."""

import json
import os
import sys
import threading

import polywsgi

local = threading.local()


def application(environ, start_response):
    """Answer with JSON, whatever the path."""
    local.seen = getattr(local, "seen", 0) + 1
    native = threading.get_native_id()
    first = getattr(local, "native", native)
    local.native = first
    body = {
        "python": sys.version.split()[0],
        "isolation": polywsgi.isolation,
        "interpreter": polywsgi.interpreter,
        "version": polywsgi.__version__,
        "main": sys.modules["__main__"].__name__,
        "name": __name__,
        "file": __file__,
        "pid": os.getpid(),
        "thread": native,
        "first_thread": first,
        "seen": local.seen,
        "environ": {k: v for k, v in environ.items() if isinstance(v, str)},
        "types": {
            k: type(v).__name__
            for k, v in environ.items()
            if not isinstance(v, str)
        },
        "wsgi.version": environ["wsgi.version"],
        "wsgi.multithread": environ["wsgi.multithread"],
        "wsgi.multiprocess": environ["wsgi.multiprocess"],
        "wsgi.run_once": environ["wsgi.run_once"],
        "exact_dict": type(environ) is dict,
    }
    data = json.dumps(body).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [data]
