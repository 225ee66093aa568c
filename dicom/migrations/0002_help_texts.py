"""Reword the help texts of modalities; the table stays as it is."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dicom', '0001_modality'),
    ]

    operations = [
        migrations.AlterField(
            model_name='modality',
            name='character_set',
            field=models.CharField(blank=True, choices=[('ISO_IR 100', 'ISO_IR 100'), ('ISO_IR 101', 'ISO_IR 101'), ('ISO_IR 109', 'ISO_IR 109'), ('ISO_IR 110', 'ISO_IR 110'), ('ISO_IR 144', 'ISO_IR 144'), ('ISO_IR 192', 'ISO_IR 192'), ('ascii-transliterate', 'ascii-transliterate')], help_text='Use this in responses, whatever the machine asks for. ascii-transliterate writes ł as l, not as ?.', max_length=40),
        ),
        migrations.AlterField(
            model_name='modality',
            name='expected_address',
            field=models.GenericIPAddressField(blank=True, help_text='The only address it may connect from; any if empty.', null=True),
        ),
        migrations.AlterField(
            model_name='modality',
            name='hides_in_progress',
            field=models.BooleanField(default=False, help_text='Hide items in progress, unless the machine asks by status.', verbose_name='hide in progress'),
        ),
        migrations.AlterField(
            model_name='modality',
            name='is_allowed',
            field=models.BooleanField(default=True, help_text='Clear this to reject its associations.', verbose_name='allowed'),
        ),
        migrations.AlterField(
            model_name='modality',
            name='is_strict',
            field=models.BooleanField(default=False, help_text='For acceptance tests: refuse reports that would otherwise raise an MPPS exception.', verbose_name='strict MPPS'),
        ),
        migrations.AlterField(
            model_name='modality',
            name='max_rows',
            field=models.PositiveIntegerField(blank=True, help_text='The most items in one response; MWL_MAX_ROWS if empty.', null=True),
        ),
        migrations.AlterField(
            model_name='modality',
            name='name',
            field=models.CharField(blank=True, help_text='What staff call this machine.', max_length=64),
        ),
        migrations.AlterField(
            model_name='modality',
            name='own_list_only',
            field=models.BooleanField(default=False, help_text='Show only items for its own AE title, or for none, whatever the machine asks for.'),
        ),
        migrations.AlterField(
            model_name='modality',
            name='room',
            field=models.CharField(blank=True, help_text='The clinic, room or van it is in.', max_length=64),
        ),
    ]
