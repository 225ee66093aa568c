"""Gives the groups `support` and `clinic` what they may see here."""

from django.db import migrations

from core.groups import grant

PERMISSIONS = {
    "support": ("view_worklistitem",),
    "clinic": ("view_worklistitem", "view_patient_data"),
}


def forwards(apps, schema_editor):
    grant(apps, "worklist", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [
        ("worklist", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
