"""What people have executed again, and indexes for what the admin narrows its list by."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('relay', '0003_metrics'),
    ]

    operations = [
        migrations.CreateModel(
            name='Reprocessing',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('at', models.DateTimeField()),
                ('by', models.CharField(help_text='Who, as in the audit log.', max_length=100)),
                ('correlation_id', models.CharField(db_index=True, max_length=64)),
                ('outcome_before', models.CharField(max_length=40)),
                ('reply_before', models.TextField(blank=True, help_text='What the sender had been answered, byte for byte.')),
                ('outcome', models.CharField(max_length=40)),
                ('reply', models.TextField()),
                ('duration_ms', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ('at',),
                'default_permissions': ('view',),
            },
        ),
        migrations.AlterModelOptions(
            name='receivedaction',
            options={'ordering': ('-received_at',), 'permissions': (('view_payload', 'Can see the payload of an action, which has patient data'), ('reprocess_action', 'Can have an action that failed executed again'))},
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='action_type',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AlterField(
            model_name='receivedaction',
            name='outcome',
            field=models.CharField(help_text="The reply's status, or its code when it failed.", max_length=40),
        ),
        migrations.AddIndex(
            model_name='receivedaction',
            index=models.Index(fields=['outcome', 'received_at'], name='action_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='receivedaction',
            index=models.Index(fields=['action_type', 'received_at'], name='action_by_type'),
        ),
        migrations.AddField(
            model_name='reprocessing',
            name='action',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reprocessings', to='relay.receivedaction'),
        ),
    ]
