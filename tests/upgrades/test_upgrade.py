"""A database of version 0.1, with its rows, migrates to the present version.

version_0_1.*.sql are dumps of a gateway that had received five actions, answered two queries and heard of three
performed steps; nobody in them is real.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql

DUMPS = Path(__file__).parent
#: What is read of the migrated database, by the models of the present version.
SUMMARY = """
import json
from django.apps import apps
from django.contrib.auth.models import User
from core.models import AuditLog
from dicom.models import Modality
from relay.models import ReceivedAction
from worklist.models import Delivery, ItemAlarm, MppsException, StepLink, WorklistItem
print(json.dumps({
    "rows": {model._meta.label: model._default_manager.count() for model in apps.get_models()},
    "appointments": dict(WorklistItem.objects.values_list("accession_number", "appointment_id")),
    "items": dict(WorklistItem.objects.values_list("accession_number", "status")),
    "names": sorted(WorklistItem.objects.values_list("patient_name", flat=True)),
    "modality": list(Modality.objects.values_list("ae_title", "room", "max_rows", "is_strict")),
    "deliveries": sorted(Delivery.objects.values_list("item__accession_number", "ae_title", "times_shown")),
    "alarms": list(ItemAlarm.objects.values_list("item__accession_number", "attribute")),
    "exceptions": sorted(MppsException.objects.values_list("reason", "resolution")),
    "links": list(StepLink.objects.values_list("item__accession_number", "counts")),
    "outcomes": dict(ReceivedAction.objects.values_list("action_id", "outcome")),
    "audited": sorted(set(AuditLog.objects.values_list("object_type", flat=True))),
    "permissions": {user.username: sorted(user.get_group_permissions()) for user in User.objects.all()},
}))
"""


@pytest.fixture(scope="module")
def old_database(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DATABASE_URL of a database as version 0.1 left it."""
    if connection.vendor == "sqlite":
        file = tmp_path_factory.mktemp("upgrade") / "old.sqlite3"
        with sqlite3.connect(file) as old:
            old.executescript((DUMPS / "version_0_1.sqlite.sql").read_text())
        old.close()
        yield f"sqlite:///{file}"
        return
    server = connection.settings_dict
    address = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    name = f"version_0_1_{os.getpid()}"
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as maintenance:
        maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(**address, dbname=name) as database:
                database.execute(sql.SQL((DUMPS / "version_0_1.postgresql.sql").read_text()))
            yield f"postgres://{server['USER']}:{server['PASSWORD']}@{server['HOST']}:{server['PORT']}/{name}"
        finally:
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def manage(database_url: str, *words: str) -> str:
    """Run a command of manage.py on this database; return what it prints."""
    ours = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "gateway_project.settings.test"}
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def migrated(old_database: str) -> dict[str, Any]:
    """What the present version's models read in the old database, once it is migrated."""
    manage(old_database, "migrate", "--no-input")
    found: dict[str, Any] = json.loads(manage(old_database, "shell", "--verbosity", "0", "--command", SUMMARY))
    return found


@pytest.mark.django_db
class TestADatabaseOfVersion01:
    def test_migrates_with_its_data(self, migrated: dict[str, Any]) -> None:
        found = migrated
        test_item = next(number for number in found["items"] if number.startswith("TEST"))
        assert found["items"] == {
            "ACC1": "IN PROGRESS",
            "ACC2": "SCHEDULED",
            "ACC3": "DISCONTINUED",
            test_item: "SCHEDULED",
        }
        assert "O'BRIEN-ŁUKASZ^ZOË" in found["names"]
        assert {number: len(each) for number, each in found["appointments"].items()} == {
            **dict.fromkeys(("ACC1", "ACC2", "ACC3"), len("a6267c2f-788b-4c4d-9db6-9a74c4dfd573")),
            test_item: 0,
        }
        assert found["modality"] == [["MAMMO1", "Room 1", 200, True]]
        assert found["deliveries"] == [["ACC1", "MAMMO1", 2], ["ACC2", "MAMMO1", 1]]
        assert found["alarms"] == [["ACC3", "PatientWeight"]]
        assert found["exceptions"] == [["unknown_item", "dismissed"], ["wrong_patient", ""]]
        assert found["links"] == [["ACC1", True]]
        assert found["outcomes"] == {
            "action-1": "created",
            "action-2": "created",
            "action-3": "created",
            "action-4": "updated",
            "action-5": "not_found",
        }
        rows = found["rows"]
        assert (rows["core.AuditLog"], rows["relay.Resend"], rows["relay.Reprocessing"]) == (16, 1, 1)
        assert (rows["worklist.ItemChange"], rows["worklist.WorklistQuery"], rows["worklist.QueryTally"]) == (2, 2, 2)

    def test_keeps_what_each_group_may_see_and_do(self, migrated: dict[str, Any]) -> None:
        found = migrated
        nurse, support = (set(found["permissions"][name]) for name in ("nurse", "support"))
        assert {"dicom.view_modality", "worklist.view_delivery", "worklist.view_patient_data"} <= nurse
        assert {"dicom.view_modality", "worklist.view_delivery", "relay.reprocess_action"} <= support
        assert not {name for name in nurse | support if "showing" in name or name == "worklist.view_modality"}

    def test_finds_the_audit_log_of_a_modality_under_its_new_app(self, migrated: dict[str, Any]) -> None:
        found = migrated
        assert "dicom.modality" in found["audited"]
        assert "worklist.modality" not in found["audited"]
