# SPDX-License-Identifier: Apache-2.0
"""The shelf, and ordering from it."""

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import F
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from .models import Order, Product


class OrderForm(forms.ModelForm):
    """What a customer tells."""

    class Meta:
        model = Order
        fields = ["product", "quantity", "customer"]


def place(order):
    """True where there was enough of it: the database decides, not we."""
    with transaction.atomic():
        enough = Product.objects.filter(pk=order.product_id, stock__gte=order.quantity)
        if not enough.update(stock=F("stock") - order.quantity):
            return False
        order.save()
    return True


@require_http_methods(["GET", "HEAD", "POST"])
def shelf(request):
    """The only page of the shop."""
    form = OrderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        order = form.save(commit=False)
        if place(order):
            messages.success(request, f"Ordered: {order}.")
            return redirect("shelf")
        form.add_error("quantity", "There is not that much of it.")
    return render(
        request,
        "shop/shelf.html",
        {
            "form": form,
            "products": Product.objects.all(),
            "where": request.environ["quickstart.where"],
        },
    )
