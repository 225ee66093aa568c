"""One index of all that is counted of actions: a scrape reads it and not a million rows."""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('relay', '0002_groups'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='receivedaction',
            index=models.Index(fields=['action_type', 'outcome', 'is_final', 'duration_ms'], name='action_for_metrics'),
        ),
    ]
