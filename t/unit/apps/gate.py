"""The application of test_gate.c: what it does is the request's path."""

import gzip
import io
import os
import sys
import tempfile
import threading
import warnings
from wsgiref.validate import validator

# A debug build of CPython warns of each file that the collector closes.
warnings.simplefilter("ignore", ResourceWarning)
TEXT = [("Content-Type", "text/plain")]
closed = 0
kept = {}


def start(start_response, status="200 OK", length=None, more=()):
    headers = TEXT + list(more)
    if length is not None:
        headers.append(("Content-Length", str(length)))
    return start_response(status, headers)


class Closing:
    """An iterable that counts how often it is closed."""

    def __init__(self, chunks, error=None):
        self.chunks = iter(chunks)
        self.error = error

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        global closed
        closed += 1
        if self.error:
            raise self.error


def hello(environ, start_response):
    start(start_response)
    return [b"hello"]


def two(environ, start_response):
    start(start_response)
    return (b"he", b"", b"llo")


def empty(environ, start_response):
    start(start_response)
    return []


def nocontent(environ, start_response):
    start(start_response, "204 No Content", 0)
    return [b"not sent"]


def notmodified(environ, start_response):
    start(start_response, "304 Not Modified")
    return [b"not sent"]


def large(environ, start_response):
    start(start_response)
    return [b"a" * 100000, b"b" * 100, b"c" * 100000]


def gen(environ, start_response):
    start(start_response)
    return Closing([b"a", b"", b"b"])


def late(environ, start_response):
    start(start_response, length=4)
    yield b""
    yield b"late"


def later(environ, start_response):
    yield b""
    start(start_response, more=[("X-Later", "yes")])
    yield b"later"


def nostart(environ, start_response):
    return [b"x"]


def nostart_gen(environ, start_response):
    yield b"x"


def nostart_empty(environ, start_response):
    return []


def twice(environ, start_response):
    start(start_response)
    try:
        start(start_response)
    except AssertionError as error:
        return [str(error).encode()]
    return [b"no exception"]


def replace(environ, start_response):
    start(start_response)
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("500 Replaced", TEXT, exc_info=sys.exc_info())
    return [b"replaced"]


def again(environ, start_response):
    start(start_response)
    yield b"a"
    try:
        raise ValueError("raised again")
    except ValueError:
        start_response("500 Oops", TEXT, sys.exc_info())
    yield b"b"


def raises(environ, start_response):
    start(start_response)
    raise ValueError("before the headers")


def raises_late(environ, start_response):
    start(start_response)

    def chunks():
        yield b"some"
        raise ValueError("after the headers")

    return Closing(chunks())


def exits(environ, start_response):
    sys.exit(3)


def exits_late(environ, start_response):
    start(start_response)
    yield b"some"
    raise KeyboardInterrupt


def notiterable(environ, start_response):
    start(start_response)
    return 7


def short(environ, start_response):
    start(start_response, length=10)
    return [b"short"]


def short_gen(environ, start_response):
    start(start_response, length=10)
    yield b"short"


def short_none(environ, start_response):
    start(start_response, length=10)
    return []


def long(environ, start_response):
    start(start_response, length=3)
    return [b"lo", b"ng", b"er"]


def long_gen(environ, start_response):
    start(start_response, length=3)
    return Closing(iter(lambda: b"lo", None))


def notbytes(environ, start_response):
    start(start_response)
    return ["text"]


def notbytes_gen(environ, start_response):
    start(start_response)
    yield b"bytes"
    yield "text"


def writes(environ, start_response):
    write = start(start_response)
    write(b"a")
    write(b"")
    write(b"b")
    return [b"c"]


def write_text(environ, start_response):
    start(start_response)("text")
    return []


def writes_gone(environ, start_response):
    write = start(start_response)
    while True:
        write(b"more")


def endless(environ, start_response):
    start(start_response)
    return Closing(iter(lambda: b"more", None))


def close_raises(environ, start_response):
    start(start_response)
    return Closing([b"fine"], ValueError("in close"))


def count_closed(environ, start_response):
    start(start_response)
    return [str(closed).encode()]


BAD_STATUS = ["200", "200OK", "20 OK", "99 x", "100 Continue", "600 x", "200 a\nb", "200 a\0",
              "abc def", "", b"200 OK", 200, None, "200 \u20ac", " 200 OK"]
