"""Add why an image may be held back."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='receivedimage',
            name='reason',
            field=models.CharField(blank=True, choices=[('another_patient', 'the image names another patient than the item'), ('several_items', 'its Study Instance UID and its accession number name different items'), ('test_machine', "a test machine sent it, but the item is a patient's"), ('another_version', 'an image with the same SOP Instance UID came before, with other content'), ('no_copy', 'no copy for Manage could be made of it'), ('long_patient_id', 'its Patient ID is longer than the 10 characters that Manage takes'), ('refused', 'Manage refused it'), ('day_over', 'it had not reached Manage when the day ended'), ('no_action', "no action of Manage's made its item"), ('file_lost', 'its file is missing from the spool'), ('expired', 'nobody linked it in time'), ('by_person', 'a person decided')], max_length=20),
        ),
    ]
