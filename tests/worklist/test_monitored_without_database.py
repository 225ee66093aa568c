"""Readiness, metrics and status while the database is unavailable."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.core.management import call_command
from django.test import Client

from dashboard.metrics import registry
from tests.core.test_readiness import ask

pytestmark = pytest.mark.django_db(transaction=True)
Away = Callable[[], AbstractContextManager[None]]


class TestWithoutDatabase:
    def test_readyz_checks_the_database_only_once(self, client: Client, database_down: Away) -> None:
        with database_down():
            status, checks = ask(client)
        assert (status, checks["database"]["ok"]) == (503, False)
        assert {checks[name]["error"] for name in ("migrations", "relay_listener", "mwl_scp")} == {
            "not checked, as the database does not answer"
        }

    def test_metrics_have_only_database_up_0(self, client: Client, database_down: Away) -> None:
        registry.cache_clear()
        with database_down():
            text = client.get("/metrics").content.decode()
        assert "gateway_database_up 0.0" in text
        assert "gateway_actions_total" not in text

    def test_status_reports_the_problem(self, database_down: Away, capsys: pytest.CaptureFixture[str]) -> None:
        with database_down(), pytest.raises(SystemExit) as end:
            call_command("status", skip_checks=True)
        assert end.value.code == 1
        assert "Problem The database does not answer" in capsys.readouterr().out
