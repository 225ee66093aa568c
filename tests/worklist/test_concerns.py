"""The worklist's health check."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from core.contract import GatewayAction
from core.health import health
from tests.factories import WorklistItemFactory
from tests.worklist.performed_step.reports import create_step, scheduled_step
from worklist.concerns import check_items
from worklist.models import ItemAlarm, MppsException
from worklist.performed_step.mpps_exceptions import dismiss


def reported_check() -> Any:
    """Return the check as the health reply has it."""
    return health(GatewayAction({}, "health", None))["health"]["checks"]["worklist_items"]


@pytest.mark.django_db
class TestHealth:
    @pytest.mark.parametrize(("days", "ok"), [(-1, True), (0, False), (1, False)])
    def test_counts_the_items_that_cannot_be_shown_and_fails_for_those_of_today_or_later(
        self, days: int, ok: bool
    ) -> None:
        day = timezone.localdate() + timedelta(days=days)
        for status in ("SCHEDULED", "IN PROGRESS", "COMPLETED"):
            item = WorklistItemFactory.create(status=status, scheduled_date=day)
            ItemAlarm.objects.add({item.pk: "PatientName"}, timezone.now())
        assert reported_check() == {"ok": ok, "alarms": 2, "wrong_patient_alarms": 0}

    def test_fails_for_a_wrong_patient_until_the_exception_is_resolved(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        create_step("1.2.3.9", scheduled_step(WorklistItemFactory.create()), PatientID="9990000099")
        assert reported_check() == {"ok": False, "alarms": 0, "wrong_patient_alarms": 1}
        call_command("check_health", "database")
        assert "ALARM: Wrong patient (1). " in capsys.readouterr().out
        dismiss(MppsException.objects.get(), "admin:jane", "a phantom")
        assert check_items()["wrong_patient_alarms"] == 0
        call_command("check_health", "database")
        assert "Wrong patient" not in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
class TestWithoutADatabase:
    def test_fails(self, database_down: Callable[[], AbstractContextManager[None]]) -> None:
        with database_down():
            assert check_items()["ok"] is False
