"""Reword two help texts of worklist items; the table stays as it is."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0024_delivered'),
    ]

    operations = [
        migrations.AlterField(
            model_name='worklistitem',
            name='appointment_id',
            field=models.CharField(blank=True, db_index=True, editable=False, help_text="Manage's id of the appointment, from the action.", max_length=200),
        ),
        migrations.AlterField(
            model_name='worklistitem',
            name='first_image_at',
            field=models.DateTimeField(editable=False, help_text='When its first image came.', null=True),
        ),
    ]
