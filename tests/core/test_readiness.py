"""The answer of /readyz."""

import json
from typing import Any

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from core.heartbeat import DAEMONS
from tests.core.heartbeats import beat, beat_all


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    """The status and the checks."""
    response = client.get("/readyz")
    content = json.loads(response.content)
    assert content["ready"] is (response.status_code == 200)
    return response.status_code, content["checks"]


@pytest.fixture
def at_work(db: None) -> None:
    """All daemons."""
    beat_all()


@pytest.mark.django_db
class TestReadiness:
    @pytest.mark.usefixtures("at_work")
    def test_a_gateway_at_work_is_ready_without_a_login(self, client: Client) -> None:
        status, checks = ask(client)
        assert status == 200
        assert {name: check["ok"] for name, check in checks.items()} == dict.fromkeys(
            ("database", "migrations", *DAEMONS), True
        )

    @pytest.mark.parametrize(("role", "other"), [("relay_listener", "mwl_scp"), ("mwl_scp", "relay_listener")])
    def test_without_one_of_the_daemons_it_is_not(self, client: Client, role: str, other: str) -> None:
        beat(other, {"relay_listener": "online", "mwl_scp": "listening"}[other])
        status, checks = ask(client)
        assert (status, checks[role]["ok"], checks[other]["ok"]) == (503, False, True)
        assert "no sign of life" in checks[role]["error"]

    def test_a_listeners_reasons_are_not_for_everybody(self, client: Client) -> None:
        beat("relay_listener", "offline", why="proxy.internal refused")
        _, checks = ask(client)
        assert checks["relay_listener"].keys() == {"ok", "state", "since"}

    @pytest.mark.usefixtures("at_work")
    def test_that_a_migration_is_missing_is_told_but_not_which(self, client: Client) -> None:
        MigrationRecorder.Migration.objects.filter(app="core").order_by("-name")[0].delete()
        status, checks = ask(client)
        assert (status, checks["migrations"]["ok"]) == (503, False)
        assert checks["migrations"]["error"] == "migrations are missing"
