# SPDX-License-Identifier: Apache-2.0
"""Applications that do what no application should. PATH_INFO names one."""

import gc
import logging
import signal
import subprocess
import sys
import threading
import time

TEXT = [("Content-Type", "text/plain")]
kept = {}


def answer(start_response, text):
    """The whole response."""
    start_response("200 OK", TEXT)
    return [text.encode()]


def spawn(command):
    """A child process of ours must not inherit what httpd's threads block."""
    process = subprocess.Popen(command)
    process.terminate()
    try:
        return process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "does not end"


at_import = [spawn(["sleep", "30"]), spawn(["/bin/sleep", "30"])]


def import_children(environ, start_response):
    return answer(start_response, repr(at_import))


def children(environ, start_response):
    return answer(start_response, repr([spawn(["sleep", "30"]), spawn(["/bin/sleep", "30"])]))


def alarm(environ, start_response):
    """The common time limit: without a handler its signal would end the child."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.alarm(1)
    time.sleep(1.2)
    return answer(start_response, "alive")


def keep(environ, start_response):
    kept.update(environ=environ, start=start_response, write=start_response("200 OK", TEXT))
    return [b"kept"]


def use_kept(environ, start_response):
    said = []
    for call in (
        lambda: kept["start"]("200 OK", TEXT),
        lambda: kept["write"](b"x"),
        lambda: kept["environ"]["wsgi.input"].read(),
        lambda: kept["environ"]["wsgi.errors"].write("late\n"),
    ):
        try:
            call()
            said.append("ok")
        except RuntimeError as error:
            said.append(type(error).__name__)
    kept.clear()
    gc.collect()
    return answer(start_response, " ".join(said))


def thread_after(environ, start_response):
    """A thread that goes on with the request while and after it ends."""

    def run():
        for _ in range(2000):
            try:
                environ["wsgi.input"].read(1)
                start_response("200 OK", TEXT, (ValueError, ValueError(), None))
                start_response.write(b"")
            except (RuntimeError, ValueError, OSError):
                pass

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    kept["threads"] = threads
    try:
        start_response("200 OK", TEXT)
    except AssertionError:
        pass
    return [b"begun"]


class Status(str):
    """Lets others run while it is dropped."""

    def __del__(self):
        time.sleep(0.002)


def dying_status(environ, start_response):
    """start_response in a thread, in the moment in which the request ends."""

    def run():
        for _ in range(200):
            try:
                start_response(Status("200 OK"), list(TEXT), (ValueError, ValueError(), None))
            except (RuntimeError, ValueError):
                pass

    kept["threads"] = [threading.Thread(target=run)]
    kept["threads"][0].start()
    time.sleep(0.01)
    return [b"begun"]


def joined(environ, start_response):
    for thread in kept.pop("threads"):
        thread.join(20)
    return answer(start_response, "joined")


class FailsInClose:
    def __init__(self, start_response):
        self.start_response = start_response

    def __iter__(self):
        yield b"whole"

    def close(self):
        self.start_response.write(b", late")
        raise SystemExit("in close")


def close_raises(environ, start_response):
    start_response("200 OK", TEXT)
    return FailsInClose(start_response)


def write_before_start(environ, start_response):
    try:
        start_response.write(b"x")
    except RuntimeError:
        return answer(start_response, "refused")
    return []


class Text(str):
    pass


class Bytes(bytes):
    def __len__(self):
        return 1


def subclasses(environ, start_response):
    start_response(Text("200 OK"), [(Text("Content-Type"), Text("text/plain"))])
    return [Bytes(b"sub"), Bytes(b"classes")]


def huge_headers(environ, start_response):
    start_response("200 OK", TEXT + [("X-%d" % i, "v" * 5000) for i in range(1000)])
    return [b"huge"]


def tiny_list(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"x"] * 1000000


def tiny_iterator(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"x" for _ in range(int(environ["QUERY_STRING"] or 1000000)))


def empty_chunks(environ, start_response):
    start_response("200 OK", TEXT)
    return [b""] * 1000000 + [b"end"]


def recursion(environ, start_response):
    def deeper(n):
        print("", end="")
        return deeper(n + 1)

    deeper(0)


def exit_in_thread(environ, start_response):
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()
    return answer(start_response, "alive")


class Loop:
    """A stream that logs what is written to it, by itself."""

    def write(self, text):
        logging.getLogger().error("again")

    def flush(self):
        pass


def log_loop(environ, start_response):
    streams = sys.stdout, sys.stderr
    handler = logging.StreamHandler(Loop())
    logging.getLogger().addHandler(handler)
    sys.stdout = sys.stderr = handler.stream
    try:
        print("round and round")
    except RecursionError:
        pass
    finally:
        logging.getLogger().removeHandler(handler)
        sys.stdout, sys.stderr = streams
    return answer(start_response, "out of it")


def no_streams(environ, start_response):
    streams = sys.stdout, sys.stderr
    streams[0].write("begun")
    del sys.stdout, sys.stderr
    kept["streams"] = streams
    raise ValueError("without streams")


def streams_again(environ, start_response):
    sys.stdout, sys.stderr = kept.pop("streams")
    print(" and ended")
    return answer(start_response, "again")


def body_by_other(environ, start_response):
    """A thread reads the body while this one logs."""
    got = []

    def run():
        while True:
            data = environ["wsgi.input"].read(4096)
            if not data:
                break
            got.append(len(data))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        print("reading", file=environ["wsgi.errors"])
        time.sleep(0.001)
    thread.join()
    return answer(start_response, str(sum(got)))


def half(environ, start_response):
    try:
        environ["wsgi.input"].read()
    except OSError:
        pass
    try:
        environ["wsgi.input"].readline()
    except OSError:
        pass
    return answer(start_response, "half")


def fail(environ, start_response):
    raise ValueError("on purpose")


def fail_hard(environ, start_response):
    start_response("404 Gone", TEXT)
    raise MemoryError


def read_all(environ, start_response):
    return answer(start_response, "read %d" % len(environ["wsgi.input"].read()))


def error_page(environ, start_response):
    body = environ["wsgi.input"].read()
    return answer(
        start_response,
        "error %s %s %d" % (environ["REDIRECT_STATUS"], environ["REQUEST_METHOD"], len(body)),
    )


def included(environ, start_response):
    return answer(start_response, "[included]")


def including(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    yield b"a<!--#include virtual='/h/included' -->b"
    yield b"<!--#include virtual='/h/fail' -->"
    yield b"<!--#include virtual='/other/included' -->c"
    kept["include"] = 1


def slow_head(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"x" * 100
    raise ValueError("never reached with HEAD")


def nothing_allowed(environ, start_response):
    start_response(environ["QUERY_STRING"] + " X", TEXT + [("Content-Length", "7")])
    yield b"1234567"


def endless(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        while True:
            yield b"x" * 10000
    finally:
        kept["ended"] = 1


def ended(environ, start_response):
    return answer(start_response, str(kept.get("ended", 0)))


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].lstrip("/")](environ, start_response)
