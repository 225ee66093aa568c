"""Add the states ARRIVED and READY, the time of arrival, and the marks of test items."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0014_plain_words'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='worklistitem',
            name='item_status_known',
        ),
        migrations.RemoveIndex(
            model_name='worklistitem',
            name='open_item_in_order',
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='arrived_at',
            field=models.DateTimeField(editable=False, help_text='When Manage first reported her arrival.', null=True),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='is_test',
            field=models.BooleanField(default=False, editable=False, help_text='No patient: only test machines are shown it.', verbose_name='test item'),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='proves_ae_title',
            field=models.CharField(blank=True, editable=False, help_text='The one real machine that is shown this test item.', max_length=16, verbose_name='proves the list of'),
        ),
        migrations.AlterField(
            model_name='worklistitem',
            name='cloud_status',
            field=models.CharField(choices=[('SCHEDULED', 'Scheduled'), ('ARRIVED', 'Arrived'), ('READY', 'Ready'), ('IN PROGRESS', 'In Progress'), ('COMPLETED', 'Completed'), ('DISCONTINUED', 'Discontinued')], default='SCHEDULED', help_text='The last status from Manage.', max_length=16),
        ),
        migrations.AlterField(
            model_name='worklistitem',
            name='status',
            field=models.CharField(choices=[('SCHEDULED', 'Scheduled'), ('ARRIVED', 'Arrived'), ('READY', 'Ready'), ('IN PROGRESS', 'In Progress'), ('COMPLETED', 'Completed'), ('DISCONTINUED', 'Discontinued')], default='SCHEDULED', max_length=16),
        ),
        migrations.AddIndex(
            model_name='worklistitem',
            index=models.Index(condition=models.Q(('status__in', ['SCHEDULED', 'ARRIVED', 'READY', 'IN PROGRESS'])), fields=['scheduled_date', 'scheduled_time'], name='open_item_in_order'),
        ),
        migrations.AddConstraint(
            model_name='worklistitem',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ('SCHEDULED', 'ARRIVED', 'READY', 'IN PROGRESS', 'COMPLETED', 'DISCONTINUED'))), name='item_status_known'),
        ),
    ]
