# SPDX-License-Identifier: Apache-2.0
"""A blog on Flask. SQLite keeps the entries: over restarts, and for several
processes at once."""

import contextlib
import importlib.metadata
import os
import sqlite3

from flask import Flask, abort, redirect, render_template, request, url_for
from where import Where

DATABASE = os.path.join(os.environ["QUICKSTART_DATA"], "blog", "blog.sqlite3")
TABLE = """CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL,
    written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"""

app = Flask(__name__, root_path=os.path.dirname(os.path.abspath(__file__)))
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024


@contextlib.contextmanager
def database():
    """One connection, one transaction; waits its turn for ten seconds."""
    connection = sqlite3.connect(DATABASE, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        with connection:
            yield connection
    finally:
        connection.close()


with database() as db:
    db.execute(TABLE)


@app.before_request
def only_from_here():
    """Another site's page may not write in this blog."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method == "POST" and site not in ("same-origin", "none"):
        abort(403)


@app.get("/")
def entries():
    """The list, newest first, and the form."""
    with database() as connection:
        found = connection.execute("SELECT * FROM entry ORDER BY id DESC LIMIT 100").fetchall()
    return render_template("blog.html", entries=found, where=application.describe())


@app.post("/")
def write():
    """Keep a new entry."""
    title = request.form.get("title", "").strip()[:200]
    text = request.form.get("text", "").strip()[:10000]
    if not title:
        abort(400, "An entry needs a title.")
    with database() as connection:
        connection.execute("INSERT INTO entry (title, text) VALUES (?, ?)", (title, text))
    return redirect(url_for("entries"), 303)


@app.post("/delete/<int:number>")
def delete(number):
    """Take an entry away."""
    with database() as connection:
        connection.execute("DELETE FROM entry WHERE id = ?", (number,))
    return redirect(url_for("entries"), 303)


application = Where(app, "Flask " + importlib.metadata.version("flask"))
