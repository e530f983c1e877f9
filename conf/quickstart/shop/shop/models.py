# SPDX-License-Identifier: Apache-2.0
"""What is sold, and what was ordered."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Product(models.Model):
    """Something on the shelf."""

    name = models.CharField(max_length=100, unique=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Order(models.Model):
    """Somebody wants some of it."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    customer = models.CharField(max_length=100)
    quantity = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self):
        return f"{self.quantity} × {self.product} for {self.customer}"
