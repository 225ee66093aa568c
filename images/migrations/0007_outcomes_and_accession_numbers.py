"""Keep what the last attempt came to, and all accession numbers of an image uncut."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0006_admin_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='failurereport',
            name='last_outcome',
            field=models.CharField(blank=True, help_text='What the last attempt came to.', max_length=20),
        ),
        migrations.AddField(
            model_name='receivedimage',
            name='further_accession_numbers',
            field=models.JSONField(default=list, help_text='Others, of the Request Attributes Sequence.'),
        ),
        migrations.AddField(
            model_name='receivedimage',
            name='last_outcome',
            field=models.CharField(blank=True, help_text='What the last attempt came to.', max_length=20),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='accession_number',
            field=models.CharField(blank=True, db_index=True, help_text='As in the image.', max_length=64),
        ),
    ]
