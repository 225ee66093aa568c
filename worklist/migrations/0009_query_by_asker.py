"""Finds the last query of a machine without going through all of them: one index for title and moment instead of two."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0008_groups_deal_with_steps'),
    ]

    operations = [
        migrations.AlterField(
            model_name='worklistquery',
            name='calling_ae_title',
            field=models.CharField(max_length=16, verbose_name='calling AE title'),
        ),
        migrations.AddIndex(
            model_name='worklistquery',
            index=models.Index(fields=['calling_ae_title', 'asked_at'], name='query_by_asker'),
        ),
    ]
