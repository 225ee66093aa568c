"""Take over the table of modalities, with its rows, from the app `worklist`."""

import uuid

from django.db import migrations, models

import dicom.models


def rename(apps, old, new):
    """Rename the app of the model's content type, which its permissions belong to, and of its audit log entries."""
    content_types = apps.get_model("contenttypes", "ContentType").objects
    content_types.filter(app_label=old, model="modality").update(app_label=new)
    audit_log = apps.get_model("core", "AuditLog").objects
    audit_log.filter(object_type=f"{old}.modality").update(object_type=f"{new}.modality")


def forwards(apps, schema_editor):
    rename(apps, "worklist", "dicom")


def backwards(apps, schema_editor):
    rename(apps, "dicom", "worklist")


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("core", "0003_admin_lists"),
        ("worklist", "0012_groups_export_and_test"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[
        migrations.CreateModel(
            name='Modality',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('ae_title', models.CharField(max_length=16, unique=True, validators=[dicom.models.validate_ae_title], verbose_name='AE title')),
                ('name', models.CharField(blank=True, help_text='What people call it.', max_length=64)),
                ('room', models.CharField(blank=True, help_text='The clinic, the room or the van.', max_length=64)),
                ('is_allowed', models.BooleanField(default=True, help_text='Its associations are rejected otherwise.', verbose_name='allowed')),
                ('own_list_only', models.BooleanField(default=False, help_text='It is shown items of its own AE title and of none, whatever it asks for.')),
                ('hides_in_progress', models.BooleanField(default=False, help_text='An item in progress leaves its list, unless it asks by status.', verbose_name='hide in progress')),
                ('character_set', models.CharField(blank=True, choices=[('ISO_IR 100', 'ISO_IR 100'), ('ISO_IR 101', 'ISO_IR 101'), ('ISO_IR 109', 'ISO_IR 109'), ('ISO_IR 110', 'ISO_IR 110'), ('ISO_IR 144', 'ISO_IR 144'), ('ISO_IR 192', 'ISO_IR 192'), ('ascii-transliterate', 'ascii-transliterate')], help_text='Of the answers, whatever it asks for; ascii-transliterate writes ł as l, and never a question mark.', max_length=40)),
                ('max_rows', models.PositiveIntegerField(blank=True, help_text='Items in one answer; MWL_MAX_ROWS if empty.', null=True)),
                ('expected_address', models.GenericIPAddressField(blank=True, help_text='Where its associations must come from; anywhere if empty.', null=True)),
                ('is_strict', models.BooleanField(default=False, help_text='For acceptance tests: what is otherwise an MPPS exception is refused.', verbose_name='strict MPPS')),
            ],
            options={
                'verbose_name_plural': 'modalities',
                'db_table': 'worklist_modality',
                'ordering': ('ae_title',),
            },
        ),
        ]),
        migrations.RunPython(forwards, backwards),
    ]
