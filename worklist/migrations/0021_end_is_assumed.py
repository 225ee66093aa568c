"""Mark the ends of performed procedure steps that the machine has not reported."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0020_test_machine_reports'),
    ]

    operations = [
        migrations.AddField(
            model_name='performedprocedurestep',
            name='end_is_assumed',
            field=models.BooleanField(default=False, help_text='The end is when its report arrived: the machine sent none that can be read.'),
        ),
    ]
