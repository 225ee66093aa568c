"""Give the spool an id that the database knows, too."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0009_put_back_items'),
    ]

    operations = [
        migrations.CreateModel(
            name='SpoolIdentity',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('spool_id', models.CharField(max_length=12)),
            ],
        ),
    ]
