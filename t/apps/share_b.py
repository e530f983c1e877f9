# SPDX-License-Identifier: Apache-2.0
"""One of two applications in one interpreter."""

import json
import os
import sys

name = "b"
shared = sys.modules.setdefault("pw_shared", type(sys)("pw_shared"))
if not hasattr(shared, "calls"):
    shared.calls = []


def application(environ, start_response):
    """Tell who was called so far in this interpreter."""
    shared.calls.append(name)
    found = {
        "name": name,
        "module": __name__,
        "calls": shared.calls,
        "pid": os.getpid(),
        "interpreter": environ["polywsgi.interpreter"],
        "script_name": environ["SCRIPT_NAME"],
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]
