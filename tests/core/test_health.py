"""The reply to the `health` probe."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from core import concerns
from core.concerns import Concern, Occurrence, Severity
from core.contract import GatewayAction, load_schema
from core.health import check_database, health
from core.instance import version
from tests.core.heartbeats import beat, beat_all


def reply(action_id: str | None = None) -> dict[str, Any]:
    """Return the reply to a health probe."""
    return health(GatewayAction({}, "health", action_id))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Concern]:
    """A list of concerns that are the only open ones."""
    open_now: list[Concern] = []
    monkeypatch.setattr(concerns, "_registered", [lambda _: open_now])
    return open_now


def concern(severity: Severity) -> Concern:
    """Return a concern about one accession number."""
    latest = (Occurrence("ACC1 is wrong"),)
    return Concern("wrong_patient", severity, "Wrong patient", "Stop work.", "", 1, latest, "/admin/")


@pytest.fixture
def at_work(db: None) -> None:
    """All daemons at work."""
    beat_all()


@pytest.mark.usefixtures("at_work")
class TestHealth:
    def test_keeps_its_schema(self, found: list[Concern]) -> None:
        found.append(concern(Severity.WARNING))
        Draft202012Validator(load_schema("gateway_reply")).validate(reply(action_id="h1"))

    def test_is_healthy_with_all_daemons_at_work(self, found: list[Concern]) -> None:
        assert reply()["health"]["healthy"] is True

    @pytest.mark.parametrize(("severity", "healthy"), [(Severity.WARNING, True), (Severity.PROBLEM, False)])
    def test_is_unhealthy_while_a_problem_is_open(
        self, found: list[Concern], severity: Severity, healthy: bool
    ) -> None:
        found.append(concern(severity))
        assert reply()["health"]["healthy"] is healthy

    def test_lists_the_open_concerns_without_accession_numbers(self, found: list[Concern]) -> None:
        found.append(concern(Severity.PROBLEM))
        assert reply()["health"]["concerns"] == [
            {
                "concern": "wrong_patient",
                "severity": "problem",
                "count": 1,
                "title": "Wrong patient",
                "what_to_do": "Stop work.",
            }
        ]

    def test_has_the_version_of_the_project(self) -> None:
        assert reply()["health"]["version"] == version() != "unknown"

    def test_checks_the_database(self) -> None:
        assert check_database() == {"ok": True}


@pytest.mark.django_db
class TestWithoutADaemon:
    def test_is_unhealthy(self) -> None:
        beat("relay_listener", "online")
        result = reply()["health"]
        assert result["healthy"] is False
        assert result["checks"]["mwl_scp"]["ok"] is False


@pytest.mark.django_db(transaction=True)
class TestWithoutADatabase:
    def test_is_unhealthy_and_lists_no_concerns(
        self, database_down: Callable[[], AbstractContextManager[None]], found: list[Concern]
    ) -> None:
        found.append(concern(Severity.PROBLEM))
        with database_down():
            result = reply()["health"]
        assert (result["healthy"], result["checks"]["database"]["ok"], result["concerns"]) == (False, False, [])