BAD_HEADERS = [
    None, (), {}, [None], ["ab"], [("a",)], [("a", "b", "c")], [["a", "b"]],
    [("", "b")], [("a b", "c")], [("a:", "c")], [("a\n", "c")], [("\xe9", "c")],
    [("a", "b\r\nc: d")], [("a", "b\0")], [("a", "b\x7f")], [("a", "\u20ac")],
    [("a", None)], [("a", 1)], [(b"a", "b")], [("a", b"b")],
    [("Connection", "close")], [("Keep-Alive", "x")], [("transfer-encoding", "chunked")],
    [("TE", "x")], [("Trailer", "x")], [("Upgrade", "x")], [("Proxy-Authenticate", "x")],
    [("Content-Length", "-1")], [("Content-Length", "")], [("Content-Length", "1 ")],
    [("Content-Length", "9" * 30)], [("Content-Length", "0x1")],
    [("Content-Length", "1"), ("content-length", "1")],
]


def bad(environ, start_response):
    """Names every bad call that did not raise."""
    accepted = []
    error = (KeyError, KeyError(), None)
    calls = [(status, TEXT, error) for status in BAD_STATUS]
    calls += [("200 OK", headers, error) for headers in BAD_HEADERS]
    calls += [("200 OK", TEXT, 7), ("200 OK", TEXT, (1, 2)), ("200 OK",), ()]
    for call in calls:
        try:
            start_response(*call)
        except (TypeError, ValueError):
            continue
        accepted.append(repr(call))
    start_response("200 Fine \xe9", [("X-Tab", "a\tb\xe9"), ("Set-Cookie", "a=1"),
                                     ("Set-Cookie", "b=2")], error)
    return [" ".join(accepted).encode()]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start(start_response)
    return [body]


def pattern(size):
    return b"".join(b"%d%s" % (i, b"\n" if i % 7 == 0 else b"." * (i % 50))
                    for i in range(size))[:size]


def body(environ, start_response):
    """The body that `reading` expects."""
    start(start_response)
    return [pattern(int(environ["QUERY_STRING"]))]


def reading(environ, start_response):
    """wsgi.input does what a file of the same bytes would."""
    stream = environ["wsgi.input"]
    same = io.BytesIO(pattern(int(environ["QUERY_STRING"])))
    calls = [("read", 10), ("readline",), ("readline", 3), ("read", 0), ("readline", 0),
             ("readline", None), ("readline", -1), ("readlines", 50), ("read", 9000),
             ("readline",), ("__next__",), ("read", 70000), ("readlines", 1), ("readline",),
             ("read", None), ("read",), ("read", 5), ("readline",), ("readlines",)]
    wrong = []
    for name, *args in calls:
        got, want = (getattr(source, name)(*args) for source in (stream, same))
        if got != want:
            wrong.append("%s%r: %r, not %r" % (name, args, got[:50], want[:50]))
    if list(stream) != []:
        wrong.append("not at the end")
    for args in (("a",), (1, 2), (1.5,)):
        try:
            stream.read(*args)
            wrong.append("read%r" % (args,))
        except TypeError:
            pass
    start(start_response)
    return [" ".join(wrong).encode()]


def lines(environ, start_response):
    start(start_response)
    return [b"|".join(environ["wsgi.input"])]


def ignore_unread(environ, start_response):
    try:
        environ["wsgi.input"].read()
        text = "read"
    except OSError as error:
        text = str(error)
    start(start_response)
    return [text.encode()]


def unread_late(environ, start_response):
    start(start_response)
    yield b"some"
    yield environ["wsgi.input"].read()


def errors(environ, start_response):
    stream = environ["wsgi.errors"]
    stream.write("one\ntw")
    stream.writelines(["o\n", "thr", "ee"])
    stream.flush()
    stream.write("last of wsgi.errors")
    print("to stdout", "caf\xe9 \udcff")
    print("to stderr", file=sys.stderr)
    sys.stdout.write("text, ")
    sys.stdout.buffer.write(b"bytes,")
    sys.stdout.buffer.writelines([b" more", memoryview(b" bytes\n")])
    sys.stdout.buffer.flush()
    sys.stderr.write("last of stderr")
    sys.stdout.write("x" * 3999 + "\xe9" * 300)
    wrong = []
    if stream.isatty() or stream.closed or stream.encoding != "utf-8":
        wrong.append(b"attributes")
    for call in (lambda: stream.write(b"bytes"), lambda: sys.stdout.fileno(),
                 lambda: sys.stdout.buffer.write("str")):
        try:
            call()
            wrong.append(b"no exception")
        except (TypeError, io.UnsupportedOperation):
            pass
    start(start_response)
    return wrong


def thread_errors(environ, start_response):
    """Two threads write to one stream at once: nothing is lost, nothing breaks."""
    def run():
        for i in range(500):
            print("thread line", i)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    start(start_response)
    return []


def make_file(text=b"0123456789"):
    file = tempfile.TemporaryFile()
    file.write(text)
    file.seek(0)
    kept["file"] = file
    return file


