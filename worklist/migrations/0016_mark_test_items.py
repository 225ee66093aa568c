"""Mark the test items that are there: those made in the admin, and those of Manage's test actions."""

from django.db import migrations

ADMIN_PREFIX, ADMIN_PATIENT = "TEST", "9999999999"
AT_ONCE = 500


def forwards(apps, schema_editor):
    database = schema_editor.connection.alias
    items = apps.get_model("worklist", "WorklistItem").objects.using(database)
    items.filter(accession_number__startswith=ADMIN_PREFIX, patient_id=ADMIN_PATIENT).update(is_test=True)
    actions = apps.get_model("relay", "ReceivedAction").objects.using(database)
    made = actions.filter(action_type="worklist.create_test_item", outcome="created")
    numbers = list(made.values_list("accession_number", flat=True))
    for start in range(0, len(numbers), AT_ONCE):
        items.filter(accession_number__in=numbers[start : start + AT_ONCE]).update(is_test=True)


class Migration(migrations.Migration):
    dependencies = [("worklist", "0015_test_items_and_arrivals"), ("relay", "0006_plain_words")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
