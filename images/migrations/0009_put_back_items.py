"""Hold back the images of items that were put back on the list, and remember when a person decided about an image."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0008_help_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='receivedimage',
            name='decided_at',
            field=models.DateTimeField(help_text='When a person last decided that it is to go to Manage as one of its item.', null=True),
        ),
        migrations.AlterField(
            model_name='receivedimage',
            name='reason',
            field=models.CharField(blank=True, choices=[('another_patient', 'the image names another patient than the item'), ('several_items', 'its Study Instance UID and its accession number name different items'), ('test_machine', "a test machine sent it, but the item is a patient's"), ('put_back', 'it was taken before its item was put back on the list, and may show another woman'), ('another_version', 'an image with the same SOP Instance UID came before, with other content'), ('no_copy', 'no copy for Manage could be made of it'), ('long_patient_id', 'its Patient ID is longer than the 10 characters that Manage takes'), ('refused', 'Manage refused it'), ('day_over', 'it had not reached Manage when the day ended'), ('no_action', "no action of Manage's made its item"), ('after_report', "it came after Manage had been told that its action's images failed"), ('our_fault', "Manage could not read the gateway's request: a fault in the gateway"), ('file_lost', 'its file is missing from the spool'), ('expired', 'nobody linked it in time'), ('by_person', 'a person decided'), ('perhaps_sent', 'a person decided, but it had been sent and Manage may have it')], max_length=20),
        ),
    ]
