# SPDX-License-Identifier: Apache-2.0
"""A small Flask application: forms, files, sessions, streams, errors."""

import os

import polywsgi
from flask import Flask, Response, abort, jsonify, request, session

application = Flask(__name__)
application.secret_key = "for the tests"


@application.get("/")
def index():
    """Tell where it runs."""
    return jsonify(
        interpreter=polywsgi.interpreter,
        isolation=polywsgi.isolation,
        pid=os.getpid(),
        url=request.url,
        django="django" in __import__("sys").modules,
    )


@application.post("/form")
def form():
    """Give the form back."""
    upload = request.files.get("upload")
    return jsonify(
        form=request.form.to_dict(),
        upload=upload and [upload.filename, len(upload.read())],
    )


@application.get("/count")
def count():
    """Count in a cookie."""
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])


@application.get("/stream")
def stream():
    """Stream a response."""
    return Response((f"{i}," for i in range(5)), mimetype="text/plain")


@application.get("/missing")
def missing():
    """An error of HTTP."""
    abort(404)


@application.get("/fails")
def fails():
    """An error of Python, which Flask logs and answers."""
    raise ValueError("flask on purpose")
