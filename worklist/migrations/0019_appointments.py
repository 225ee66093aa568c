"""Give the items that are there their appointments, from the payloads of the actions that made them."""

import json

from django.db import migrations

AT_ONCE = 100


def appointment_in(payload):
    """As GatewayAction.appointment_id; the payloads were parsed before they were kept."""
    reference = json.loads(payload).get("source_reference")
    value = reference.get("appointment_id") if isinstance(reference, dict) else None
    return value.strip() if isinstance(value, str) and len(value) <= 200 and value.isprintable() else ""


def forwards(apps, schema_editor):
    database = schema_editor.connection.alias
    items = apps.get_model("worklist", "WorklistItem").objects.using(database)
    actions = apps.get_model("relay", "ReceivedAction").objects.using(database)
    made = actions.filter(action_type__in=("worklist.create_item", "worklist.create_test_item"), outcome="created")
    for number, payload in made.values_list("accession_number", "payload").iterator(chunk_size=AT_ONCE):
        if appointment := appointment_in(payload):
            items.filter(accession_number=number, appointment_id="").update(appointment_id=appointment)


class Migration(migrations.Migration):
    atomic = False  # a long transaction would keep the listener from its items
    dependencies = [("worklist", "0018_supersede"), ("relay", "0006_plain_words")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
