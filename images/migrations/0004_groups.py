"""Let both groups see images, and `clinic` look at their pictures and decide: it takes knowing who the woman is."""

from django.db import migrations

from core.groups import grant

SEEN = ("view_receivedimage", "view_failurereport")
PERMISSIONS = {"support": SEEN, "clinic": (*SEEN, "view_picture", "decide_image")}


def forwards(apps, schema_editor):
    grant(apps, "images", PERMISSIONS)


class Migration(migrations.Migration):
    dependencies = [("images", "0003_queue"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
