"""The tables of a new tenant, in the schema that comes first in the path."""

import pathlib

from django.db import migrations

TABLES = pathlib.Path(__file__).parents[5] / "data/tenants/tenant.sql"


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(TABLES.read_text())]
