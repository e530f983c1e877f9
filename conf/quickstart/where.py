# SPDX-License-Identifier: Apache-2.0
"""Middleware of the quickstart's applications: tells where each one runs.

All three import this one file, each in an interpreter of its own, so each
counts its own requests and knows nothing of the others' counts.
"""

import json
import os
import platform
import threading

import polywsgi


class Where:
    """Answers /where with a JSON object; passes everything else on."""

    def __init__(self, application, framework):
        self.application = application
        self.framework = framework
        self.served = 0
        self.lock = threading.Lock()

    def describe(self):
        """What the index page shows of this application."""
        return {
            "framework": self.framework,
            "interpreter": polywsgi.interpreter,
            "isolation": polywsgi.isolation,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "served": self.served,
        }

    def __call__(self, environ, start_response):
        if environ.get("PATH_INFO") == "/where":
            body = json.dumps(self.describe()).encode()
            start_response("200 OK", [("Content-Type", "application/json"),
                                      ("Cache-Control", "no-store")])
            return [body]
        with self.lock:
            self.served += 1
        return self.application(environ, start_response)
