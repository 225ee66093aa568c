"""Lets the groups `support` and `clinic` see steps and MPPS exceptions, and `clinic` deal with them: it takes knowing
who the woman is. Operators and whole data sets are seen by those to whom an administrator gives these permissions."""

from django.db import migrations

from core.groups import grant

SEEN = ("view_performedprocedurestep", "view_mppsexception")
PERMISSIONS = {"support": SEEN, "clinic": (*SEEN, "resolve_mppsexception")}


def forwards(apps, schema_editor):
    grant(apps, "worklist", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [("worklist", "0007_mpps")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
