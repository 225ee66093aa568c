"""Give alarms about items a kind, and let people dismiss them: `clinic`, as it takes knowing who the woman is."""

from django.db import migrations, models

from core.groups import grant

PERMISSIONS = {"clinic": ("dismiss_itemalarm",)}


def forwards(apps, schema_editor):
    grant(apps, "worklist", PERMISSIONS)


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0016_mark_test_items'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='itemalarm',
            options={'ordering': ('-last_at',), 'permissions': (('dismiss_itemalarm', 'Can dismiss alarms about items'),)},
        ),
        migrations.RemoveConstraint(
            model_name='itemalarm',
            name='one_alarm_per_item_and_attribute',
        ),
        migrations.AddField(
            model_name='itemalarm',
            name='detail',
            field=models.CharField(blank=True, help_text='What was done to the value, never the value.', max_length=200),
        ),
        migrations.AddField(
            model_name='itemalarm',
            name='dismissed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='itemalarm',
            name='dismissed_by',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name='itemalarm',
            name='kind',
            field=models.CharField(choices=[('not_shown', "Not on the machines' lists: DICOM does not allow a value"), ('repaired', 'A value from Manage was repaired, as DICOM does not allow it')], default='not_shown', max_length=24),
        ),
        migrations.AddField(
            model_name='itemalarm',
            name='note',
            field=models.CharField(blank=True, help_text="In a person's words, without a patient's name.", max_length=300),
        ),
        migrations.AlterField(
            model_name='itemalarm',
            name='attribute',
            field=models.CharField(blank=True, help_text='The keyword of the attribute, never its value.', max_length=64),
        ),
        migrations.AddIndex(
            model_name='itemalarm',
            index=models.Index(fields=['kind', 'last_at'], name='alarm_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='itemalarm',
            constraint=models.UniqueConstraint(fields=('item', 'kind', 'attribute'), name='one_alarm_per_item_kind_and_attribute'),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
