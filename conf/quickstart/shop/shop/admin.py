# SPDX-License-Identifier: Apache-2.0
"""Products and orders at /admin/."""

from django.contrib import admin

from .models import Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """The shelf."""

    list_display = ["name", "price", "stock"]
    list_editable = ["price", "stock"]
    search_fields = ["name"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """The orders, newest first."""

    list_display = ["product", "quantity", "customer", "created"]
    list_filter = ["product"]
    search_fields = ["customer", "product__name"]
    date_hierarchy = "created"