def file(environ, start_response):
    start(start_response)
    return environ["wsgi.file_wrapper"](make_file(), 4)


def file_tail(environ, start_response):
    wrapped = make_file()
    wrapped.read(3)
    start(start_response)
    return environ["wsgi.file_wrapper"](wrapped)


def file_part(environ, start_response):
    start(start_response, length=4)
    return environ["wsgi.file_wrapper"](make_file())


def file_short(environ, start_response):
    start(start_response, length=20)
    return environ["wsgi.file_wrapper"](make_file())


def file_empty(environ, start_response):
    start(start_response)
    return environ["wsgi.file_wrapper"](make_file(b""))


def file_opened(environ, start_response):
    path = os.path.abspath(__file__)
    start(start_response)
    return environ["wsgi.file_wrapper"](open(path, "rb"))


def file_size(environ, start_response):
    start(start_response)
    return [str(os.path.getsize(__file__)).encode()]


def file_memory(environ, start_response):
    start(start_response)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"), 4)


def file_gzip(environ, start_response):
    packed = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=packed, mode="wb") as out:
        out.write(b"unpacked")
    packed.seek(0)
    start(start_response)
    return environ["wsgi.file_wrapper"](gzip.GzipFile(fileobj=packed, mode="rb"))


def file_written(environ, start_response):
    start(start_response)(b"first ")
    return environ["wsgi.file_wrapper"](make_file())


def file_text(environ, start_response):
    start(start_response)
    return environ["wsgi.file_wrapper"](io.StringIO("text"))


def file_closed(environ, start_response):
    start(start_response)
    return [str(kept["file"].closed).encode()]


def keep(environ, start_response):
    kept["environ"] = environ
    kept["start_response"] = start_response
    kept["write"] = start(start_response)
    kept["lines"] = iter(environ["wsgi.input"])
    return [b"kept"]


def stale(environ, start_response):
    """Objects of a request that has ended raise; wsgi.errors still writes."""
    calls = [
        lambda: kept["environ"]["wsgi.input"].read(),
        lambda: kept["environ"]["wsgi.input"].readline(),
        lambda: next(kept["lines"]),
        lambda: kept["start_response"]("200 OK", []),
        lambda: kept["write"](b"late"),
    ]
    raised = 0
    for call in calls:
        try:
            call()
        except RuntimeError:
            raised += 1
    kept["environ"]["wsgi.errors"].write("late line\n")
    kept.clear()
    start(start_response)
    return [str(raised).encode()]


def thread_reads(environ, start_response):
    got = []
    thread = threading.Thread(target=lambda: got.append(environ["wsgi.input"].read()))
    thread.start()
    thread.join()
    start(start_response)
    return got


def wait_until_busy(stream):
    while True:
        try:
            stream.read(0)
        except RuntimeError:
            return


def thread_busy(environ, start_response):
    """While a thread reads, the request's own thread may not, nor write."""
    stream = environ["wsgi.input"]
    write = start(start_response)
    thread = threading.Thread(target=stream.read)
    thread.start()
    wait_until_busy(stream)
    try:
        write(b"meanwhile")
        text = b"no exception"
    except RuntimeError:
        text = b"busy"
    thread.join()
    return [text]


def thread_left(environ, start_response):
    """Returns while its thread is still reading: the end waits for it."""
    stream = environ["wsgi.input"]

    def run():
        try:
            while stream.read(1):
                pass
        except RuntimeError:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until_busy(stream)
    kept["thread"] = thread
    start(start_response)
    return [b"left"]


def thread_join(environ, start_response):
    kept.pop("thread").join()
    start(start_response)
    return [b"joined"]


def environ_check(environ, start_response):
    import polywsgi

    wrong = []
    want = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "polywsgi.interpreter": polywsgi.interpreter,
        "polywsgi.isolation": polywsgi.isolation,
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "a=b",
        "HTTP_X_LATIN": "caf\xe9",
    }
    for key, value in want.items():
        if environ.get(key) != value or type(environ[key]) is not type(value):
            wrong.append(key)
    if type(environ) is not dict:
        wrong.append("not a dict")
    for call in (type(environ["wsgi.input"]), type(start_response)):
        try:
            call()
            wrong.append("made by hand")
        except TypeError:
            pass
    start(start_response)
    return [" ".join(wrong).encode()]


def identity(environ, start_response):
    start(start_response)
    return [("%(polywsgi.interpreter)s %(polywsgi.isolation)s" % environ).encode()]


def application(environ, start_response):
    name = environ["PATH_INFO"].rpartition("/")[2]
    target = globals()[name]
    if environ["PATH_INFO"].startswith("/valid/"):
        target = validator(target)
    return target(environ, start_response)
