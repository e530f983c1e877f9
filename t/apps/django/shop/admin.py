# SPDX-License-Identifier: Apache-2.0
"""The product in the admin, with a search field."""

from django.contrib import admin

from .models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Search by name."""

    search_fields = ["name"]
