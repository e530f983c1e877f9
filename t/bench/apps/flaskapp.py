# SPDX-License-Identifier: Apache-2.0
"""A page of Flask: a template with 20 rows."""

import flask

application = flask.Flask(__name__)
PAGE = application.jinja_env.from_string("""\
<!doctype html><title>{{ title }}</title><ul>
{% for row in rows %}<li>{{ row.id }}: {{ row.name }}</li>
{% endfor %}</ul>""")


@application.route("/page")
def page():
    rows = [{"id": i, "name": "<row %d>" % i} for i in range(20)]
    return flask.render_template(PAGE, title="Rows", rows=rows)
