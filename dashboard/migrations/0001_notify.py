"""Lets PostgreSQL tell the live page of every change of what it looks at, whoever makes it."""

from django.db import migrations

#: What dashboard/change_notifications.py listens to.
CHANNEL = "gateway_changed"
TABLES = (
    "core_heartbeat",
    "relay_receivedaction",
    "worklist_worklistitem",
    "worklist_worklistquery",
    "worklist_showing",
    "worklist_itemalarm",
    "worklist_modality",
    "worklist_performedprocedurestep",
    "worklist_steplink",
    "worklist_mppsexception",
)

FUNCTION = f"""
CREATE OR REPLACE FUNCTION {CHANNEL}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY {CHANNEL};
    RETURN NULL;
END
$$
"""


def forwards(apps, schema_editor):
    """One for each statement, not for each row; several of one transaction are one notification."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(FUNCTION)
    for table in TABLES:
        schema_editor.execute(
            f"CREATE TRIGGER {CHANNEL} AFTER INSERT OR UPDATE OR DELETE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {CHANNEL}()"
        )


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {CHANNEL}() CASCADE")


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial"), ("relay", "0001_initial"), ("worklist", "0007_mpps")]

    operations = [migrations.RunPython(forwards, backwards)]
