# SPDX-License-Identifier: Apache-2.0
"""The shop for httpd."""

import django
from django.core.wsgi import get_wsgi_application
from where import Where

shop = get_wsgi_application()


def with_where(environ, start_response):
    """The page tells where it runs."""
    environ["quickstart.where"] = application.describe()
    return shop(environ, start_response)


application = Where(with_where, "Django " + django.get_version())
