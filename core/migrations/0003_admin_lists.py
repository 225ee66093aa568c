"""Indexes for what the admin narrows its list by; an audit row may be about no single object."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0002_groups'),
    ]

    operations = [
        migrations.RemoveIndex(model_name='auditlog', name='core_auditl_object__42e4a9_idx'),
        migrations.AddIndex(
            model_name='auditlog',
            index=models.Index(fields=['object_type', 'object_id', 'created_at'], name='audit_by_object'),
        ),
        migrations.AlterField(
            model_name='auditlog',
            name='object_id',
            field=models.UUIDField(help_text='Empty for what is about many, such as an export.', null=True),
        ),
        migrations.AlterField(
            model_name='auditlog',
            name='operation',
            field=models.CharField(choices=[('create', 'Create'), ('update', 'Update'), ('export', 'Export'), ('execute', 'Execute')], max_length=10),
        ),
        migrations.AddIndex(
            model_name='auditlog',
            index=models.Index(fields=['actor', 'created_at'], name='audit_by_actor'),
        ),
        migrations.AddIndex(
            model_name='auditlog',
            index=models.Index(fields=['operation', 'created_at'], name='audit_by_operation'),
        ),
        migrations.AddIndex(
            model_name='auditlog',
            index=models.Index(fields=['object_type', 'created_at'], name='audit_by_type'),
        ),
    ]
