"""Reword the help texts of images and failure reports; the tables stay as they are."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0007_outcomes_and_accession_numbers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='failurereport',
            name='last_outcome',
            field=models.CharField(blank=True, help_text='The outcome of the last attempt.', max_length=20),
        ),
        migrations.AlterField(
            model_name='failurereport',
            name='lease_until',
            field=models.DateTimeField(help_text='Until when an uploader has claimed it.', null=True),
        ),
        migrations.AlterField(
            model_name='failurereport',
            name='leased_by',
            field=models.CharField(blank=True, help_text='The uploader that has claimed it: host:process id:claim.', max_length=100),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='action_day',
            field=models.DateField(help_text="The clinic's day of that action: Manage takes the image on no other.", null=True),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='action_id',
            field=models.CharField(blank=True, db_index=True, help_text='The action under which it goes to Manage.', max_length=100),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='copy',
            field=models.CharField(blank=True, help_text="The copy's name in the spool; empty if there is none.", max_length=100),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='correlation_id',
            field=models.CharField(blank=True, db_index=True, help_text='The correlation id of its item.', max_length=64),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='file',
            field=models.CharField(blank=True, help_text="The file's name in the spool; empty once it is deleted.", max_length=100),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='further_accession_numbers',
            field=models.JSONField(default=list, help_text='Others, from the Request Attributes Sequence.'),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='is_test',
            field=models.BooleanField(default=False, help_text='It belongs to a test item: no patient.', verbose_name='test image'),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='last_outcome',
            field=models.CharField(blank=True, help_text='The outcome of the last attempt.', max_length=20),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='lease_until',
            field=models.DateTimeField(help_text='Until when an uploader has claimed it.', null=True),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='leased_by',
            field=models.CharField(blank=True, help_text='The uploader that has claimed it: host:process id:claim.', max_length=100),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='version',
            field=models.PositiveSmallIntegerField(default=1, help_text='Numbers the different images with this SOP Instance UID.'),
        ),
    ]
