# SPDX-License-Identifier: Apache-2.0
"""An application found by a dotted callable."""

import json


class Maker:
    """Holds its application as an attribute."""

    def wsgi(self, environ, start_response):
        """Tell where we are mounted."""
        body = json.dumps(
            {
                "module": __name__,
                "script_name": environ["SCRIPT_NAME"],
                "path_info": environ["PATH_INFO"],
                "interpreter": environ["polywsgi.interpreter"],
            }
        ).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]


make = Maker()
