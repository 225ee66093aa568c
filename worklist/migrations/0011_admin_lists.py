"""Indexes for what the admin narrows its lists by, and leave to export a list and to make test items."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0010_metrics'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='worklistitem',
            options={'ordering': ('scheduled_date', 'scheduled_time', 'accession_number'), 'permissions': (('view_patient_data', 'Can see who the woman is'), ('export_worklist', "Can export a day's list"), ('make_test_item', 'Can put a test item on the list, and take it off'))},
        ),
        migrations.AddIndex(
            model_name='itemalarm',
            index=models.Index(fields=['last_at'], name='alarm_by_time'),
        ),
        migrations.AddIndex(
            model_name='itemalarm',
            index=models.Index(fields=['attribute', 'last_at'], name='alarm_by_attribute'),
        ),
        migrations.AddIndex(
            model_name='mppsexception',
            index=models.Index(fields=['accession_number', 'created_at'], name='exception_by_number'),
        ),
        migrations.AddIndex(
            model_name='mppsexception',
            index=models.Index(fields=['resolution', 'created_at'], name='exception_by_resolution'),
        ),
        migrations.AddIndex(
            model_name='mppsexception',
            index=models.Index(fields=['reason', 'created_at'], name='exception_by_reason'),
        ),
        migrations.AddIndex(
            model_name='mppsexception',
            index=models.Index(fields=['created_at'], name='exception_by_arrival'),
        ),
        migrations.AddIndex(
            model_name='performedprocedurestep',
            index=models.Index(fields=['status', 'created_at'], name='step_by_status'),
        ),
        migrations.AddIndex(
            model_name='performedprocedurestep',
            index=models.Index(fields=['station_ae_title', 'created_at'], name='step_by_station'),
        ),
        migrations.AddIndex(
            model_name='performedprocedurestep',
            index=models.Index(fields=['performed_procedure_step_id'], name='step_by_machines_number'),
        ),
        migrations.AddIndex(
            model_name='showing',
            index=models.Index(fields=['first_shown_at'], name='showing_by_time'),
        ),
        migrations.AddIndex(
            model_name='showing',
            index=models.Index(fields=['ae_title', 'first_shown_at'], name='showing_by_title'),
        ),
        migrations.AddIndex(
            model_name='worklistitem',
            index=models.Index(fields=['status', 'scheduled_date'], name='item_by_status'),
        ),
        migrations.AddIndex(
            model_name='worklistitem',
            index=models.Index(fields=['station_ae_title', 'scheduled_date'], name='item_by_station'),
        ),
        migrations.AddIndex(
            model_name='worklistitem',
            index=models.Index(fields=['modality', 'scheduled_date'], name='item_by_modality'),
        ),
        migrations.AddIndex(
            model_name='worklistquery',
            index=models.Index(fields=['address', 'asked_at'], name='query_by_address'),
        ),
        migrations.AddIndex(
            model_name='worklistquery',
            index=models.Index(fields=['outcome', 'asked_at'], name='query_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='worklistquery',
            index=models.Index(fields=['status', 'asked_at'], name='query_by_status'),
        ),
    ]
