"""Makes the tables of what modalities report, and of the changes that Manage asks for."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


def forwards(apps, schema_editor):
    """Until now all that was known of an item came from the cloud."""
    items = apps.get_model("worklist", "WorklistItem").objects.using(schema_editor.connection.alias)
    items.exclude(status="SCHEDULED").update(cloud_status=models.F("status"))


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0006_fill_search_columns'),
    ]

    operations = [
        migrations.CreateModel(
            name='PerformedProcedureStep',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('sop_instance_uid', models.CharField(max_length=64, unique=True, verbose_name='SOP Instance UID')),
                ('status', models.CharField(choices=[('IN PROGRESS', 'In Progress'), ('COMPLETED', 'Completed'), ('DISCONTINUED', 'Discontinued')], default='IN PROGRESS', max_length=16)),
                ('performed_procedure_step_id', models.CharField(blank=True, max_length=16, verbose_name='Performed Procedure Step ID')),
                ('start_date', models.DateField(null=True)),
                ('start_time', models.TimeField(null=True)),
                ('end_date', models.DateField(null=True)),
                ('end_time', models.TimeField(null=True)),
                ('station_ae_title', models.CharField(blank=True, max_length=16, verbose_name='performed station AE title')),
                ('station_name', models.CharField(blank=True, max_length=16, verbose_name='performed station name')),
                ('location', models.CharField(blank=True, max_length=16, verbose_name='performed location')),
                ('modality', models.CharField(blank=True, max_length=16)),
                ('series', models.PositiveIntegerField(default=0)),
                ('images', models.PositiveIntegerField(default=0)),
                ('dose', models.TextField(blank=True, help_text='Keyword: value, a line each.')),
                ('discontinuation_reason', models.CharField(blank=True, help_text='Its meaning, and its code.', max_length=200)),
                ('patient_id', models.CharField(blank=True, max_length=64, verbose_name='NHS number')),
                ('operators', models.CharField(blank=True, max_length=640)),
                ('data_set', models.TextField(help_text='All that the modality sent, as DICOM JSON.')),
                ('character_set', models.CharField(blank=True, help_text='Of the N-CREATE, for each N-SET, too.', max_length=200)),
                ('calling_ae_title', models.CharField(max_length=16, verbose_name='calling AE title')),
                ('address', models.CharField(max_length=45)),
                ('correlation_id', models.CharField(db_index=True, help_text='Of the N-CREATE.', max_length=64)),
            ],
            options={
                'ordering': ('-created_at',),
                'permissions': (('view_operator', 'Can see who has operated the machine'), ('view_data_set', 'Can see all that the modality sent')),
            },
        ),
        migrations.AddField(
            model_name='modality',
            name='is_strict',
            field=models.BooleanField(default=False, help_text='For acceptance tests: what is otherwise an MPPS exception is refused.', verbose_name='strict MPPS'),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='cloud_status',
            field=models.CharField(choices=[('SCHEDULED', 'Scheduled'), ('IN PROGRESS', 'In Progress'), ('COMPLETED', 'Completed'), ('DISCONTINUED', 'Discontinued')], default='SCHEDULED', help_text='What Manage has last said.', max_length=16),
        ),
        migrations.CreateModel(
            name='ItemChange',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('status', models.CharField(max_length=16)),
                ('performed', models.JSONField(help_text='The step that decides, as Manage is told of it.', null=True)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='worklist.worklistitem')),
            ],
            options={
                'ordering': ('number',),
            },
        ),
        migrations.CreateModel(
            name='StepLink',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('counts', models.BooleanField(default=True)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='step_links', to='worklist.worklistitem')),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links', to='worklist.performedprocedurestep')),
            ],
        ),
        migrations.AddField(
            model_name='performedprocedurestep',
            name='items',
            field=models.ManyToManyField(related_name='steps', through='worklist.StepLink', to='worklist.worklistitem'),
        ),
        migrations.CreateModel(
            name='MppsException',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('reason', models.CharField(choices=[('unscheduled', 'Unscheduled: the machine names no item'), ('unknown_item', 'Unknown accession number: no item has it'), ('wrong_patient', "Wrong patient: the item is another woman's"), ('missing_attributes', 'Attributes are missing or cannot be read'), ('ignored_attributes', 'Attributes came that may no longer change'), ('contradicts_cloud', 'Manage had discontinued the item'), ('done_after_put_back', 'Completed after the item was put back on the list'), ('abandoned', 'Abandoned: no end for a day')], max_length=24)),
                ('accession_number', models.CharField(blank=True, help_text='As the modality sent it.', max_length=16)),
                ('detail', models.CharField(blank=True, help_text='Keywords of attributes, never their values.', max_length=300)),
                ('resolution', models.CharField(blank=True, choices=[('', 'open'), ('linked', 'linked to an item'), ('put_back', 'the item was put back on the list'), ('dismissed', 'dismissed'), ('settled', 'settled by itself')], default='', max_length=10)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('resolved_by', models.CharField(blank=True, max_length=150)),
                ('note', models.CharField(blank=True, help_text="Why, in a person's words; no patient's name.", max_length=300)),
                ('item', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='mpps_exceptions', to='worklist.worklistitem')),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exceptions', to='worklist.performedprocedurestep')),
            ],
            options={
                'verbose_name': 'MPPS exception',
                'verbose_name_plural': 'MPPS exceptions',
                'ordering': ('-created_at',),
                'permissions': (('resolve_mppsexception', 'Can deal with MPPS exceptions, and put items back on the list'),),
                'indexes': [models.Index(condition=models.Q(('resolution', '')), fields=['accession_number'], name='open_mpps_exception')],
                'constraints': [models.UniqueConstraint(fields=('step', 'reason', 'accession_number'), name='one_mpps_exception_per_step_and_reason')],
            },
        ),
        migrations.AddConstraint(
            model_name='steplink',
            constraint=models.UniqueConstraint(fields=('step', 'item'), name='one_link_per_step_and_item'),
        ),
        migrations.AddIndex(
            model_name='performedprocedurestep',
            index=models.Index(condition=models.Q(('status', 'IN PROGRESS')), fields=['created_at'], name='step_in_progress'),
        ),
        migrations.AddIndex(
            model_name='performedprocedurestep',
            index=models.Index(fields=['created_at'], name='step_by_arrival'),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
