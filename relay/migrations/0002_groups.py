"""Gives the groups `support` and `clinic` what they may see here."""

from django.db import migrations

from core.groups import grant

PERMISSIONS = {
    "support": ("view_receivedaction", "view_resend"),
    "clinic": ("view_receivedaction", "view_resend", "view_payload"),
}


def forwards(apps, schema_editor):
    grant(apps, "relay", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [
        ("relay", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
