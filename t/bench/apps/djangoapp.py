# SPDX-License-Identifier: Apache-2.0
"""A page of Django: the usual middleware without a database, a template with 20 rows."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import engines
from django.urls import path

PAGE = """<!doctype html><title>{{ title }}</title><ul>
{% for row in rows %}<li>{{ row.id }}: {{ row.name }}</li>
{% endfor %}</ul>"""


def page(request):
    rows = [{"id": i, "name": "<row %d>" % i} for i in range(20)]
    return HttpResponse(TEMPLATE.render({"title": "Rows", "rows": rows}))


class Urls:
    urlpatterns = [path("page", page)]


settings.configure(
    SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware",
                "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.middleware.clickjacking.XFrameOptionsMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
application = get_wsgi_application()
TEMPLATE = engines["django"].from_string(PAGE)
