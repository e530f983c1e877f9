# SPDX-License-Identifier: Apache-2.0
"""All applications behind one callable, for servers that have one: the first part
of the path says which. Those that cannot be imported are not there."""

import importlib

APPLICATIONS = {}
for prefix, name in (("wsgi", "plain"), ("second", "plain"),
                     ("flask", "flaskapp"), ("django", "djangoapp")):
    try:
        APPLICATIONS[prefix] = importlib.import_module(name).application
    except ImportError:
        pass


def application(environ, start_response):
    path = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).split("/", 2)
    environ["SCRIPT_NAME"] = "/" + path[1]
    environ["PATH_INFO"] = "/" + path[2]
    return APPLICATIONS[path[1]](environ, start_response)
