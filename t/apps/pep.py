# SPDX-License-Identifier: Apache-2.0
"""What PEP 3333 demands of a server, as applications that check it.

PATH_INFO names one. Those that can see for themselves answer `holds`, and
raise where it does not; the others note what happens in a file of PW_VAR that
the query names, and the test looks at it.
"""

import array
import collections
import functools
import io
import os
import re
import sys
import time
import urllib.parse
import weakref
from wsgiref.util import request_uri
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
HOLDS = [b"holds"]


def must(true, what):
    """assert, which an optimising interpreter would leave out."""
    if not true:
        raise AssertionError(what)


def raises(kinds, call, *args):
    """The exception of a call that must raise one of these."""
    try:
        value = call(*args)
    except kinds as e:
        return e
    raise AssertionError(f"{args!r} gave {value!r}")


def path_of(environ, suffix=""):
    return os.path.join(environ["PW_VAR"], environ["QUERY_STRING"] + suffix)


def note(environ, text):
    with open(path_of(environ), "a", encoding="utf-8") as f:
        f.write(text + "\n")


def wait_for_go(environ):
    """Until the test has looked at what it got so far."""
    note(environ, "waits")
    end = time.monotonic() + 60
    while not os.path.exists(path_of(environ, ".go")) and time.monotonic() < end:
        time.sleep(0.01)


# ---- calling, environ ----


def once(environ, start_response):
    note(environ, "called")
    start_response("200 OK", TEXT)
    return HOLDS


def spoil(environ, start_response):
    """An application may do with environ what it likes."""
    environ["REQUEST_METHOD"] = "SPOILT"
    environ["spoilt"] = object()
    environ["wsgi.version"] = environ["wsgi.url_scheme"] = None
    environ.clear()
    start_response("200 OK", TEXT)
    return HOLDS


REQUIRED = ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")
WSGI = ("version", "url_scheme", "input", "errors", "multithread", "multiprocess",
        "run_once")


def check_variables(environ):
    for key, value in environ.items():
        must(type(key) is str, f"the key {key!r} is no str")
        if "." in key:
            must(re.fullmatch(r"(?:wsgi|polywsgi)\.[a-z0-9_.]+", key),
                 f"{key} is no name of the server's own")
            continue
        must(type(value) is str, f"{key} is {value!r}")
        must(all(ord(c) < 256 for c in key + value), f"{key}: {value!r} is not latin-1")


def check_environ(environ, start_response):
    must(type(environ) is dict, f"environ is {type(environ)}")
    check_variables(environ)
    for key in REQUIRED:
        must(environ.get(key), f"{key} is empty")
    must(not [n for n in WSGI if f"wsgi.{n}" not in environ], "wsgi variables")
    must(environ["wsgi.version"] == (1, 0), environ["wsgi.version"])
    must(type(environ["wsgi.version"]) is tuple, "wsgi.version")
    must(environ["wsgi.url_scheme"] == "http", environ["wsgi.url_scheme"])
    must("spoilt" not in environ, "another request's environ")
    must("REMOTE_USER" not in environ and "AUTH_TYPE" not in environ, "nobody logged in")
    must(environ["PW_CONFIGURED"] == "by the deployer", "SetEnv")
    start_response("200 OK", TEXT)
    return HOLDS


def reconstruct(environ, start_response):
    """The PEP's algorithm, written anew, and that of the library."""
    url = environ["wsgi.url_scheme"] + "://"
    port = {"http": "80", "https": "443"}[environ["wsgi.url_scheme"]]
    host = environ["SERVER_NAME"]
    if environ["SERVER_PORT"] != port:
        host += ":" + environ["SERVER_PORT"]
    url += environ.get("HTTP_HOST") or host
    for key in ("SCRIPT_NAME", "PATH_INFO"):
        url += urllib.parse.quote(environ.get(key, ""), encoding="latin-1")
    if environ.get("QUERY_STRING"):
        url += "?" + environ["QUERY_STRING"]
    start_response("200 OK", TEXT)
    # PATH_INFO may begin with what names the application.
    must(request_uri(environ) == url, f"{url} and {request_uri(environ)}")
    return [url.encode()]


# ---- the streams ----


