# SPDX-License-Identifier: Apache-2.0
"""The protocol cases. PATH_INFO names one, QUERY_STRING is its parameter.

`application` runs them under wsgiref.validate, `raw` without. What the client
cannot see (close(), caught exceptions) is noted in a file of the directory
PW_VAR that the query names, because any process may have served the request.
"""

import ast
import hashlib
import io
import json
import os
import sys
import time
import urllib.parse
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
kept = {}


def note(environ, text):
    """Append a line that the test will read."""
    path = os.path.join(environ["PW_VAR"], environ["QUERY_STRING"])
    with open(path, "a", encoding="utf-8") as f:
        f.write(text + "\n")


def wait_for_go(environ):
    """Wait until the test has seen what was sent so far."""
    path = os.path.join(environ["PW_VAR"], environ["QUERY_STRING"] + ".go")
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)


class Body:
    """An iterator that notes what is done with it."""

    def __init__(self, environ, pieces, fail_in_close=False):
        self.environ = environ
        self.pieces = iter(pieces)
        self.fail_in_close = fail_in_close

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        if isinstance(piece, BaseException):
            raise piece
        if callable(piece):
            return piece()
        note(self.environ, "next")
        return piece

    def close(self):
        """The server must call this exactly once."""
        note(self.environ, "close")
        if self.fail_in_close:
            raise RuntimeError("close fails")


def start(start_response, status="200 OK", extra=()):
    """start_response with the headers that every case has."""
    return start_response(status, TEXT + list(extra))


def plain(environ, start_response):
    start(start_response, extra=[("X-Kit", "one"), ("X-Kit", "two")])
    return [b"plain text\n"]


def several(environ, start_response):
    start(start_response)
    return [b"a", b"", b"b", b"c"]


def generator(environ, start_response):
    start(start_response)
    yield b"one,"
    yield b""
    yield b"two"


def late(environ, start_response):
    """start_response while the first piece is made."""

    def body():
        start(start_response, "202 Later")
        yield b"late"

    return body()


def late_empty(environ, start_response):
    """start_response after an empty first piece."""
    yield b""
    start(start_response, "202 Later")
    yield b"late"


def body(environ, start_response):
    start(start_response)
    return Body(environ, [b"x", b"y"])


def empty(environ, start_response):
    start(start_response)
    return []


def empty_body(environ, start_response):
    start(start_response)
    return Body(environ, [])


def stream(environ, start_response):
    start(start_response)

    def second():
        wait_for_go(environ)
        return b"second"

    return Body(environ, [b"first", second])


def stream_write(environ, start_response):
    write = start(start_response)
    write(b"first")
    wait_for_go(environ)
    write(b"second")
    return []


def write(environ, start_response):
    out = start(start_response)
    out(b"written,")
    out(b"")
    return [b"returned"]


def write_only(environ, start_response):
    start(start_response)(b"written")
    return Body(environ, [])


def write_str(environ, start_response):
    try:
        start(start_response)("text")
    except TypeError as e:
        note(environ, f"TypeError {e}")
    return [b"ok"]


def exc_before(environ, start_response):
    start(start_response, extra=[("X-First", "1")])
    try:
        raise ValueError("on purpose")
    except ValueError:
        start_response("500 Replaced", TEXT, sys.exc_info())
    return [b"replaced"]


def exc_after(environ, start_response):
    start(start_response)
    yield b"x" * 20000
    try:
        raise ValueError("after headers")
    except ValueError:
        try:
            start_response("500 Too late", TEXT, sys.exc_info())
        except ValueError as e:
            note(environ, f"raised again {e}")
            raise


def twice(environ, start_response):
    start(start_response)
    try:
        start_response("404 Second", TEXT)
    except Exception as e:
        note(environ, f"raised {type(e).__name__}")
    return [b"first stays"]


def start_with(environ, start_response):
    """Status and headers are the query, as Python text."""
    args = ast.literal_eval(urllib.parse.unquote(environ["QUERY_STRING"]))
    try:
        start_response(*args)
    except Exception as e:
        text = f"raised {type(e).__name__}: {e}"
        start_response("200 OK", TEXT, sys.exc_info())
        return [text.encode("utf-8", "backslashreplace")]
    return [b"accepted"]


