# SPDX-License-Identifier: Apache-2.0
"""The first page of the quickstart: what runs where. Standard library only."""

import html
import http.client
import json
import os
import string

from where import Where

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = int(os.environ["QUICKSTART_PORT"])
SITES = [
    ("localhost", "this page"),
    ("blog.localhost", "a blog; it keeps its entries"),
    ("shop.localhost", "a shop; its admin is at /admin/"),
]

with open(os.path.join(HERE, "page.html"), encoding="utf-8") as file:
    PAGE = string.Template(file.read())
with open(os.path.join(HERE, "row.html"), encoding="utf-8") as file:
    ROW = string.Template(file.read())


def ask(host):
    """Where the application of this virtual host runs."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", "/where", headers={"Host": f"{host}:{PORT}"})
        response = connection.getresponse()
        if response.status != 200:
            return {"error": f"answers {response.status}; the error log says why"}
        return json.load(response)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"error": f"does not answer: {error}"}
    finally:
        connection.close()


def row(host, about, port, facts):
    """One row of the table. The browser's own port: ssh -L may change it."""
    if "error" in facts:
        facts = dict.fromkeys(
            ("framework", "interpreter", "isolation", "python", "pid", "served"), ""
        ) | {"framework": facts["error"]}
    values = {key: html.escape(str(value)) for key, value in facts.items()}
    return ROW.substitute(values, host=host, about=html.escape(about), port=port)


def page(environ):
    """The whole page as text."""
    port = environ.get("HTTP_HOST", "").rpartition(":")[2]
    if not port.isdecimal():
        port = str(PORT)
    facts = [application.describe()] + [ask(host) for host, _ in SITES[1:]]
    rows = [
        row(host, about, port, fact)
        for (host, about), fact in zip(SITES, facts, strict=True)
    ]
    return PAGE.substitute(rows="".join(rows))


def index(environ, start_response):
    """WSGI."""
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
    if environ.get("PATH_INFO") not in ("", "/"):
        start_response("404 Not Found", headers)
        return [b"<!DOCTYPE html><title>Not here</title><p>Nothing here. <a href='/'>Home</a>\n"]
    body = page(environ).encode()
    start_response("200 OK", headers)
    return [body]


application = Where(index, "no framework")
