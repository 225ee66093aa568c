"""Name the audit log as people say it, and describe its fields."""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0003_admin_lists'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='auditlog',
            options={'ordering': ('-created_at',), 'verbose_name_plural': 'audit log'},
        ),
        migrations.AlterField(
            model_name='auditlog',
            name='actor',
            field=models.CharField(help_text='Who made the change, such as relay:manage.', max_length=100),
        ),
        migrations.AlterField(
            model_name='auditlog',
            name='object_id',
            field=models.UUIDField(help_text='Empty if it concerns many objects, such as an export.', null=True),
        ),
        migrations.AlterField(
            model_name='heartbeat',
            name='role',
            field=models.CharField(help_text='The kind of daemon, such as mwl_scp.', max_length=30),
        ),
    ]
