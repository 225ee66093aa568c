"""What the worklist adds to the gateway's health."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.utils import timezone

from core.gateway_actions import GatewayAction
from core.health import health
from tests.factories import WorklistItemFactory
from worklist.health import check_items
from worklist.models import ItemAlarm


@pytest.mark.django_db
class TestHealth:
    def test_counts_the_women_who_cannot_be_shown(self) -> None:
        for status in ("SCHEDULED", "IN PROGRESS", "COMPLETED"):
            ItemAlarm.objects.add({WorklistItemFactory.create(status=status).pk: "PatientName"}, timezone.now())
        checks = health(GatewayAction({}, "health", None))["health"]["checks"]
        assert checks["worklist_items"] == {"ok": True, "alarms": 2}


@pytest.mark.django_db(transaction=True)
class TestAStoreThatIsAway:
    def test_is_told(self, database_away: Callable[[], AbstractContextManager[None]]) -> None:
        with database_away():
            assert check_items()["ok"] is False
