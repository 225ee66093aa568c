"""Hand the modalities over to the app `dicom`, and call a delivery a delivery."""

from django.db import migrations, models


def rename_permissions(apps, old, new):
    """Permissions keep their rows, and with them who has them; only the words change."""
    permissions = apps.get_model("auth", "Permission").objects
    for action in ("add", "change", "delete", "view"):
        found = permissions.filter(content_type__app_label="worklist", codename=f"{action}_{old}")
        found.update(codename=f"{action}_{new}", name=f"Can {action} {new}")


def forwards(apps, schema_editor):
    rename_permissions(apps, "showing", "delivery")


def backwards(apps, schema_editor):
    rename_permissions(apps, "delivery", "showing")


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("dicom", "0001_modality"),
        ("worklist", "0012_groups_export_and_test"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Modality")]),
        migrations.RenameModel("Showing", "Delivery"),
        migrations.AlterField(
            "delivery",
            "item",
            models.ForeignKey(on_delete=models.deletion.CASCADE, related_name="deliveries", to="worklist.worklistitem"),
        ),
        migrations.RenameIndex("delivery", "delivery_by_time", old_name="showing_by_time"),
        migrations.RenameIndex("delivery", "delivery_by_title", old_name="showing_by_title"),
        migrations.RemoveConstraint("delivery", "one_showing_per_item_and_modality"),
        migrations.AddConstraint(
            "delivery",
            models.UniqueConstraint(fields=("item", "ae_title"), name="one_delivery_per_item_and_modality"),
        ),
        migrations.RenameIndex("worklistquery", "query_by_requestor", old_name="query_by_asker"),
        migrations.RunPython(forwards, backwards),
    ]
