# SPDX-License-Identifier: Apache-2.0
"""What ./quickstart leaves to Python.

    quickstart.py free PORT           exit status 0 where PORT can be had
    quickstart.py wait PORT PID HOST...
                                      returns when every virtual host answers:
                                      0, or 2 where one answers with an error,
                                      or 1 as soon as httpd (PID) has ended
    quickstart.py secret BYTES        prints a new secret
"""
import errno
import http.client
import os
import secrets
import socket
import sys
import time

PATIENCE = 90  # seconds: longer than WSGIStartupTimeout


def free(port):
    """What keeps us from listening, or nothing."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        return "it is in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno)
    return None


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def ask(port, host):
    """The status that this virtual host answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/", headers={"Host": "%s:%d" % (host, port)})
        return connection.getresponse().status
    finally:
        connection.close()


def wait(port, pid, hosts):
    """Asks until the answer is no 503; prints those that are errors."""
    end = time.monotonic() + PATIENCE
    bad = False
    for host in hosts:
        status = 0
        while status in (0, 503) and alive(pid) and time.monotonic() < end:
            try:
                status = ask(port, host)
            except (OSError, http.client.HTTPException):
                status = 0
            if status in (0, 503):
                time.sleep(0.1)
        if not alive(pid):
            return 1
        if status == 0 or status >= 500:
            print("    http://%s:%d/ %s; the lines above say why"
                  % (host, port, "answers %d" % status if status else "does not answer"))
            bad = True
    return 2 if bad else 0


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "free":
        sys.exit(free(int(arguments[0])))
    if command == "wait":
        sys.exit(wait(int(arguments[0]), int(arguments[1]), arguments[2:]))
    if command == "secret":
        print(secrets.token_urlsafe(int(arguments[0])))


main()