def read_ended(environ, start_response):
    """Past the end there are no bytes, however they are asked for."""
    stream = environ["wsgi.input"]
    while piece := stream.read(7):
        must(type(piece) is bytes, type(piece))
    for _ in range(2):
        for read in (stream.read, stream.readline):
            must(read() == read(1) == read(100000) == b"", "read or readline")
        must(stream.readlines() == stream.readlines(10) == [], "readlines")
        must(list(stream) == [], "iteration")
    start_response("200 OK", TEXT)
    return HOLDS


def late_read(environ, start_response):
    """Says when it is in, and reads when it is told."""
    wait_for_go(environ)
    body = environ["wsgi.input"].read()
    start_response("200 OK", TEXT)
    return [body]


def log(environ, start_response):
    errors = environ["wsgi.errors"]
    word = environ["QUERY_STRING"]
    errors.write(f"one {word} \u20ac \U0001f600 \udcff\n")
    errors.writelines([f"two {word}\n", f"three {word}\n"])
    errors.write(f"four {word}")
    errors.flush()
    raises(TypeError, errors.write, b"bytes")
    start_response("200 OK", TEXT)
    return HOLDS


# ---- iterables ----


class Noted:
    """An iterator of pieces; those that can be called are, exceptions raised.

    Notes what the server does with it, and every attribute it asks for."""

    def __init__(self, environ, *pieces):
        self.environ = environ
        self.pieces = iter(pieces)

    def __getattribute__(self, name):
        if name == "close" or not name.startswith("_") and name not in ("environ", "pieces"):
            note(object.__getattribute__(self, "environ"), f"attribute {name}")
        return object.__getattribute__(self, name)

    def __iter__(self):
        return self

    def __next__(self):
        note(self.environ, "next")
        piece = next(self.pieces)
        if isinstance(piece, BaseException):
            raise piece
        return piece() if callable(piece) else piece

    def close(self):
        note(self.environ, "close")


class Items:
    """Can be indexed, and has no __iter__; its length is no one's business."""

    def __getitem__(self, n):
        return (b"ho", b"l", b"ds")[n]

    def __len__(self):
        raise RuntimeError("no length")


class Around(Noted):
    """Its iterator is another object, with a close() that is not the server's to call."""

    def __iter__(self):
        return Inner(self.environ, b"holds")


class Inner(Noted):
    def close(self):
        note(self.environ, "inner close")


class Refuses(Noted):
    def __iter__(self):
        raise ValueError("no iterator")


ITERABLES = {
    "list": lambda: [b"ho", b"l", b"", b"ds"],
    "tuple": lambda: (b"holds",),
    "generator": lambda: (b"%c" % c for c in b"holds"),
    "iterator": lambda: iter([b"hol", b"ds"]),
    "dict": lambda: {b"ho": 1, b"lds": 2},
    "deque": lambda: collections.deque([b"hold", b"s"]),
    "map": lambda: map(bytes, [b"holds"]),
    "file": lambda: io.BytesIO(b"holds"),
    "items": Items,
}


def iterable(environ, start_response):
    start_response("200 OK", TEXT)
    return ITERABLES[environ["QUERY_STRING"]]()


CHUNKS = {
    "bytearray": bytearray(b"x"), "memoryview": memoryview(b"x"), "int": 120,
    "array": array.array("B", [120]), "none": None, "list": [b"x"], "str": "x",
}


def chunk(environ, start_response):
    """A piece that is not bytes, by write() and as the first of a body."""
    piece = CHUNKS[environ["QUERY_STRING"]]
    write = start_response("200 OK", TEXT)
    raises(TypeError, write, piece)
    return iter([piece])


def returns_bytes(environ, start_response):
    """Its items are numbers."""
    start_response("200 OK", TEXT)
    return b"holds"


