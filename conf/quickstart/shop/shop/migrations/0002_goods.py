# SPDX-License-Identifier: Apache-2.0
"""Something to sell."""

from django.db import migrations

GOODS = [("Kettle", "29.00", 12), ("Teapot", "34.50", 8), ("Cup", "7.20", 60)]


def stock_up(apps, schema_editor):
    """Put the goods on the shelf."""
    product = apps.get_model("shop", "Product")
    for name, price, stock in GOODS:
        product.objects.create(name=name, price=price, stock=stock)


class Migration(migrations.Migration):
    """Three products."""

    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(stock_up, migrations.RunPython.noop)]
