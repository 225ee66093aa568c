"""Makes for the items that are there what their names are looked up by."""

from itertools import islice

from django.db import migrations

from worklist.query.person_names import search_form

FIELDS = ("patient_name", "performing_physician_name")
AT_ONCE = 500


def forwards(apps, schema_editor):
    rows = apps.get_model("worklist", "WorklistItem").objects.using(schema_editor.connection.alias)
    items = rows.only("pk", *FIELDS).iterator(chunk_size=AT_ONCE)
    while batch := list(islice(items, AT_ONCE)):
        for item in batch:
            for name in FIELDS:
                setattr(item, f"{name}_search", search_form(getattr(item, name)))
        rows.bulk_update(batch, [f"{name}_search" for name in FIELDS])


class Migration(migrations.Migration):
    atomic = False  # batch by batch: a long transaction would keep the listener from its items
    dependencies = [("worklist", "0005_item_search_columns")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
