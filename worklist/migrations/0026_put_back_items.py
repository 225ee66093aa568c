"""Remember when a person put an item back on the list."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0025_help_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='worklistitem',
            name='put_back_at',
            field=models.DateTimeField(editable=False, help_text='When a person last put it back on the list.', null=True),
        ),
    ]
