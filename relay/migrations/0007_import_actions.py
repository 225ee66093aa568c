"""Lets `clinic` import actions from a file: it is full of women."""

from django.db import migrations, models

from core.groups import grant


def forwards(apps, schema_editor):
    grant(apps, "relay", {"clinic": ("import_actions",)})


class Migration(migrations.Migration):
    dependencies = [("relay", "0006_plain_words")]

    operations = [
        migrations.AlterModelOptions(
            name="receivedaction",
            options={
                "ordering": ("-received_at",),
                "permissions": (
                    ("view_payload", "Can see the payload of an action, which has patient data"),
                    ("reprocess_action", "Can have an action that failed executed again"),
                    ("import_actions", "Can have the actions in a file executed"),
                ),
            },
        ),
        migrations.AlterField(
            model_name="receivedaction",
            name="connection",
            field=models.CharField(
                help_text="The hybrid connection and rendezvous, or the file or import and the position in it.",
                max_length=200,
            ),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
