"""Lets both groups make test items, and `clinic` export a day's list: it is full of women."""

from django.db import migrations

from core.groups import grant

PERMISSIONS = {"support": ("make_test_item",), "clinic": ("make_test_item", "export_worklist")}


def forwards(apps, schema_editor):
    grant(apps, "worklist", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [("worklist", "0011_admin_lists")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
