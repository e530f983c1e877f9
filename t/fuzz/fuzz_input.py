# SPDX-License-Identifier: Apache-2.0
"""The application of fuzz_input.c."""

import io

SIZES = (None, -1, 0, 1, 2, 3, 7, 64, 1000, 8191, 8192, 8193, 100000, -2)


def call(stream, method, size):
    """One call, in the form that its byte says."""
    names = ("read", "readline", "readlines", "next", "list")
    name = names[method % len(names)]
    if name == "next":
        return next(stream, b"")
    if name == "list":
        return list(stream)
    if method & 0x80:
        return getattr(stream, name)()
    return getattr(stream, name)(SIZES[size % len(SIZES)])


def application(environ, start_response):
    calls = bytes.fromhex(environ["PW_CALLS"])
    stream = environ["wsgi.input"]
    other = io.BytesIO(bytes.fromhex(environ["PW_BODY"]))
    for method, size in zip(calls[::2], calls[1::2], strict=True):
        have, want = call(stream, method, size), call(other, method, size)
        if have != want:
            raise AssertionError("%d %d: %r, not %r" % (method, size, have, want))
    if stream.read() != other.read():
        raise AssertionError("the rest differs")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the same"]
