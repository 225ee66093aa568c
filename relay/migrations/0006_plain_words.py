"""Reword help texts and labels. No table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("relay", "0005_groups_execute_again")]

    operations = [
        migrations.AlterField(
            model_name='receivedaction',
            name='action_id',
            field=models.CharField(help_text="Empty if the sender's action_id is missing or invalid.", max_length=100, null=True, unique=True),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='connection',
            field=models.CharField(help_text='The hybrid connection and rendezvous, or the file and the position in it.', max_length=200),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='fingerprint',
            field=models.CharField(help_text='SHA-256 of the payload with its keys sorted.', max_length=64),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='is_final',
            field=models.BooleanField(default=False, help_text='If the action is sent again, it gets this reply again.'),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='outcome',
            field=models.CharField(help_text="The reply's status, or its error code if the action failed.", max_length=40),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='payload',
            field=models.TextField(help_text='The frame as received.'),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='reply',
            field=models.TextField(blank=True, help_text='The reply as sent, byte for byte.'),
        ),
        migrations.AlterField(
            model_name='reprocessing',
            name='by',
            field=models.CharField(help_text='The person, named as in the audit log.', max_length=100),
        ),
        migrations.AlterField(
            model_name='reprocessing',
            name='reply_before',
            field=models.TextField(blank=True, help_text='The earlier reply as sent, byte for byte.'),
        ),
        migrations.AlterField(
            model_name='resend',
            name='answer',
            field=models.CharField(choices=[('repeated', 'the first reply was repeated'), ('retried', 'executed again, because the first attempt failed in the gateway'), ('refused', 'refused: the payload differs from the first one')], max_length=10),
        ),
        migrations.AlterField(
            model_name='resend',
            name='payload',
            field=models.TextField(blank=True, help_text='Kept only if it differs from the first payload.'),
        ),
    ]
