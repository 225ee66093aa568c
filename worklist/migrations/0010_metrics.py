"""What monitors are told is cheap: totals of queries that outlive them, how far the outbox is read."""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('worklist', '0009_query_by_asker'),
    ]

    operations = [
        migrations.CreateModel(
            name='OutboxReader',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('number', models.BigIntegerField()),
                ('asked_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='QueryTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ae_title', models.CharField(blank=True, help_text='Empty: of none that is configured.', max_length=16, verbose_name='AE title')),
                ('outcome', models.CharField(max_length=20)),
                ('at_most_ms', models.PositiveIntegerField(help_text='Answered within so many milliseconds, and not within fewer.')),
                ('queries', models.PositiveBigIntegerField(default=0)),
                ('milliseconds', models.PositiveBigIntegerField(default=0)),
                ('rows', models.PositiveBigIntegerField(default=0)),
                ('last_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'query tallies',
                'constraints': [models.UniqueConstraint(fields=('ae_title', 'outcome', 'at_most_ms'), name='one_tally_per_kind_of_query')],
            },
        ),
    ]
