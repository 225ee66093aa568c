"""Lets the groups `support` and `clinic` see modalities, queries and what was shown: no patient stands in them."""

from django.db import migrations

from core.groups import grant

SEEN = ("view_modality", "view_worklistquery", "view_showing", "view_itemalarm")
PERMISSIONS = {"support": SEEN, "clinic": SEEN}


def forwards(apps, schema_editor):
    grant(apps, "worklist", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [("worklist", "0003_modalities_and_deliveries")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
