"""Add the indexes that the list of images needs."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0005_whole_way_tests'),
    ]

    operations = [
        migrations.AlterField(
            model_name='receivedimage',
            name='accession_number',
            field=models.CharField(blank=True, db_index=True, help_text='As in the image.', max_length=16),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='item_accession_number',
            field=models.CharField(blank=True, db_index=True, max_length=16),
        ),
        migrations.AddIndex(
            model_name='receivedimage',
            index=models.Index(fields=['reason', 'received_at'], name='image_by_reason'),
        ),
        migrations.AddIndex(
            model_name='receivedimage',
            index=models.Index(fields=['calling_ae_title', 'received_at'], name='image_by_machine'),
        ),
    ]