def fail(environ, start_response):
    raise ValueError("fails at once")


def fail_started(environ, start_response):
    start(start_response)
    raise ValueError("fails after start_response")


def fail_first(environ, start_response):
    start(start_response)
    return Body(environ, [ValueError("fails in the first piece")])


def fail_second(environ, start_response):
    start(start_response)
    return Body(environ, [b"x" * 20000, ValueError("fails in the second")])


def fail_declared(environ, start_response):
    start(start_response, extra=[("Content-Length", "30000")])
    return Body(environ, [b"x" * 20000, ValueError("fails in the second")])


def fail_close(environ, start_response):
    start(start_response)
    return Body(environ, [b"whole"], fail_in_close=True)


def fail_close_list(environ, start_response):
    """The body is over before close() fails."""
    start(start_response, extra=[("Content-Length", "5")])
    return Body(environ, [b"whole"], fail_in_close=True)


def leave(environ, start_response):
    sys.exit("leaving")


def interrupt(environ, start_response):
    raise KeyboardInterrupt


def no_start(environ, start_response):
    return [b"no start_response"]


def no_iterable(environ, start_response):
    start(start_response)
    return 42


def nothing(environ, start_response):
    start(start_response)


def a_str(environ, start_response):
    start(start_response)
    return ["text"]


def a_str_later(environ, start_response):
    start(start_response)
    return Body(environ, [b"x" * 20000, "text"])


def declared(environ, start_response):
    """Content-Length from the query, then ten bytes in two pieces."""
    size = environ["QUERY_STRING"].rsplit("-", 1)[1]
    start(start_response, extra=[("Content-Length", size)])
    return Body(environ, [b"01234", b"56789"])


def declared_list(environ, start_response):
    size = environ["QUERY_STRING"].rsplit("-", 1)[1]
    start(start_response, extra=[("Content-Length", size)])
    return [b"0123456789"]


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return []


def body_in_204(environ, start_response):
    start_response("204 No Content", [])
    return [b"must not be sent"]


def big(environ, start_response):
    start(start_response)
    return (bytes([65 + i % 26]) * 65536 for i in range(64))


def endless(environ, start_response):
    """Until the client is gone; then close() is called."""
    start(start_response)

    def pieces():
        while True:
            yield b"z" * 65536

    return Body(environ, pieces())


def keep(environ, start_response):
    """Keeps what must not work after the request."""
    kept["write"] = start(start_response)
    kept["start"] = start_response
    kept["input"] = environ["wsgi.input"]
    kept["errors"] = environ["wsgi.errors"]
    return [str(os.getpid()).encode()]


def use_kept(environ, start_response):
    found = {}
    for name, call in (
        ("write", lambda: kept["write"](b"x")),
        ("start", lambda: kept["start"]("200 OK", [])),
        ("input", lambda: kept["input"].read(1)),
        ("line", lambda: kept["input"].readline()),
        ("next", lambda: next(kept["input"])),
    ):
        try:
            found[name] = repr(call())
        except Exception as e:
            found[name] = type(e).__name__
    found["pid"] = os.getpid()
    start(start_response)
    return [json.dumps(found).encode()]


def read(environ, start_response):
    """Reads the body as the query says: a list of [method, args...]."""
    stream = environ["wsgi.input"]
    calls = json.loads(urllib.parse.unquote(environ["QUERY_STRING"]))
    found = []
    for method, *args in calls:
        if method == "list":
            value = list(stream)
        elif method == "next":
            value = next(stream, None)
        else:
            value = getattr(stream, method)(*args)
        if isinstance(value, list):
            found.append([v.decode("latin-1") for v in value])
        else:
            found.append(None if value is None else value.decode("latin-1"))
    start(start_response)
    return [json.dumps(found).encode()]


def digest(environ, start_response):
    """Reads all of it in constant memory."""
    h = hashlib.sha256()
    size = 0
    while piece := environ["wsgi.input"].read(65536):
        h.update(piece)
        size += len(piece)
    start(start_response)
    found = {
        "size": size,
        "sha256": h.hexdigest(),
        "pid": os.getpid(),
        "declared": environ.get("CONTENT_LENGTH"),
        "terminated": environ.get("wsgi.input_terminated"),
    }
    return [json.dumps(found).encode()]