def binary(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (bytes(range(256)), b"\r\n\n\r\x1a")


def noted(environ, start_response):
    start_response("200 OK", TEXT)
    return Noted(environ, b"ho", b"", b"lds")


def around(environ, start_response):
    start_response("200 OK", TEXT)
    return Around(environ)


def refuses(environ, start_response):
    start_response("200 OK", TEXT)
    return Refuses(environ)


def noted_no_start(environ, start_response):
    return Noted(environ, b"too early")


def noted_fails(environ, start_response):
    start_response("200 OK", TEXT)
    return Noted(environ, b"", ValueError("provoked"))


def noted_fails_later(environ, start_response):
    start_response("200 OK", TEXT)
    return Noted(environ, b"begun", ValueError("provoked"))


def noted_exits(environ, start_response):
    start_response("200 OK", TEXT)
    return Noted(environ, SystemExit(1))


def noted_long(environ, start_response):
    start_response("200 OK", [*TEXT, ("content-length", "5")])
    return Noted(environ, b"ho", b"lds...", b"more", b"more")


def noted_endless(environ, start_response):
    start_response("200 OK", TEXT)
    return Noted(environ, *[b"z" * 65536] * 100000)


def written_endless(environ, start_response):
    """Until write() says that nobody listens."""
    write = start_response("200 OK", TEXT)
    try:
        for _ in range(100000):
            write(b"z" * 65536)
        note(environ, "all")
    except OSError as e:
        note(environ, f"stopped {type(e).__name__}")
        raise
    finally:
        note(environ, "close")
    return []


def finally_runs(environ, start_response):
    """A generator that is closed early."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    try:
        yield b"holds"
        yield b"more"
    except GeneratorExit:
        note(environ, "exit")
        raise
    finally:
        note(environ, "close")


# ---- start_response ----


def write_takes(environ, start_response):
    write = start_response("200 OK", TEXT)
    for args in ((), (b"a", b"b"), ("text",), (None,)):
        raises(TypeError, write, *args)
    write(b"hol")
    write(b"ds")
    return []


def stored(environ, start_response):
    """Headers stay unsent as long as there are no bytes."""
    write = start_response("200 OK", [*TEXT, ("X-First", "1")])
    write(b"")

    def body():
        yield b""
        wait_for_go(environ)
        yield b""
        try:
            raise ValueError("provoked")
        except ValueError:
            start_response("503 Changed", [("X-Second", "2")], sys.exc_info())
        yield b"changed"

    return body()


def started_late(environ, start_response):
    """In the last piece, and that is empty."""

    def body():
        yield b""
        start_response("200 Late", TEXT)
        yield b""

    return body()


def twice(environ, start_response):
    """Without exc_info only once, also where the first was refused."""
    first = "200 OK" if environ["QUERY_STRING"] == "good" else "200 OK\n"
    try:
        start_response(first, TEXT)
    except ValueError:
        must(first != "200 OK", "refused")
    raises(AssertionError, start_response, "200 OK", TEXT)
    raises(AssertionError, start_response, "200 OK", TEXT, None)
    for wrong in (7, (1, 2), [None, None, None]):
        raises(TypeError, start_response, "200 OK", TEXT, wrong)
    try:
        raise KeyError("provoked")
    except KeyError:
        start_response("200 Third", TEXT, sys.exc_info())
    return HOLDS


def refused_twice(environ, start_response):
    """What is not mended is no response."""
    raises(ValueError, start_response, "200 OK\n", TEXT)
    return HOLDS


class Held(Exception):
    """Can be referred to weakly."""


def raise_held():
    raise Held("provoked")


def not_held(environ, start_response):
    """start_response keeps nothing of exc_info."""
    start_response("200 OK", TEXT)
    try:
        raise_held()
    except Held as e:
        held = weakref.ref(e)
        start_response("200 OK", TEXT, sys.exc_info())
    must(held() is None, "exc_info is held")
    return HOLDS


def raised_again(environ, start_response):
    """After the first byte: the same exception, with its traceback."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])(b"hol")
    try:
        raise_held()
    except Held as e:
        again = raises(Held, start_response, "500 Late", TEXT, sys.exc_info())
        frames, tb = [], again.__traceback__
        while tb:
            frames.append(tb.tb_frame.f_code.co_name)
            tb = tb.tb_next
        must(again is e and "raise_held" in frames, frames)
    return [b"ds"]


def any_case(environ, start_response):
    headers = [("CONTENT-type", "text/plain"), ("cOnTent-lEngth", "5")]
    start_response("200 OK", headers)
    return iter([b"ho", b"lds"])


def bare(environ, start_response):
    """No header at all."""
    start_response("200 OK", [])
    return [b"holds"]


def own(environ, start_response):
    """The server must leave them as they are."""
    start_response("299 In Our Own Words", [
        ("X-Mixed-CASE", "kept"), ("x-lower", "kept"), ("ETag", '"x"'),
        ("Content-Encoding", "x-own"), ("Content-Type", "x/y; z=\"1\""),
        ("Cache-Control", "no-store"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
        ("Date", "Mon, 02 Nov 2026 10:00:00 GMT"), ("Server", "own/1")])
    return HOLDS


# ---- Content-Length, write() ----


def write_long(environ, start_response):
    """write() past the length that was declared raises."""
    write = start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    write(b"hol")
    raises(ValueError, write, b"ds...")
    raises(ValueError, write, b"more")
    return []


def write_long_fails(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])(b"holds...")
    return []


def write_and_one(environ, start_response):
    start_response("200 OK", TEXT)(b"hol")
    return [b"ds"]


# ---- wsgi.file_wrapper ----


class File:
    """read() and perhaps close(), noted."""

    def __init__(self, environ, *pieces):
        self.environ = environ
        self.pieces = list(pieces) + [b""]

    def read(self, size=-1):
        must(size == -1 or size > 0, size)
        note(self.environ, "read")
        piece = self.pieces.pop(0)
        return piece() if callable(piece) else piece


class Closing(File):
    def close(self):
        note(self.environ, "close")


def wrapper_is(environ, start_response):
    """An iterable with a close(), which reads nothing by itself."""
    wrapper = environ["wsgi.file_wrapper"]
    for args in ((), (1, 2, 3)):
        raises(TypeError, wrapper, *args)
    w = wrapper(Closing(environ, b"x"), 16)
    must(not os.path.exists(path_of(environ)), "it was read")
    must(list(w) == [b"x"], "its pieces")
    w.close()
    must(list(wrapper(File(environ, b"y"))) == [b"y"], "without close()")
    start_response("200 OK", TEXT)
    return HOLDS


def wrapper_unused(environ, start_response):
    environ["wsgi.file_wrapper"](Closing(environ, b"never"))
    start_response("200 OK", TEXT)
    return HOLDS


def wrapper_middleware(environ, start_response):
    """Middleware that takes it apart."""
    wrapper = environ["wsgi.file_wrapper"](Closing(environ, b"HO", b"LDS"))
    start_response("200 OK", TEXT)
    yield from (piece.lower() for piece in wrapper)
    wrapper.close()


def wrapper_no_close(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](File(environ, b"hol", b"ds"))


def wrapper_slow(environ, start_response):
    """Its second block is read when the first is with the client."""

    def second():
        wait_for_go(environ)
        return b"second"

    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](Closing(environ, b"first", second))


