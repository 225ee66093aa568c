"""Reword help texts, plural names and permissions. No table changes."""

from django.db import migrations, models


NAMES = {
    "resolve_mppsexception": "Can resolve MPPS exceptions, and put items back on the list",
    "view_operator": "Can see who operated the machine",
    "view_data_set": "Can see everything that the modality sent",
    "view_patient_data": "Can see who the patient is",
    "export_worklist": "Can export a day's worklist",
    "make_test_item": "Can put a test item on the worklist, and take it off",
}


def rename_permissions(apps, schema_editor):
    """Django creates permissions, but does not reword those that exist."""
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="worklist")
    for codename, name in NAMES.items():
        permissions.filter(codename=codename).update(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("worklist", "0013_deliveries"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="delivery",
            options={"ordering": ("first_shown_at",), "verbose_name_plural": "deliveries"},
        ),
        migrations.AlterModelOptions(
            name="mppsexception",
            options={
                "ordering": ("-created_at",),
                "permissions": (
                    ("resolve_mppsexception", "Can resolve MPPS exceptions, and put items back on the list"),
                ),
                "verbose_name": "MPPS exception",
                "verbose_name_plural": "MPPS exceptions",
            },
        ),
        migrations.AlterModelOptions(
            name="performedprocedurestep",
            options={
                "ordering": ("-created_at",),
                "permissions": (
                    ("view_operator", "Can see who operated the machine"),
                    ("view_data_set", "Can see everything that the modality sent"),
                ),
            },
        ),
        migrations.AlterModelOptions(
            name="worklistitem",
            options={
                "ordering": ("scheduled_date", "scheduled_time", "accession_number"),
                "permissions": (
                    ("view_patient_data", "Can see who the patient is"),
                    ("export_worklist", "Can export a day's worklist"),
                    ("make_test_item", "Can put a test item on the worklist, and take it off"),
                ),
            },
        ),
        migrations.AlterField(
            model_name="itemchange",
            name="performed",
            field=models.JSONField(help_text="The report of the step that decides the status.", null=True),
        ),
        migrations.AlterField(
            model_name="mppsexception",
            name="detail",
            field=models.CharField(blank=True, help_text="Keywords of attributes, never values.", max_length=300),
        ),
        migrations.AlterField(
            model_name="mppsexception",
            name="note",
            field=models.CharField(
                blank=True, help_text="In a person's words, without a patient's name.", max_length=300
            ),
        ),
        migrations.AlterField(
            model_name="performedprocedurestep",
            name="character_set",
            field=models.CharField(
                blank=True, help_text="From the N-CREATE; for N-SETs that have none.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="performedprocedurestep",
            name="correlation_id",
            field=models.CharField(db_index=True, help_text="From the N-CREATE.", max_length=64),
        ),
        migrations.AlterField(
            model_name="performedprocedurestep",
            name="data_set",
            field=models.TextField(help_text="The whole report, as DICOM JSON."),
        ),
        migrations.AlterField(
            model_name="performedprocedurestep",
            name="discontinuation_reason",
            field=models.CharField(blank=True, help_text="Meaning, and code in brackets.", max_length=200),
        ),
        migrations.AlterField(
            model_name="performedprocedurestep",
            name="dose",
            field=models.TextField(blank=True, help_text="One line for each attribute: keyword and value."),
        ),
        migrations.AlterField(
            model_name="querytally",
            name="ae_title",
            field=models.CharField(
                blank=True, help_text="Empty if not configured.", max_length=16, verbose_name="AE title"
            ),
        ),
        migrations.AlterField(
            model_name="querytally",
            name="at_most_ms",
            field=models.PositiveIntegerField(help_text="Upper limit of the duration in milliseconds."),
        ),
        migrations.AlterField(
            model_name="worklistitem",
            name="cloud_status",
            field=models.CharField(
                choices=[
                    ("SCHEDULED", "Scheduled"),
                    ("IN PROGRESS", "In Progress"),
                    ("COMPLETED", "Completed"),
                    ("DISCONTINUED", "Discontinued"),
                ],
                default="SCHEDULED",
                help_text="The last status from Manage.",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="worklistitem",
            name="correlation_id",
            field=models.CharField(db_index=True, help_text="From the action that created the item.", max_length=64),
        ),
        migrations.AlterField(
            model_name="worklistquery",
            name="items",
            field=models.ManyToManyField(
                help_text="The items that were sent.", related_name="queries", to="worklist.worklistitem"
            ),
        ),
        migrations.AlterField(
            model_name="worklistquery",
            name="keys",
            field=models.JSONField(
                default=dict, help_text="Keyword → value; the values of a patient's keys are hashed."
            ),
        ),
        migrations.AlterField(
            model_name="worklistquery",
            name="left_out",
            field=models.PositiveIntegerField(default=0, help_text="Matching items that could not be sent."),
        ),
        migrations.AlterField(
            model_name="worklistquery",
            name="matched",
            field=models.PositiveIntegerField(default=0, help_text="Items that were sent."),
        ),
        migrations.RunPython(rename_permissions, migrations.RunPython.noop),
    ]
