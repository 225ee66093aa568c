"""Heartbeats, and what the gateway says of its health."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from jsonschema import Draft202012Validator

from core.contract import GatewayAction, load_schema
from core.health import STALE_AFTER, Pulse, check_database, check_role, health, instance_name, version
from core.models import Heartbeat


def beat(role: str, state: str, seconds_ago: float = 0, instance: str = "host:1") -> Heartbeat:
    """A heartbeat of that age."""
    then = timezone.now() - timedelta(seconds=seconds_ago)
    return Heartbeat.objects.create(
        role=role, state=state, instance=instance, state_since=then, started_at=then, beat_at=then
    )


@pytest.mark.django_db
class TestCheckRole:
    def test_a_fresh_beat_in_a_working_state_is_healthy(self) -> None:
        beat("relay_listener", "online")
        assert check_role("relay_listener")["ok"] is True

    def test_a_daemon_that_is_alive_and_offline_is_not(self) -> None:
        beat("relay_listener", "offline")
        result = check_role("relay_listener")
        assert (result["ok"], result["state"]) == (False, "offline")

    def test_a_daemon_that_has_been_silent_for_long_is_dead_whatever_it_said_last(self) -> None:
        beat("relay_listener", "online", seconds_ago=STALE_AFTER.seconds + 1)
        result = check_role("relay_listener")
        assert result["ok"] is False
        assert "no sign of life" in result["error"]

    def test_one_of_two_that_works_is_enough(self) -> None:
        beat("relay_listener", "offline", instance="host:1")
        beat("relay_listener", "online", instance="host:2", seconds_ago=3)
        assert check_role("relay_listener")["ok"] is True


@pytest.mark.django_db
class TestHealth:
    def reply(self, **more: Any) -> dict[str, Any]:
        """The reply to a health probe."""
        return health(GatewayAction({}, "health", more.get("action_id")))

    def test_the_reply_keeps_its_schema(self) -> None:
        Draft202012Validator(load_schema("gateway_reply")).validate(self.reply(action_id="h1"))

    def test_with_both_daemons_at_work_it_is_healthy(self) -> None:
        beat("relay_listener", "online")
        beat("mwl_scp", "listening")
        assert self.reply()["health"]["healthy"] is True

    def test_without_the_worklist_server_it_is_not(self) -> None:
        beat("relay_listener", "online")
        result = self.reply()["health"]
        assert result["healthy"] is False
        assert result["checks"]["mwl_scp"]["ok"] is False

    def test_the_version_is_the_one_of_the_project(self) -> None:
        assert self.reply()["health"]["version"] == version() != "unknown"

    def test_the_database_is_asked(self) -> None:
        assert check_database() == {"ok": True}


class TestDetails:
    @pytest.mark.django_db
    def test_what_the_listener_says_of_itself_is_in_its_check(self) -> None:
        beat("relay_listener", "online")
        Heartbeat.objects.update(details={"last_echo_ms": 40, "state": "other"})
        result = check_role("relay_listener")
        assert (result["last_echo_ms"], result["state"], result["ok"]) == (40, "online", True)


@pytest.mark.django_db(transaction=True)
class TestPulse:
    def beats(self, pulse: Pulse) -> bool:
        """Whether one round of a pulse leaves a row."""
        pulse.set_state("online")
        pulse.beat()
        found = Heartbeat.objects.filter(role=pulse.role, instance=instance_name())
        return bool(found.delete()[0])

    def test_one_that_must_be_fed_stops_when_nobody_feeds_it(self) -> None:
        now = 1000.0
        pulse = Pulse("relay_listener", "connecting", must_be_fed=True, clock=lambda: now)
        assert self.beats(pulse)
        now += STALE_AFTER.total_seconds()
        assert not self.beats(pulse)
        pulse.feed()
        assert self.beats(pulse)

    def test_one_that_need_not_be_fed_goes_on(self) -> None:
        now = 1000.0
        pulse = Pulse("mwl_scp", "listening", clock=lambda: now)
        now += 3600
        assert self.beats(pulse)

    def test_the_last_state_is_written_and_the_row_of_one_that_ended_goes(self) -> None:
        pulse = Pulse("mwl_scp", "listening").start()
        pulse.set_state("offline", why="test")
        pulse.stop()
        assert not Heartbeat.objects.filter(role="mwl_scp", instance=instance_name()).exists()
