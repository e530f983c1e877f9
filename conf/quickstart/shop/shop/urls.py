# SPDX-License-Identifier: Apache-2.0
"""Two addresses."""

from django.contrib import admin
from django.urls import path

from .views import shelf

urlpatterns = [path("admin/", admin.site.urls), path("", shelf, name="shelf")]
