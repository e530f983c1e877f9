# SPDX-License-Identifier: Apache-2.0
"""What is asked for: the table of workloads, and their requests byte for byte."""

from dataclasses import dataclass, field

MIB = 1 << 20

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "http://localhost/",
    "Cookie": "session=0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
}


@dataclass
class Request:
    """One request to an application; `app` is a key of Contestant.mounts."""

    page: str
    app: str = "plain"
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def target(self, mounts):
        return mounts[self.app] + "/" + self.page

    def text(self, mounts):
        lines = ["%s %s HTTP/1.1" % ("POST" if self.body else "GET", self.target(mounts)),
                 "Host: localhost"]
        lines += ["%s: %s" % pair for pair in self.headers.items()]
        if self.body:
            lines += ["Content-Length: %d" % len(self.body), "Content-Type: text/plain"]
        return "\r\n".join(lines + ["", ""]).encode() + self.body


@dataclass
class Workload:
    """Requests take turns: over connections, or, with a rate, over time."""

    name: str
    title: str
    requests: list
    length: object = None  # of the answer's body: a number, or None
    connections: int = 8
    rate: float = 0  # requests a second in an open loop; 0: a closed one
    least: float = 0  # seconds, of a round
    yardstick: str = ""  # contestant that does the same without Python

    def apps(self):
        return {request.app for request in self.requests}


def table(turns, rate=100):
    """All workloads; turns(ms): turns of plain.compute for so many ms of CPU."""
    def cpu(ms, app="plain"):
        return Request("cpu?%d" % turns(ms), app)

    quick = Request("hello")
    return [
        Workload("hello", "one line of text", [quick], 14, yardstick="bare"),
        Workload("browser", "the same, a browser's headers",
                 [Request("hello", headers=BROWSER)], 14, yardstick="bare"),
        Workload("json", "40 rows by json.dumps", [Request("json")]),
        Workload("flask", "Flask, a template of 20 rows",
                 [Request("page", "flask", BROWSER)]),
        Workload("django", "Django, a template of 20 rows",
                 [Request("page", "django", BROWSER)]),
        Workload("bytes", "1 MiB, one bytes object", [Request("bytes")], MIB,
                 yardstick="static"),
        Workload("file", "1 MiB, wsgi.file_wrapper", [Request("file")], MIB,
                 yardstick="static"),
        Workload("upload", "1 MiB read by the application",
                 [Request("upload", body=b"u" * MIB)], 7, yardstick="bare"),
        Workload("io", "2 ms of sleep, 32 connections", [Request("sleep?2")], 6,
                 connections=32),
        Workload("cpu1", "1 ms of CPU", [cpu(1)]),
        Workload("cpu10", "10 ms of CPU", [cpu(10)], least=1),
        Workload("two", "10 ms of CPU in each of two applications",
                 [cpu(10), cpu(10, "second")], least=1),
        Workload("mix", "open loop: 80 % one line, 20 % 10 ms of CPU",
                 [quick, quick, cpu(10), quick, quick], connections=64, rate=rate,
                 least=2),
    ]
