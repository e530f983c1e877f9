# SPDX-License-Identifier: Apache-2.0
"""The admin, and a page that tells where it runs."""

import os
import sys

import polywsgi
from django.contrib import admin
from django.http import JsonResponse
from django.urls import path


def where(request):
    """Tell the interpreter and the process."""
    return JsonResponse(
        {
            "interpreter": polywsgi.interpreter,
            "isolation": polywsgi.isolation,
            "pid": os.getpid(),
            "flask": "flask" in sys.modules,
            "url": request.build_absolute_uri(),
        }
    )


urlpatterns = [path("admin/", admin.site.urls), path("", where)]
