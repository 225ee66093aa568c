"""Add the mark of a test machine."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dicom', '0002_help_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='modality',
            name='is_test_machine',
            field=models.BooleanField(default=False, help_text='Show it test items only, and no patient; real machines see no test item.', verbose_name='test machine'),
        ),
    ]