def wrapper_moved(environ, start_response):
    """The position is that of the moment in which it is sent."""
    with open(path_of(environ), "wb") as f:
        f.write(b"..........holds")
    f = open(path_of(environ), "rb")
    wrapper = environ["wsgi.file_wrapper"](f)
    must(f.read(3) == b"...", "read")
    f.seek(10)
    start_response("200 OK", TEXT)
    return wrapper


# ---- wsgiref.validate ----


def valid_read(environ, start_response):
    body = environ["wsgi.input"].read(100)
    start_response("200 OK", TEXT)
    return [body or b"holds"]


def valid_write(environ, start_response):
    start_response("200 OK", TEXT)(b"hol")
    return [b"ds"]


def valid_late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b""
    yield b"holds"


def valid_again(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise ValueError("provoked")
    except ValueError:
        start_response("500 Error", TEXT, sys.exc_info())
    return HOLDS


def valid_empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def valid_file(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"holds"), 2)


CASES = {f.__name__: f for f in list(globals().values()) if callable(f)}


def application(*args, **kwargs):
    """Called with two arguments, by position."""
    must(len(args) == 2 and not kwargs, f"called with {args!r} and {kwargs!r}")
    environ, start_response = args
    return CASES[environ["PATH_INFO"].split("/")[1]](environ, start_response)


validated = validator(application)


# ---- what can be an application ----


class AClass:
    """Calling it makes the iterable."""

    def __init__(self, environ, start_response):
        self.start = start_response

    def __iter__(self):
        self.start("200 OK", TEXT)
        yield b"holds"


class Callable:
    def __call__(self, environ, start_response):
        start_response("200 OK", TEXT)
        return HOLDS

    def method(self, environ, start_response):
        return self(environ, start_response)

    @classmethod
    def of_class(cls, environ, start_response):
        return cls()(environ, start_response)


def three(status, environ, start_response):
    start_response(status, TEXT)
    return HOLDS


instance = Callable()
method = instance.method
of_class = Callable.of_class
partial = functools.partial(three, "200 OK")
