# SPDX-License-Identifier: Apache-2.0
"""One table."""

from django.db import models


class Product(models.Model):
    """Something to search for."""

    name = models.CharField(max_length=100)

    def __str__(self):
        return self.name
