"""Lets both groups have a failed action executed again: that shows nobody's data."""

from django.db import migrations

from core.groups import grant

SEEN = ("view_reprocessing", "reprocess_action")
PERMISSIONS = {"support": SEEN, "clinic": SEEN}


def forwards(apps, schema_editor):
    grant(apps, "relay", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [("relay", "0004_reprocessing")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
