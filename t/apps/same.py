# SPDX-License-Identifier: Apache-2.0
"""Leaves marks in everything a process shares, and tells which it sees.

Two interpreters run this file; each must see its own marks only.
"""

import atexit
import json
import logging
import os
import string
import subprocess
import sys
import threading
import warnings

import pwsame

local = threading.local()


def mark(word):
    """Change what can be changed."""
    pwsame.seen.append(word)
    string.digits = word
    json.JSONDecoder.marked = word
    sys.path.append("/" + word)
    sys.modules["made_" + word] = pwsame
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("pw").setLevel(logging.CRITICAL)
    logging.addLevelName(33, word)
    warnings.filterwarnings("ignore", message=word)
    os.environ["PW_MARK"] = word
    os.environ["PW_MARK_" + word.upper()] = "set"
    local.word = word
    sys.setrecursionlimit(1000 + len(word))
    atexit.register(str, word)


def look():
    """What can be seen."""
    env = subprocess.run(
        ["/usr/bin/env"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {
        "pid": os.getpid(),
        "version": pwsame.__version__,
        "colour": pwsame.colour,
        "file": pwsame.__file__,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "seen": pwsame.seen,
        "digits": string.digits,
        "marked": getattr(json.JSONDecoder, "marked", None),
        "path": sys.path,
        "made": sorted(m for m in sys.modules if m.startswith("made_")),
        "handlers": len(logging.getLogger().handlers),
        "level": logging.getLogger("pw").level,
        "level_name": logging.getLevelName(33),
        "warnings": [str(f[1].pattern) for f in warnings.filters if f[1]],
        "environ": {k: v for k, v in os.environ.items() if "PW_" in k},
        "child": sorted(line for line in env if line.startswith("PW_")),
        "local": getattr(local, "word", None),
        "limit": sys.getrecursionlimit(),
        "atexit": atexit._ncallbacks(),
        "name": __name__,
    }


def application(environ, start_response):
    """/mark?WORD or /look."""
    if environ["PATH_INFO"] == "/mark":
        mark(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(look()).encode()]
