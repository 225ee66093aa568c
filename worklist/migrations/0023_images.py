"""Keep when the first image of an item came, and when no further one was expected."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0022_wording'),
    ]

    operations = [
        migrations.AddField(
            model_name='worklistitem',
            name='first_image_at',
            field=models.DateTimeField(editable=False, help_text='When the first image of it came.', null=True),
        ),
        migrations.AddField(
            model_name='worklistitem',
            name='images_completed_at',
            field=models.DateTimeField(editable=False, help_text='When no further image was expected, on a machine without MPPS.', null=True),
        ),
    ]
