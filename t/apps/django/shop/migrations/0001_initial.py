# SPDX-License-Identifier: Apache-2.0
"""The one table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create Product."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("name", models.CharField(max_length=100)),
            ],
        )
    ]