def unread(environ, start_response):
    """Leaves the body where it is."""
    start(start_response)
    return [b"not read"]


def duplex(environ, start_response):
    """Answers each line as it comes."""
    start(start_response)
    for line in iter(environ["wsgi.input"].readline, b""):
        yield b"got " + line


def upload_fails(environ, start_response):
    """Notes how reading ends when the client goes away."""
    try:
        while environ["wsgi.input"].read(65536):
            pass
        note(environ, "whole")
    except Exception as e:
        note(environ, f"OSError {isinstance(e, OSError)}: {e}")
        raise
    finally:
        note(environ, "end")
    start(start_response)
    return [b"read"]


def limited(environ, start_response):
    data = environ["wsgi.input"].read()
    start(start_response)
    return [str(len(data)).encode()]


def wrapped(environ, start_response):
    """file_wrapper; the query is a dict in JSON."""
    how = json.loads(urllib.parse.unquote(environ["QUERY_STRING"]))
    path = os.path.join(environ["PW_VAR"], how["file"])
    kept[how["token"]] = f = open(path, "rb", how.get("buffer", -1))
    f.seek(how.get("seek", 0))
    if how.get("object"):
        f = Noted(environ, f, how)
    extra = []
    if "declare" in how:
        extra = [("Content-Length", str(how["declare"]))]
    write = start(start_response, extra=extra)
    if how.get("write"):
        write(how["write"].encode())
    block = how.get("block", 8192)
    if how.get("object") == "bytes":
        f = FileLike(f)
    if how.get("object") == "subclass":
        f = Shouting(path, "rb")
    return environ["wsgi.file_wrapper"](f, block)


class FileLike:
    """Has read and close, and no descriptor."""

    def __init__(self, f):
        self.read = f.read
        self.close = f.close


class Noted:
    """A file that notes reads and close(); it has a descriptor."""

    def __init__(self, environ, f, how):
        self.f = f
        self.token = os.path.join(environ["PW_VAR"], how["token"])
        self.fileno = f.fileno
        self.tell = f.tell

    def note(self, text):
        with open(self.token, "a", encoding="utf-8") as out:
            out.write(text + "\n")

    def read(self, size=-1):
        self.note("read")
        return self.f.read(size)

    def close(self):
        self.note("close")
        self.f.close()


class Shouting(io.FileIO):
    """What it reads is not what the file has."""

    def read(self, size=-1):
        return super().read(size).upper()

    def readall(self):
        return super().readall().upper()


def wrapped_state(environ, start_response):
    """Has the file of an earlier request been closed?"""
    start(start_response)
    f = kept.pop(environ["QUERY_STRING"], None)
    return [b"unknown" if f is None else b"closed" if f.closed else b"open"]


def wrapped_pipe(environ, start_response):
    """A descriptor that is no regular file."""
    r, w = os.pipe()
    os.write(w, b"through a pipe")
    os.close(w)
    start(start_response)
    return environ["wsgi.file_wrapper"](os.fdopen(r, "rb"))


def wrapped_iter(environ, start_response):
    """The wrapper is an iterable of its own."""
    path = os.path.join(environ["PW_VAR"], environ["QUERY_STRING"])
    wrapper = environ["wsgi.file_wrapper"](open(path, "rb"), 1000)
    pieces = [len(piece) for piece in wrapper]
    wrapper.close()
    start(start_response)
    return [json.dumps(pieces).encode()]


def errors(environ, start_response):
    """Writes to the log in every way."""
    word = environ["QUERY_STRING"]
    e = environ["wsgi.errors"]
    e.write(f"errors {word}\n")
    e.writelines([f"lines-a {word}\n", f"lines-b {word}\n"])
    e.write(f"partial {word}")
    e.flush()
    start(start_response)
    return [b"logged"]


def private(environ, start_response):
    start(start_response)
    user = environ.get("REMOTE_USER")
    seen = "HTTP_AUTHORIZATION" in environ
    return [f"{user} {environ.get('AUTH_TYPE')} {seen}".encode()]


CASES = {f.__name__: f for f in list(globals().values()) if callable(f)}


def raw(environ, start_response):
    """Dispatch; in no way a model of an application."""
    name = environ["PATH_INFO"].split("/")[1]
    return CASES[name](environ, start_response)


application = validator(raw)
