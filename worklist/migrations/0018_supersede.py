"""Add the appointment of an item, and which item superseded it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0017_dismissed_alarms'),
    ]

    operations = [
        migrations.AddField(
            model_name='itemchange',
            name='superseded_by',
            field=models.CharField(blank=True, help_text='The accession number of the item that superseded it, if that is the change.', max_length=16),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='appointment_id',
            field=models.CharField(blank=True, db_index=True, editable=False, help_text="Manage's, from the action.", max_length=200),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='superseded_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='superseded_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='superseded_items', to='worklist.worklistitem'),
        ),
        migrations.AddIndex(
            model_name='worklistitem',
            index=models.Index(condition=models.Q(('superseded_by__isnull', False)), fields=['superseded_by'], name='item_by_successor'),
        ),
        migrations.AlterField(
            model_name='itemalarm',
            name='kind',
            field=models.CharField(choices=[('not_shown', "Not on the machines' lists: DICOM does not allow a value"), ('repaired', 'A value from Manage was repaired, as DICOM does not allow it'), ('sent_again', 'Sent again after the examination had begun'), ('another_patient', "Its appointment is another woman's, too")], default='not_shown', max_length=24),
        ),
    ]
