"""What the worklist adds to the gateway's health."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.core.management import call_command
from django.utils import timezone

from core.contract import GatewayAction
from core.health import health
from tests.factories import WorklistItemFactory
from tests.worklist.performed_step.test_exceptions import named, start
from worklist.health import check_items, wrong_patients
from worklist.models import ItemAlarm, MppsException
from worklist.performed_step.exceptions import dismiss


@pytest.mark.django_db
class TestHealth:
    def test_counts_the_women_who_cannot_be_shown(self) -> None:
        for status in ("SCHEDULED", "IN PROGRESS", "COMPLETED"):
            ItemAlarm.objects.add({WorklistItemFactory.create(status=status).pk: "PatientName"}, timezone.now())
        checks = health(GatewayAction({}, "health", None))["health"]["checks"]
        assert checks["worklist_items"] == {"ok": True, "alarms": 2, "wrong_patient_alarms": 0}

    def test_shows_a_wrong_patient_until_somebody_has_dealt_with_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        start(named(WorklistItemFactory.create()), PatientID="9990000099")
        reply = health(GatewayAction({}, "health", None))["health"]["checks"]["worklist_items"]
        assert (reply["ok"], reply["wrong_patient_alarms"]) == (True, 1)
        call_command("check_health", "database")
        told = "ALARM: 1 wrong patient alarm: see MPPS exceptions in the admin"
        assert capsys.readouterr().out == f"database: ok\n{told}\n"
        dismiss(MppsException.objects.get(), "admin:jane", "a phantom")
        assert check_items()["wrong_patient_alarms"] == 0
        call_command("check_health", "database")
        assert capsys.readouterr().out == "database: ok\n"


@pytest.mark.django_db(transaction=True)
class TestAStoreThatIsAway:
    def test_is_told(self, database_away: Callable[[], AbstractContextManager[None]]) -> None:
        with database_away():
            assert check_items()["ok"] is False
            assert wrong_patients() == ""
