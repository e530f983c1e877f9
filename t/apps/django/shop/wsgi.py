# SPDX-License-Identifier: Apache-2.0
"""The WSGI application of the shop."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
